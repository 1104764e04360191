"""Write a file to any storage so that it appears whole or not at all, and leftovers of a killed try are removed."""

from __future__ import annotations

import contextlib
import glob
import logging
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

#: Protocols whose storages show a file only once it is committed; others get a temporary name and a rename.
_COMMITTING = frozenset({"s3", "s3a", "s3n", "gs", "gcs"})
#: Bytes of an upload's part, which are held in memory. S3 takes 10,000 parts: 80 GB.
PART = 8 * 1024 * 1024


def whole_file(target: ObjectStoragePath, tag: str) -> AbstractContextManager[BinaryIO]:
    """
    Open a file for writing that becomes ``target`` if the block succeeds, and leaves nothing behind if it fails.

    Leftovers of an earlier try that died before it could clean up are removed first.

    :param target: The path to write. An existing file is replaced as a whole.
    :param tag: Part of the temporary name, which distinguishes one transfer's tries from other files.
    :returns: A context manager that gives the file.
    """
    return _committed(target) if target.protocol in _COMMITTING else _renamed(target, tag)


@contextlib.contextmanager
def _committed(target: ObjectStoragePath) -> Iterator[BinaryIO]:
    _abort_uploads(target)
    file: Any = target.fs.open(target.path, "wb", block_size=PART, autocommit=False)
    try:
        yield cast("BinaryIO", file)
        file.close()
        file.commit()
    except BaseException:
        file.closed = True  # or its destructor would upload the rest
        with contextlib.suppress(Exception):  # the error that stopped the transfer matters more
            file.discard()
        raise


@contextlib.contextmanager
def _renamed(target: ObjectStoragePath, tag: str) -> Iterator[BinaryIO]:
    fs = target.fs
    if target.protocol in ("file", "local", ""):
        target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{target.path[: -len(target.name)]}.{target.name}.{tag}"
    with contextlib.suppress(Exception):  # this transfer matters more than leftovers
        for leftover in fs.glob(f"{glob.escape(prefix)}.*.part"):
            fs.rm_file(leftover)
    # each try has a name of its own: one that was given up may still be writing
    part = f"{prefix}.{uuid.uuid4().hex[:8]}.part"
    try:
        with fs.open(part, "wb", block_size=PART) as file:
            yield file
        fs.mv(part, target.path)
    except BaseException:
        with contextlib.suppress(Exception):  # the error that stopped the transfer matters more
            fs.rm_file(part)
        raise


def _abort_uploads(target: ObjectStoragePath) -> None:
    """Abort multipart uploads to this very key that a dead try began: they are invisible, and cost money."""
    fs = target.fs
    if not hasattr(fs, "call_s3"):
        return
    bucket, key, _ = fs.split_path(target.path)
    try:
        found = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
        for upload in found.get("Uploads", ()):
            if upload["Key"] == key:
                log.info("Aborting the upload that an earlier try of %s left.", target)
                fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload["UploadId"])
    except Exception as e:  # a connection may be allowed to write but not to list
        log.debug("Cannot list uploads that an earlier try may have left: %s", type(e).__name__)
