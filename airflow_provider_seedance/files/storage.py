"""
Any storage: how it is reached, which of its errors stay, and how to write a file that appears whole or not at all.

Others may write beside it. Only leftovers that are known to be abandoned are removed: those of an earlier try of the
same task, and those that nobody has written to for an hour. Everything else may be another writer's work in progress.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import logging
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from json import JSONDecodeError
from typing import Any, BinaryIO, cast

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.values import refuse

log = logging.getLogger(__name__)

#: Protocols whose storages show a file only once it is committed; others get a temporary name and a rename.
_COMMITTING = frozenset({"s3", "s3a", "s3n", "gs", "gcs"})
_LOCAL = frozenset({"file", "local", ""})
#: An address with a user and a password.
_LOGIN = re.compile(r"(?i)\s*[^:/]*://[^/@]*(?::(?!\d+/)|%3a)[^@]*@")
#: What a storage's file system is installed with, by the scheme of its addresses.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "apache-airflow-providers-amazon[s3fs]"),
    **dict.fromkeys(("gs", "gcs"), "apache-airflow-providers-google"),
    **dict.fromkeys(("abfs", "abfss", "adl", "az", "wasb"), "apache-airflow-providers-microsoft-azure"),
}
#: Bytes of an upload's part, which are held in memory. S3 takes 10,000 parts: 80 GB.
PART = 8 * 1024 * 1024
#: Seconds after which an unfinished file counts as abandoned, whoever began it.
ABANDONED_AFTER = 3600.0

#: Errors of a storage that a retry cannot help: it is not installed, does not exist, or may not be used.
_PERMANENT_ERRORS = (
    ImportError,
    LookupError,
    NotImplementedError,
    ValueError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
#: Those among them that pass: a response that could not be decoded, such as a gateway's HTML.
_UNDECODED = (JSONDecodeError, UnicodeDecodeError)
_PERMANENT_ERRNOS = frozenset({errno.EROFS, errno.ENAMETOOLONG})
#: S3's codes that pass, although s3fs raises them as PermissionError or FileNotFoundError. The response to a HEAD has
#: only its status as code, and 403 may mean a clock that is off.
_PASSING_CODES = frozenset(
    {
        "403",
        "ExpiredToken",
        "ExpiredTokenException",
        "NoSuchUpload",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "TokenRefreshRequired",
    }
)


def storage_path(value: str, item: str, *, conn_id: str | None = None) -> ObjectStoragePath:
    """
    Return a path whose storage can be reached from here.

    :param value: A local path, or an address such as ``s3://bucket/key``.
    :param item: The parameter, for messages.
    :param conn_id: Airflow connection of the storage. Default: the one that the address names, else the ambient one.
    :raises SeedanceRequestError: It carries a password, or its file system is not installed; the message names the
        package.
    """
    if _LOGIN.match(value):  # Airflow would take it for a connection's id, and log it
        refuse(
            item, "has a user and a password in it", "Put them into an Airflow connection, and name that before the @"
        )
    named = {} if conn_id is None else {"conn_id": conn_id}  # Airflow 3.0 takes None for a connection's id
    with contextlib.suppress(ValueError, ImportError):
        path = ObjectStoragePath(value, **named)
        _ = path.fs  # a storage without a file system is only noticed here
        return path
    scheme = value.partition("://")[0].lower()
    package = _PACKAGES.get(scheme, "the Airflow provider of that storage, with its file system")
    fault = f"is {value!r}, in a storage that is not installed here ({scheme})"
    return refuse(item, fault, f"Correct the path, or install {package}")


def check_replaceable(target: ObjectStoragePath, item: str) -> None:
    """
    Refuse to replace what is neither a file nor a folder on a local disk, such as a pipe or a device.

    :param target: The file to write. A link counts as what it leads to.
    :param item: The parameter, for messages.
    """
    if target.protocol not in _LOCAL:
        return
    try:
        mode = os.stat(target.path).st_mode  # noqa: PTH116
    except OSError:  # nothing is there; what else is wrong shows when it is written
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        refuse(item, f"is {str(target)!r}, neither a file nor a folder, and would be replaced", "Give another path")


def is_permanent(error: Exception) -> bool:
    """
    Return whether a storage's error stays until somebody changes something, rather than being worth a retry.

    :param error: What the storage's file system raised.
    """
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if isinstance(response, dict) and response.get("Error", {}).get("Code") in _PASSING_CODES:
        return False
    if isinstance(error, _UNDECODED):
        return False
    return isinstance(error, _PERMANENT_ERRORS) or getattr(error, "errno", None) in _PERMANENT_ERRNOS


def whole_file(
    target: ObjectStoragePath, *, owner: str | None, now: float, exclusive: bool = False
) -> AbstractContextManager[BinaryIO]:
    """
    Open a file for writing that becomes ``target`` if the block succeeds, and leaves nothing behind if it fails.

    What was abandoned there is removed first.

    :param target: The path to write. An existing file is replaced as a whole.
    :param owner: What the tries of one task instance have in common and no other writer has: up to 32 characters that
        a file name may contain. None if there is no other try.
    :param now: Unix seconds.
    :param exclusive: Do not replace. Of several writers one wins where the storage can decide that: on a local disk,
        S3 and Google Cloud Storage. Elsewhere it is checked just before the rename.
    :returns: A context manager that gives the file.
    :raises FileExistsError: ``target`` exists, with ``exclusive``.
    """
    abandoned_before = now - ABANDONED_AFTER
    if target.protocol in _COMMITTING:
        return _committed(target, abandoned_before, exclusive)
    return _renamed(target, owner or uuid.uuid4().hex, abandoned_before, exclusive)


@contextlib.contextmanager
def _committed(target: ObjectStoragePath, abandoned_before: float, exclusive: bool) -> Iterator[BinaryIO]:
    _abort_uploads(target, abandoned_before)
    file: Any = target.fs.open(target.path, "xb" if exclusive else "wb", block_size=PART, autocommit=False)
    try:
        yield cast("BinaryIO", file)
        file.close()
        if exclusive:
            _check_free(target)
        try:
            file.commit()
        except OSError as e:
            if not exclusive or e.errno != errno.ENOSYS:
                raise
            file.mode = "wb"  # a storage that cannot decide it: the check above has to do
            file.commit()
    except BaseException:
        file.closed = True  # or its destructor would upload the rest
        with contextlib.suppress(Exception):  # the error that stopped the transfer matters more
            file.discard()
        raise


@contextlib.contextmanager
def _renamed(target: ObjectStoragePath, owner: str, abandoned_before: float, exclusive: bool) -> Iterator[BinaryIO]:
    fs = target.fs
    if target.protocol in _LOCAL:
        target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.path[: -len(target.name)]
    _remove_parts(fs, folder, owner, abandoned_before)
    # each try has a name of its own: one that was given up may still be writing. It is short, whatever the target's is
    part = f"{folder}.seedance-{owner}-{uuid.uuid4().hex[:8]}.part"
    try:
        with fs.open(part, "wb", block_size=PART) as file:
            yield file
        _publish(target, part, exclusive)
    except BaseException:
        with contextlib.suppress(Exception):  # the error that stopped the transfer matters more
            fs.rm_file(part)
        raise


def _publish(target: ObjectStoragePath, part: str, exclusive: bool) -> None:
    """Give a finished file its name."""
    fs = target.fs
    if exclusive and target.protocol in _LOCAL:
        try:
            fs.link(part, target.path)  # unlike a rename, it fails if the name is taken
        except FileExistsError:
            raise
        except OSError as e:
            log.debug("No hard links on the file system of %s: %s", redact(str(target)), e.strerror)
        else:
            with contextlib.suppress(OSError):  # the file is there; a later try removes the other name
                fs.rm_file(part)
            return
    if exclusive:
        _check_free(target)
    try:
        fs.mv(part, target.path)
    except FileNotFoundError:
        raise OSError(errno.EIO, "The temporary file was removed by somebody else") from None


def _check_free(target: ObjectStoragePath) -> None:
    if target.fs.exists(target.path):
        raise FileExistsError(errno.EEXIST, "The file exists", target.path)


def _remove_parts(fs: Any, folder: str, owner: str, abandoned_before: float) -> None:
    """Remove the temporary files of a folder that are this task's own or abandoned."""
    ours = f".seedance-{owner}-"
    with contextlib.suppress(Exception):  # this transfer matters more than leftovers
        for part in fs.glob(f"{glob.escape(folder)}.seedance-*.part"):
            if part.rpartition("/")[2].startswith(ours) or fs.modified(part).timestamp() < abandoned_before:
                with contextlib.suppress(Exception):
                    fs.rm_file(part)


def _abort_uploads(target: ObjectStoragePath, abandoned_before: float) -> None:
    """Abort abandoned multipart uploads to this very key: they are invisible, do not say whose they are, and cost."""
    fs = target.fs
    if not hasattr(fs, "call_s3"):
        return
    bucket, key, _ = fs.split_path(target.path)
    try:
        found = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
        for upload in found.get("Uploads", ()):
            if upload["Key"] == key and upload["Initiated"].timestamp() < abandoned_before:
                log.info("Aborting an upload to %s that began more than an hour ago.", redact(str(target)))
                fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload["UploadId"])
    except Exception as e:  # a connection may be allowed to write but not to list
        log.debug("Cannot list uploads that an earlier try may have left: %s", type(e).__name__)
