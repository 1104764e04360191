"""
The read-only ``seedance://`` file system: a generation's files, under names that do not expire.

``seedance://<connection>@<generation id>/video.mp4`` and ``…/last_frame.png``. The service's links die within hours, so
each open requests a new one. Airflow finds the file system through ``filesystems`` in ``get_provider_info()``, fsspec
through the entry point ``fsspec.specs``, and ``ObjectStoragePath`` through ``universal_pathlib.implementations``.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

import fsspec
from upath import UPath

from airflow_provider_seedance.api.naming import EXTENSIONS, What
from airflow_provider_seedance.api.response import DEFAULT_CONN_ID
from airflow_provider_seedance.exceptions import SeedanceNotFoundError

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.files.download import ResultFile
    from airflow_provider_seedance.hooks.seedance import SeedanceHook

schemes = ["seedance"]

#: The files of a generation.
FILES: Mapping[str, What] = {f"{what}.{extension}": what for what, extension in EXTENSIONS.items()}
#: Bytes read at a time, however few are asked for.
BUFFER = 1024 * 1024


def get_fs(conn_id: str | None, storage_options: Mapping[str, Any] | None = None) -> SeedanceFileSystem:
    """
    Return the file system of a connection: Airflow's ``ObjectStoragePath`` calls this.

    :param conn_id: The connection. Default: ``seedance_default``.
    :param storage_options: Further arguments of the file system.
    :returns: The file system, which fsspec caches.
    """
    return SeedanceFileSystem(conn_id=conn_id, **(storage_options or {}))


class SeedanceFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """
    A generation is a folder, named by its id, that holds ``video.mp4`` and, if it was requested, ``last_frame.png``.

    They exist once the generation has succeeded, for as long as the service keeps them (about 7 days). Files are
    seekable; if a link dies while a file is read, reading resumes with a new one.

    :param conn_id: The connection. Default: ``seedance_default``.
    """

    protocol = "seedance"

    def __init__(self, conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id or DEFAULT_CONN_ID

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path)
        return stripped.rpartition("@")[2].strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        conn_id, at, _ = str(path).removeprefix("seedance://").partition("/")[0].rpartition("@")
        return {"conn_id": conn_id} if at else {}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """
        List a generation's files, or one file.

        :returns: Descriptions or paths.
        :raises FileNotFoundError: If there is no such generation or file, or the generation has not succeeded.
        """
        hook, generation, name = self._query(path)
        names = [name] if name else [known for known, what in FILES.items() if generation.url_of(what)]
        found = [_describe(hook, generation, known) for known in names]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """
        Describe a generation or one of its files.

        :returns: ``name``, ``type``, ``size`` in bytes, and ``created`` and ``mtime`` in Unix seconds.
        :raises FileNotFoundError: If there is no such generation or file, or the generation has not succeeded.
        """
        return _describe(*self._query(path))

    def exists(self, path: str, **kwargs: Any) -> bool:
        """
        Return whether a file exists: its generation has succeeded, and the service still keeps it.

        :returns: Whether it exists.
        :raises SeedanceError: If the service cannot be queried. Unknown is never absent.
        """
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def created(self, path: str) -> datetime | None:
        """
        Return when the generation finished.

        :returns: The time in UTC; None if the service does not say.
        """
        made = self.info(path)["created"]
        return None if made is None else datetime.fromtimestamp(made, tz=UTC)

    modified = created

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:
        """
        Return a new signed link.

        :param expiration: Ignored: the service decides how long a link lives.
        :returns: The link.
        """
        _, generation, name = self._query(path)
        return str(generation.url_of(_file(generation, name)))

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> io.BufferedReader:
        from airflow_provider_seedance.files.download import ResultFile

        if mode != "rb":
            self._refuse_change(path)
        hook, generation, name = self._query(path)
        return _SizedReader(ResultFile(hook, generation, _file(generation, name)), BUFFER)

    def _refuse_change(self, path: object, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse whatever would change something: fsspec's own versions do nothing, or fail without a message."""
        raise OSError(errno.EROFS, "seedance:// is read-only: videos come from SeedanceGenerateVideoOperator", path)

    rm = rm_file = _rm = rmdir = mkdir = makedirs = cp_file = copy = mv = touch = _refuse_change

    def _query(self, path: str) -> tuple[SeedanceHook, Generation, str]:
        """Query a path's generation, through a hook of its own: file systems are cached, and keys change."""
        from airflow_provider_seedance.hooks.seedance import SeedanceHook

        generation_id, _, name = self._strip_protocol(path).partition("/")
        if not generation_id:
            raise _missing("(none)", "name it, as in seedance://seedance_default@asyntask_.../video.mp4")
        hook = SeedanceHook(self.conn_id)
        try:
            generation = hook.requery_generation(generation_id)
        except SeedanceNotFoundError as e:
            raise _missing(generation_id, str(e)) from e
        if generation.state == "running":
            raise _missing(generation_id, "it has not finished")
        if generation.state == "failed":
            raise _missing(generation_id, f"it failed, {generation.failure_reason}")
        return hook, generation, name


class _SizedReader(io.BufferedReader):
    """A buffered file that says how long it is, as fsspec's own do: ranges that count from the end need it."""

    @property
    def size(self) -> int | None:
        """Bytes; None if the storage does not say."""
        return cast("ResultFile", self.raw).size


#: The path class of the scheme: an ordinary one, defined here so that using it registers the file system.
SeedancePath = UPath
fsspec.register_implementation("seedance", SeedanceFileSystem)


def _describe(hook: SeedanceHook, generation: Generation, name: str) -> dict[str, Any]:
    """Describe one of a generation's files, or without a name the generation."""
    path, made = str(generation.generation_id), generation.finished_at
    entry = {"name": path, "type": "directory", "size": 0, "created": made, "mtime": made}
    if name:
        size = hook.size_of(str(generation.url_of(_file(generation, name))))
        entry |= {"name": f"{path}/{name}", "type": "file", "size": size}
    return entry


def _file(generation: Generation, name: str) -> What:
    if name not in FILES:
        raise _missing(generation.generation_id, f"{name!r} is none of {', '.join(FILES)}")
    what = FILES[name]
    if generation.url_of(what) is None:
        why = "return_last_frame was not requested" if what == "last_frame" else "the service gives no link now"
        raise _missing(generation.generation_id, f"it has no {name}: {why}")
    return what


def _missing(generation_id: str | None, why: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, f"No file of generation {generation_id}: {why}")
