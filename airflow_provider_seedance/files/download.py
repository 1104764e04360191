"""Results coming back: a generation's file that outlives its links, and the checks its bytes pass on the way."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import conf

from airflow_provider_seedance.api.links import LinkRefusedError, read_link_answer
from airflow_provider_seedance.api.mp4 import ImageCheck, Mp4Check
from airflow_provider_seedance.api.naming import What
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.values import refuse
from airflow_provider_seedance.exceptions import SeedanceServiceError, SeedanceTransportError
from airflow_provider_seedance.files.storage import PART, whole_file
from airflow_provider_seedance.hooks.transport import RESULT_STORAGE, body_errors

if TYPE_CHECKING:
    import requests
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.hooks.seedance import SeedanceHook

log = logging.getLogger(__name__)

#: Attempts in a row without progress, each with a new link, before a download fails.
ATTEMPTS = 5
#: Bytes that count as progress.
PROGRESS = 1024 * 1024
#: Bytes read from a connection at a time.
CHUNK = 1024 * 1024
#: Bytes of the largest file that is downloaded, unless the configuration says otherwise: many times what the service
#: makes (contract.md#downloads).
MAX_BYTES: Mapping[What, int] = {"video": 2 * 1024**3, "last_frame": 64 * 1024**2}
#: Seconds before the first attempt to resume; doubled for each further one without progress.
RESUME_BACKOFF = 1.0
#: Seconds between two progress lines in the log.
PROGRESS_INTERVAL = 5.0


def max_bytes(what: What) -> int:
    """Return the largest file of a kind that is downloaded, in bytes."""
    return int(conf.getint("seedance", f"max_{what}_bytes", fallback=MAX_BYTES[what]))


def link_to(generation: Generation, what: What) -> str:
    """
    Return the link to one of a generation's files.

    :param generation: The generation, as just queried.
    :param what: ``video`` or ``last_frame``.
    :returns: The signed link.
    :raises SeedanceError: The typed error of a generation that failed, has not finished, or has no such file.
    """
    if generation.state == "failed":
        raise generation.to_error()
    name = generation.generation_id
    if generation.state == "running":
        refuse("generation", f"{name} has not finished", "Wait for it with SeedanceGenerationSensor upstream")
    url = generation.url_of(what)
    if url is None and what == "last_frame":
        refuse("what", f"requests a last frame, which generation {name} lacks", "Generate with return_last_frame=True")
    if url is None:
        raise SeedanceServiceError(f"The service gives no link to generation {name} at the moment.")
    return url


class ResultFile(io.RawIOBase):
    """
    A generation's file, read-only and seekable. Reads of any size cost one request as long as they move forward.

    If a link is refused, a connection breaks, or less than a MiB arrives within the connection's ``timeout``, reading
    resumes with a new link at the byte reached, so the file can be read for longer than a link lives.

    :param hook: The hook that downloads and asks for new links; its clock does the waiting.
    :param generation: The generation, as just queried.
    :param what: ``video`` (default) or ``last_frame``.
    :raises SeedanceError: If the file cannot be opened.
    """

    def __init__(self, hook: SeedanceHook, generation: Generation, what: What = "video") -> None:
        super().__init__()
        self.hook = hook
        self.generation = generation
        self.what = what
        self.size: int | None = None
        self._most = max_bytes(what)
        self._etag: str | None = None
        self._position = 0
        self._link_used = False
        self._failures = 0
        self._failed_at = 0
        self._response: requests.Response | None = None
        self._connection = ExitStack()
        self._fetch(0)  # opens it, so that its size is known

    @property
    def name(self) -> str:
        """The file in words, for messages."""
        return f"the {self.what.replace('_', ' ')} of generation {self.generation.generation_id}"

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """
        Move to a byte. Costs nothing until the next read.

        :returns: The position, in bytes from the beginning.
        :raises OSError: From the end, if the storage does not say how long the file is.
        """
        if whence == io.SEEK_END and self.size is None:
            raise OSError(f"The storage does not say how long {self.name} is.")
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size or 0}[whence]
        position = origin + offset
        if position < 0:
            raise ValueError(f"Cannot seek to byte {position}.")
        if position != self._position:
            self._disconnect()
            self._position = position
        return position

    def read(self, size: int = -1) -> bytes:
        """
        Read up to ``size`` bytes; all that are left by default.

        :returns: What was received in one piece: at least one byte, and none at the end.
        :raises SeedanceServiceError: If the download is interrupted again and again.
        """
        if self.closed:
            raise ValueError(f"{self.name} is closed.")
        if size < 0:
            return self.readall()
        if size == 0 or (self.size is not None and self._position >= self.size):
            return b""
        data = self._fetch(min(size, CHUNK))
        self._position += len(data)
        self._check_size(self._position)
        return data

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, as :meth:`read` does, and return the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Release the connection."""
        self._disconnect()
        super().close()

    def _fetch(self, count: int) -> bytes:
        """Read up to ``count`` bytes at the position, over as many connections as it takes."""
        while True:
            try:
                response = self._response or self._connect()
                with body_errors():
                    data: bytes = response.raw.read(count)
                if count and not data and self.size is not None:
                    raise SeedanceTransportError(f"{RESULT_STORAGE} ended at {self._position} of {self.size} bytes.")
                return data
            except (SeedanceTransportError, LinkRefusedError) as e:
                self._disconnect()
                pause = self._pause_after(e)
                log.warning(
                    "Download of %s interrupted at byte %d: %s. Resuming with a new link in %.0f s.",
                    *(self.name, self._position, str(e).rstrip("."), pause),
                )
                self.hook.clock.sleep(pause)

    def _pause_after(self, error: SeedanceTransportError | LinkRefusedError) -> float:
        """Return the seconds to wait before resuming, or raise after too many attempts without progress."""
        if self._position >= self._failed_at + PROGRESS:
            self._failures = 0
        self._failures += 1
        self._failed_at = self._position
        if self._failures < ATTEMPTS:
            return RESUME_BACKOFF * 2.0 ** (self._failures - 1)
        gone = " The link was new: the file is no longer kept." if isinstance(error, LinkRefusedError) else ""
        message = f"Download of {self.name} was interrupted {ATTEMPTS} times at byte {self._position}: {error}{gone}"
        raise error.retyped(type(error), message) from None

    def _connect(self) -> requests.Response:
        """Open the file at the position, with a link that was not used before."""
        if self._link_used:
            self.generation = self.hook.requery_generation(str(self.generation.generation_id))
        self._link_used = True
        url = link_to(self.generation, self.what)
        response = self._connection.enter_context(self.hook.download(url, start=self._position))
        answer = read_link_answer(response.status_code, response.headers, start=self._position)
        if _differ(self.size, answer.size) or _differ(self._etag, answer.etag):
            raise SeedanceServiceError(f"The bytes of {self.name} changed during the download. A retry starts over.")
        self.size, self._etag = answer.size, answer.etag
        self._check_size(self.size or 0)
        skip = answer.skip
        with body_errors():
            while skip > 0 and (data := response.raw.read(min(skip, CHUNK))):
                skip -= len(data)
        self._response = response
        return response

    def _check_size(self, size: int) -> None:
        if size > self._most:
            raise SeedanceServiceError(
                f"{self.name} has more than the {self._most} bytes that max_{self.what}_bytes in the configuration's "
                "section [seedance] allows. Raise it if the file is right; a retry downloads it at no new cost."
            )

    def _disconnect(self) -> None:
        self._response = None
        self._connection.close()


def _differ(before: object, now: object) -> bool:
    return None not in (before, now) and before != now


class CheckedDownload:
    """
    One pass over a result file that counts, hashes and checks its bytes: the whole, right file or an error.

    :param source: The file, at its beginning.
    """

    def __init__(self, source: ResultFile) -> None:
        self._source = source
        self._check = Mp4Check() if source.what == "video" else ImageCheck()
        self._hash = hashlib.sha256()
        self.size = 0
        self.duration: float | None = None

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def content_type(self) -> str:
        """The MIME type of the bytes."""
        return self._check.content_type

    def chunks(self) -> Iterator[bytes]:
        """
        Pass the file on chunk by chunk, and log the progress every few seconds.

        :returns: The chunks, in order.
        :raises SeedanceServiceError: If the download fails, or the file is not what it should be.
        """
        clock = self._source.hook.clock
        started = logged = clock.now()
        hashing: Future[None] | None = None
        try:
            # in parallel with reading and writing: hashing takes longer than both of them together
            with ThreadPoolExecutor(1, thread_name_prefix="sha256") as executor:
                while chunk := self._source.read(CHUNK):
                    self._check.feed(chunk)
                    self.size += len(chunk)
                    now = clock.now()
                    if now - logged >= PROGRESS_INTERVAL:
                        logged, rate = now, self.size / (now - started) / 1e6
                        log.info("%d of %s bytes so far, %.1f MB/s.", self.size, self._source.size, rate)
                    if hashing:
                        hashing.result()
                    hashing = executor.submit(self._hash.update, chunk)
                    yield chunk
            self.duration = self._check.finish()
        except ValueError as e:
            raise SeedanceServiceError(
                f"The link to {self._source.name} does not lead to a valid {self._check.noun}: {e}. Nothing was saved; "
                "a retry requests a new link."
            ) from None

    def matches(self, target: ObjectStoragePath) -> bool:
        """
        Compare the file with a stored one, up to the first difference.

        :param target: The stored file.
        :returns: Whether both hold the same bytes.
        """
        if target.fs.size(target.path) != self._source.size:
            return False
        with target.fs.open(target.path, "rb", block_size=PART) as stored:
            return all(stored.read(len(chunk)) == chunk for chunk in self.chunks()) and not stored.read(1)


def save(
    source: ResultFile, target: ObjectStoragePath, *, if_exists: str = "skip", owner: str | None = None
) -> CheckedDownload:
    """
    Save a file whole, or leave the target as it is.

    :param source: The file, at its beginning.
    :param target: Where it goes.
    :param if_exists: ``skip`` (default) writes nothing if the target holds the same bytes, and replaces others;
        ``overwrite`` replaces without comparing; ``fail`` raises, also if another writer was faster.
    :param owner: What the tries of one task instance have in common, as :func:`whole_file` takes it.
    :returns: What was downloaded.
    :raises SeedanceRequestError: If the target exists and ``if_exists`` is ``fail``.
    :raises SeedanceServiceError: If the download fails, or the file is not what it should be.
    """
    exclusive = if_exists == "fail"
    if if_exists != "overwrite" and target.fs.exists(target.path):
        if exclusive:
            _refuse_existing(target)
        download = CheckedDownload(source)
        if download.matches(target):
            log.info("%s already contains the same bytes; nothing is written.", redact(str(target)))
            return download
        source.seek(0)
    download = CheckedDownload(source)
    try:
        with whole_file(target, owner=owner, now=source.hook.clock.now(), exclusive=exclusive) as file:
            for chunk in download.chunks():
                file.write(chunk)
    except FileExistsError:
        if not exclusive:
            raise
        _refuse_existing(target)
    return download


def _refuse_existing(target: ObjectStoragePath) -> NoReturn:
    place = redact(str(target))
    refuse("path", f"{place!r} exists, and 'if_exists' is 'fail'", "Give another path, or 'skip' or 'overwrite'")
