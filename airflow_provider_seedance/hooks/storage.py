"""Writing a file to any storage so that it is there whole or not at all, and nothing is left of a try that died."""

from __future__ import annotations

import contextlib
import glob
import logging
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

#: Storages that show a file only once it is committed, by protocol; others get a temporary name and a rename.
_COMMITTING = frozenset({"s3", "s3a", "s3n", "gs", "gcs"})
#: Bytes of an upload's part, which are held in memory. S3 takes 10,000 parts: 80 GB.
PART = 8 * 1024 * 1024


@contextlib.contextmanager
def whole_file(target: ObjectStoragePath, tag: str) -> Iterator[BinaryIO]:
    """
    Open a file for writing that becomes ``target`` when the block ends well, and leaves nothing when it does not.

    What an earlier try left that died before it could clean up is removed first.

    :param target: Where to. Something that is there is replaced, whole.
    :param tag: Tells the tries of one transfer from other files: part of the temporary name.
    """
    write = _committed if target.protocol in _COMMITTING else _renamed
    with write(target, tag) as file:
        yield file


@contextlib.contextmanager
def _committed(target: ObjectStoragePath, tag: str) -> Iterator[BinaryIO]:
    _abort_uploads(target)
    file: Any = target.fs.open(target.path, "wb", block_size=PART, autocommit=False)
    try:
        yield cast("BinaryIO", file)
        file.close()
        file.commit()
    except BaseException:
        file.closed = True  # or its end of life would upload the rest
        with contextlib.suppress(Exception):  # what stopped the transfer matters more than this
            file.discard()
        raise


@contextlib.contextmanager
def _renamed(target: ObjectStoragePath, tag: str) -> Iterator[BinaryIO]:
    fs, name = target.fs, f".{target.name}.{tag}"
    if target.protocol in ("file", "local", ""):
        target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.path[: -len(target.name)]
    _remove(fs, f"{glob.escape(folder + name)}.*.part")
    # a name of its own for each try: one that was given up may still be writing
    part = f"{folder}{name}.{uuid.uuid4().hex[:8]}.part"
    try:
        with fs.open(part, "wb", block_size=PART) as file:
            yield file
        fs.mv(part, target.path)
    except BaseException:
        _remove(fs, glob.escape(part))
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
    except Exception as e:  # a connection may well be allowed to write, and not to list
        log.debug("Uploads that an earlier try may have left were not looked for: %s", type(e).__name__)


def _remove(fs: Any, pattern: str) -> None:
    """Remove files as far as the storage allows: whether the transfer succeeds matters more."""
    with contextlib.suppress(Exception):
        for found in fs.glob(pattern):
            fs.rm_file(found)
