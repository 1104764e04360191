"""The transfer that brings a finished video into the team's own storage."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceRequestError,
    SeedanceServiceError,
)
from airflow_provider_seedance.hooks.airflow_compat import with_retry_policy
from airflow_provider_seedance.hooks.hidden import reveal
from airflow_provider_seedance.hooks.task import DEFAULT_CONN_ID, SeedanceTask

if TYPE_CHECKING:
    import requests
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_seedance.api.generation import Generation

#: Bytes held in memory at a time, whatever the video's size.
CHUNK = 1024 * 1024
#: Tries of a transfer that breaks off, each with a fresh link.
ATTEMPTS = 3


class SeedanceToObjectStorageOperator(SeedanceTask, BaseOperator):
    """
    Save a generation's video wherever ``ObjectStoragePath`` can write: a local folder, S3, GCS, Azure and others.

    The service's links die within hours, so a fresh one is asked for. The video is streamed under a temporary name
    and moved to its own once it is whole: nothing half-written is ever found under ``path``.

    :param generation: A generation id, or the result of
        :class:`~airflow_provider_seedance.operators.video.SeedanceGenerateVideoOperator` or its sensor.
    :param path: Where to: a file, or a folder (ending in ``/``) into which ``<generation_id>.mp4`` goes.
    :param conn_id: Airflow connection of the storage. Default: the one that ``path`` names, else the ambient one.
    :param seedance_conn_id: The connection of the service.
    :returns: ``{"path", "size", "generation_id"}``: the file written and its bytes.
    """

    template_fields: Sequence[str] = ("generation", "path", "conn_id", "seedance_conn_id")
    ui_color = "#efe6ff"

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        path: str,
        conn_id: str | None = None,
        seedance_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**with_retry_policy(kwargs))
        self.generation = generation
        self.path = path
        self.conn_id = conn_id
        self.seedance_conn_id = seedance_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Stream the video to its place."""
        from airflow_provider_seedance.api.generation import check_generation_id
        from airflow_provider_seedance.hooks.transport import TransportError

        generation_id = check_generation_id(reveal(self.generation))
        target = self._target(generation_id)
        for attempt in range(1, ATTEMPTS + 1):
            url = self._fresh_link(generation_id)
            try:
                size = self._transfer(url, target, generation_id)
                break
            except (TransportError, _BrokenOffError) as e:
                if attempt == ATTEMPTS:
                    raise
                self.log.warning("Transfer of %s broke off (%s); trying again with a fresh link.", generation_id, e)
        self.log.info("Saved generation %s as %s: %d bytes.", generation_id, target, size)
        return {"path": str(target), "size": size, "generation_id": generation_id}

    def _target(self, generation_id: str) -> ObjectStoragePath:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        given = reveal(self.path)
        if not isinstance(given, str) or not given.strip():
            raise SeedanceRequestError("'path' is empty: give a file or a folder to save to.", field="path")
        path = given.strip()
        if path.endswith("/"):
            path += f"{generation_id}.mp4"
        try:
            target = ObjectStoragePath(path, conn_id=self.conn_id)
            if target.protocol in ("file", "local", ""):
                target.parent.mkdir(parents=True, exist_ok=True)
            return target
        except Exception as e:
            raise _unwritable(path, e) from None  # the cause can hold a signature

    def _fresh_link(self, generation_id: str) -> str:
        generation: Generation = self.hook.get_generation(generation_id)
        if generation.state == "failed":
            raise generation.to_error()
        if generation.state == "running":
            raise SeedanceRequestError(
                f"Generation {generation_id} has not finished: wait for it with SeedanceGenerationSensor upstream.",
                field="generation",
            )
        if generation.video_url is None:
            raise SeedanceServiceError(f"The service gives no link to generation {generation_id} now.")
        return generation.video_url

    def _transfer(self, url: str, target: ObjectStoragePath, generation_id: str) -> int:
        part = target.with_name(f".{target.name}.{generation_id}.part")
        try:
            with self.hook.download(url) as response:
                _check_answer(response, generation_id)
                size = self._stream(response, part, generation_id)
            part.fs.mv(part.path, target.path)
        except BaseException as e:
            _remove(part)
            if isinstance(e, SeedanceError) or not isinstance(e, Exception):
                raise
            raise _unwritable(str(target), e) from None
        return size

    def _stream(self, response: requests.Response, part: ObjectStoragePath, generation_id: str) -> int:
        size = 0
        with part.open("wb") as file:
            for chunk in response.iter_content(CHUNK):
                if size == 0:
                    _check_start(chunk, generation_id)
                file.write(chunk)
                size += len(chunk)
        expected = response.headers.get("Content-Length", "")
        if size == 0:
            raise _no_video(generation_id, "it is empty")
        if expected.isdigit() and int(expected) != size:
            raise _BrokenOffError(f"The transfer of generation {generation_id} ended at {size} of {expected} bytes.")
        return size


class _BrokenOffError(SeedanceServiceError):
    """The storage refused or broke off: a fresh link may do, since this one may have ended between two steps."""


def _check_answer(response: requests.Response, generation_id: str) -> None:
    if response.status_code in (403, 404, 410):
        raise _BrokenOffError(
            f"The link of generation {generation_id} is refused (HTTP {response.status_code}), though it is fresh: "
            "the video is no longer kept.",
            status=response.status_code,
        )
    if response.status_code != 200:
        raise _BrokenOffError(
            f"The storage of generation {generation_id} answered HTTP {response.status_code}.",
            status=response.status_code,
        )


def _check_start(chunk: bytes, generation_id: str) -> None:
    """Every mp4 begins with a box of type ``ftyp``; an error page does not."""
    if chunk[4:8] != b"ftyp":
        raise _no_video(generation_id, "it does not begin as one")


def _no_video(generation_id: str, why: str) -> SeedanceServiceError:
    return SeedanceServiceError(
        f"What the link of generation {generation_id} leads to is no mp4: {why}. Nothing was saved; a retry asks again."
    )


def _unwritable(path: str, error: Exception) -> SeedanceRequestError:
    # it may carry a signature, as pre-signed addresses do
    what = redact(f"{path!r} cannot be written ({type(error).__name__}: {error})")
    return SeedanceRequestError(
        f"'path' {what}. Check the address, the permissions, 'conn_id', and that the storage's Airflow provider is "
        "installed.",
        field="path",
    )


def _remove(part: ObjectStoragePath) -> None:
    with contextlib.suppress(Exception):  # what stopped the transfer matters more than this
        part.unlink(missing_ok=True)
