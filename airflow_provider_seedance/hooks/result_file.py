"""A finished generation's video or last frame as a file to read: over links that die, and connections that break."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_seedance.api.arrival import LinkRefusedError, read_link_answer
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.naming import What
from airflow_provider_seedance.exceptions import SeedanceRequestError, SeedanceServiceError
from airflow_provider_seedance.hooks import base
from airflow_provider_seedance.hooks.transport import TransportError, transport_errors

if TYPE_CHECKING:
    import requests

    from airflow_provider_seedance.hooks.seedance import SeedanceHook

log = logging.getLogger(__name__)

#: Tries in a row that bring no progress, each with a fresh link.
ATTEMPTS = 5
#: Bytes that count as progress.
PROGRESS = 1024 * 1024
#: Bytes asked of the connection at a time.
CHUNK = 1024 * 1024

_T = TypeVar("_T")


def link_to(generation: Generation, what: What) -> str:
    """
    Return the link to one of a generation's files.

    :raises SeedanceError: The typed error of a generation that failed, has not finished, or has no such file.
    """
    if generation.state == "failed":
        raise generation.to_error()
    if generation.state == "running":
        raise SeedanceRequestError(
            f"Generation {generation.generation_id} has not finished: wait for it with SeedanceGenerationSensor "
            "upstream.",
            field="generation",
        )
    url = generation.url_of(what)
    if url is None and what == "last_frame":
        raise SeedanceRequestError(
            f"Generation {generation.generation_id} has no last frame: it is made only with return_last_frame=True.",
            field="what",
        )
    if url is None:
        raise SeedanceServiceError(f"The service gives no link to generation {generation.generation_id} now.")
    return url


class ResultFile(io.RawIOBase):
    """
    A generation's file, read-only and seekable. Reads in pieces of any size cost one request while they go forward.

    A link that is refused and a connection that breaks are met with a fresh link, from the byte reached on; so the
    file can be read for longer than a link lives.

    :param hook: What asks for fresh links.
    :param generation: The generation, as just asked for.
    :param what: ``video`` or ``last_frame``.
    :raises SeedanceError: where it cannot be opened.
    """

    def __init__(self, hook: SeedanceHook, generation: Generation, what: What = "video") -> None:
        super().__init__()
        self.generation = generation
        self.size: int | None = None
        self._hook = hook
        self.what = what
        self._etag: str | None = None
        self._fresh = True
        self._position = 0
        self._tries = 0
        self._broken_at = 0
        self._response: requests.Response | None = None
        self._open = ExitStack()
        self._insistently(lambda response: None)

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"the {self.what.replace('_', ' ')} of generation {self.generation.generation_id}"

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the byte that is read next."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """
        Go to a byte. Costs nothing until the next read.

        :raises OSError: from the end, where the storage does not say how long the file is.
        """
        if whence == io.SEEK_END and self.size is None:
            raise OSError(f"The storage does not say how long {self.name} is.")
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size or 0}[whence]
        if origin + offset < 0:
            raise ValueError(f"Cannot go to byte {origin + offset}.")
        if origin + offset != self._position:
            self._disconnect()
            self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """
        Read up to so many bytes, or to the end.

        :returns: What came in one piece, at least a byte; nothing at the end.
        :raises SeedanceServiceError: where it goes on breaking off.
        """
        if self.closed:
            raise ValueError(f"{self.name} is closed.")
        if size < 0:
            return self.readall()
        if size == 0 or (self.size is not None and self._position >= self.size):
            return b""

        def read(response: requests.Response) -> bytes:
            with transport_errors("The storage of the result"):
                data: bytes = response.raw.read(min(size, CHUNK))
            if not data and self.size is not None:
                raise TransportError(f"The storage of the result ended at {self._position} of {self.size} bytes.")
            return data

        data = self._insistently(read)
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, as :meth:`read` does, and return the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Let the connection go."""
        self._disconnect()
        super().close()

    def _insistently(self, act: Callable[[requests.Response], _T]) -> _T:
        """Do something with the open connection; where it breaks, open another and do it again."""
        while True:
            try:
                return act(self._response or self._connect())
            except (TransportError, LinkRefusedError) as e:
                self._disconnect()
                pause = self._pause_after(e)
                log.warning(
                    "Reading %s broke off at byte %d (%s) Going on with a fresh link in %.0f s.",
                    *(self.name, self._position, e, pause),
                )
                time.sleep(pause)

    def _pause_after(self, error: SeedanceServiceError) -> float:
        """Return the seconds to wait for, or raise when enough was tried without progress."""
        if self._position >= self._broken_at + PROGRESS:
            self._tries = 0
        self._tries += 1
        self._broken_at = self._position
        if self._tries < ATTEMPTS:
            return base.READ_BACKOFF * 2.0 ** (self._tries - 1)
        gone = " The link is fresh: it is no longer kept." if isinstance(error, LinkRefusedError) else ""
        raise type(error)(
            f"Reading {self.name} broke off {ATTEMPTS} times at byte {self._position}: {error}{gone}",
            status=error.status,
        ) from None

    def _connect(self) -> requests.Response:
        """Open the file at the position, by a link that was not used yet."""
        if not self._fresh:
            self.generation = self._hook.get_generation(str(self.generation.generation_id))
        self._fresh = False
        url = link_to(self.generation, self.what)
        response = self._open.enter_context(self._hook.download(url, start=self._position))
        answer = read_link_answer(response.status_code, response.headers, start=self._position)
        if _differ(self.size, answer.size) or _differ(self._etag, answer.etag):
            raise SeedanceServiceError(f"The bytes of {self.name} changed while they were read. A retry begins anew.")
        self.size, self._etag = answer.size, answer.etag
        self._pass_over(response, answer.skip)
        self._response = response
        return response

    def _pass_over(self, response: requests.Response, count: int) -> None:
        """Read away what was not asked for: a storage may ignore a range."""
        with transport_errors("The storage of the result"):
            while count > 0 and (data := response.raw.read(min(count, CHUNK))):
                count -= len(data)

    def _disconnect(self) -> None:
        self._response = None
        self._open.close()


def _differ(before: object, now: object) -> bool:
    return None not in (before, now) and before != now
