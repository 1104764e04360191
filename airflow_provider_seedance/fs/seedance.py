"""
The read-only ``seedance://`` file system: a generation's files, by names that do not expire.

``seedance://<connection>@<generation id>/video.mp4`` and ``…/last_frame.png``. The service's links die within hours, so
each open asks for a fresh one. Airflow finds it by ``filesystems`` in ``get_provider_info()``, fsspec by the entry
point ``fsspec.specs``, and ``ObjectStoragePath`` by ``universal_pathlib.implementations``.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import fsspec
from upath import UPath

from airflow_provider_seedance.api.naming import EXTENSIONS, What
from airflow_provider_seedance.exceptions import SeedanceNotFoundError

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.hooks.seedance import SeedanceHook

schemes = ["seedance"]

#: The files of a generation.
FILES: Mapping[str, What] = {f"{what}.{extension}": what for what, extension in EXTENSIONS.items()}
#: Bytes that are read at a time, whatever is asked for.
BUFFER = 1024 * 1024


def get_fs(conn_id: str | None, storage_options: Mapping[str, Any] | None = None) -> SeedanceFileSystem:
    """Return the file system for a connection: what Airflow's ``ObjectStoragePath`` calls."""
    return SeedanceFileSystem(conn_id=conn_id, **(storage_options or {}))


class SeedanceFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """
    A generation is a folder, named by its id, that holds ``video.mp4`` and, where it was asked for, ``last_frame.png``.

    They exist once the generation has succeeded, for as long as the service keeps them (about 7 days). Files are
    seekable, and go on with a fresh link where one dies while they are read.

    :param conn_id: The connection. Default: ``seedance_default``.
    """

    protocol = "seedance"

    def __init__(self, conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id or "seedance_default"

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
        List a generation's files, or a file itself.

        :raises FileNotFoundError: where there is no such generation, or it has not succeeded.
        """
        generation_id, name = self._split(path)
        hook, generation = self._ask(generation_id)
        names = [name] if name else [known for known, what in FILES.items() if generation.url_of(what)]
        found = [self._describe(hook, generation, known) for known in names]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """
        Describe a generation or one of its files: ``name``, ``type``, ``size`` in bytes, and when it was made.

        :raises FileNotFoundError: where there is none.
        """
        generation_id, name = self._split(path)
        hook, generation = self._ask(generation_id)
        if name:
            return self._describe(hook, generation, name)
        made = generation.finished_at
        return {"name": generation_id, "type": "directory", "size": 0, "created": made, "mtime": made}

    def exists(self, path: str, **kwargs: Any) -> bool:
        """
        Say whether a file is there: its generation has succeeded and is still kept.

        :raises SeedanceError: where the service cannot be asked. Unknown is never absent.
        """
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def created(self, path: str) -> datetime | None:
        """Return when the generation was finished, where the service says so."""
        made = self.info(path)["created"]
        return None if made is None else datetime.fromtimestamp(made, tz=UTC)

    modified = created

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:
        """Return a fresh signed link. How long it lives is up to the service: 12 hours, whatever is asked for."""
        generation_id, name = self._split(path)
        _, generation = self._ask(generation_id)
        return str(generation.url_of(_file(generation, name)))

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> io.BufferedReader:
        from airflow_provider_seedance.hooks.result_file import ResultFile

        if mode != "rb":
            raise OSError(errno.EROFS, "seedance:// is read-only: videos come from SeedanceGenerateVideoOperator", path)
        generation_id, name = self._split(path)
        hook, generation = self._ask(generation_id)
        return io.BufferedReader(ResultFile(hook, generation, _file(generation, name)), BUFFER)

    def _describe(self, hook: SeedanceHook, generation: Generation, name: str) -> dict[str, Any]:
        size = hook.size_of(str(generation.url_of(_file(generation, name))))
        made = generation.finished_at
        path = f"{generation.generation_id}/{name}"
        return {"name": path, "type": "file", "size": size, "created": made, "mtime": made}

    def _split(self, path: str) -> tuple[str, str]:
        generation_id, _, name = self._strip_protocol(path).partition("/")
        return generation_id, name

    def _ask(self, generation_id: str) -> tuple[SeedanceHook, Generation]:
        """Ask for a generation, over a hook of its own: this file system is shared, and keys change."""
        from airflow_provider_seedance.hooks.seedance import SeedanceHook

        if not generation_id:
            raise _missing("(none)", "name it, as in seedance://seedance_default@asyntask_.../video.mp4")
        hook = SeedanceHook(self.conn_id)
        try:
            generation = hook.get_generation(generation_id)
        except SeedanceNotFoundError as e:
            raise _missing(generation_id, str(e)) from e
        if generation.state == "running":
            raise _missing(generation_id, "it has not finished")
        if generation.state == "failed":
            raise _missing(generation_id, f"it failed, {generation.failure_reason}")
        return hook, generation


#: The path class of the scheme: an ordinary one, by way of this module, which makes the file system known to it.
SeedancePath = UPath
fsspec.register_implementation("seedance", SeedanceFileSystem)


def _file(generation: Generation, name: str) -> What:
    what = FILES.get(name)
    if what is None:
        raise _missing(generation.generation_id, f"{name!r} is none of {', '.join(FILES)}")
    if generation.url_of(what) is None:
        why = "return_last_frame was not asked for" if what == "last_frame" else "the service gives no link now"
        raise _missing(generation.generation_id, f"it has no {name}: {why}")
    return what


def _missing(generation_id: str | None, why: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, f"No file of generation {generation_id}: {why}")
