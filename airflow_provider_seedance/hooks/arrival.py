"""One passage of a result's file: counted, hashed and checked as its bytes come by."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.arrival import ImageCheck, Mp4Check
from airflow_provider_seedance.exceptions import SeedanceServiceError
from airflow_provider_seedance.hooks.result_file import CHUNK, ResultFile
from airflow_provider_seedance.hooks.storage import PART

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

#: Seconds between two lines of progress.
PROGRESS_INTERVAL = 5.0


class Arrival:
    """
    A file on its way, whole and right or not at all.

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
        """The hash of what came so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def content_type(self) -> str:
        """What the bytes are."""
        return self._check.content_type

    def chunks(self) -> Iterator[bytes]:
        """
        Pass the file on, piece by piece. Says every few seconds how far it is.

        :raises SeedanceServiceError: where it breaks off for good, or is not the file that it should be.
        """
        progress = _Progress(self._source.size)
        try:
            # hashed beside reading and writing: it takes longer than both of them together
            with ThreadPoolExecutor(1, thread_name_prefix="sha256") as beside:
                hashed: Future[Any] = beside.submit(int)
                while chunk := self._source.read(CHUNK):
                    self._check.feed(chunk)
                    self.size += len(chunk)
                    progress.tell(self.size)
                    hashed.result()
                    hashed = beside.submit(self._hash.update, chunk)
                    yield chunk
            self.duration = self._check.finish()
        except ValueError as e:
            raise SeedanceServiceError(
                f"What the link to {self._source.name} leads to is no {self._check.noun}: {e}. Nothing was "
                "saved; a retry asks again."
            ) from None

    def is_at(self, target: ObjectStoragePath) -> bool:
        """Say whether the very same bytes are there. Reads both until they differ."""
        if target.fs.size(target.path) != self._source.size:
            return False
        with target.fs.open(target.path, "rb", block_size=PART) as there:
            return all(there.read(len(chunk)) == chunk for chunk in self.chunks()) and not there.read(1)


class _Progress:
    """Says every few seconds how far a transfer is."""

    def __init__(self, whole: int | None) -> None:
        self._whole = whole
        self._started = self._said = time.monotonic()

    def tell(self, size: int) -> None:
        now = time.monotonic()
        if now - self._said >= PROGRESS_INTERVAL:
            self._said = now
            log.info("%d of %s bytes so far, %.1f MB/s.", size, self._whole, size / (now - self._started) / 1e6)
