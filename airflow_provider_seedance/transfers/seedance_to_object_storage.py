"""The transfer that brings a finished video into the team's own storage."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedance.api.naming import EXTENSIONS, What, check_path, file_name, fill_path
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceRequestError, SeedanceServiceError
from airflow_provider_seedance.hooks.airflow_compat import pushable, with_retry_policy
from airflow_provider_seedance.hooks.hidden import Hidden, reveal
from airflow_provider_seedance.hooks.task import DEFAULT_CONN_ID, GenerationTask, is_literal
from airflow_provider_seedance.links import SeedanceVideoLink, browser_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.hooks.arrival import Arrival
    from airflow_provider_seedance.hooks.result_file import ResultFile

_IF_EXISTS = ("skip", "overwrite", "fail")
#: What a storage says that will say so again: it is not installed, not there, or may not be written.
_FOR_GOOD = (
    ImportError,
    LookupError,
    NotImplementedError,
    ValueError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


class SeedanceToObjectStorageOperator(GenerationTask, BaseOperator):
    """
    Save a generation's video wherever ``ObjectStoragePath`` can write: a local folder, S3, GCS, Azure and others.

    The service's links die within hours, so a fresh one is asked for, and another whenever one is refused or a
    transfer breaks off: it goes on from the byte reached. The video is streamed in constant memory, its length and
    structure are checked on the way, and ``path`` shows it whole or not at all: under a temporary name that is changed
    at the end, or on S3 and GCS by an upload that is committed at the end. A try that was killed leaves nothing that
    the next one does not remove.

    :param generation: A generation id, or the result of
        :class:`~airflow_provider_seedance.operators.video.SeedanceGenerateVideoOperator` or its sensor.
    :param path: Where to: a file, or a folder (one that exists, or any that ends in ``/``) into which
        ``<generation_id>.mp4`` goes. May name ``{generation_id}``, ``{model}``, ``{resolution}``, ``{ratio}``,
        ``{duration}``, ``{seed}`` and ``{extension}``.
    :param what: ``video`` (default), ``last_frame``, or ``both``, also as a list of the two. Beside a video whose path
        is a file, the last frame has the same name with ``.png``.
    :param if_exists: ``skip`` (default) writes nothing where the very same bytes are there, compared one by one, and
        replaces others; ``overwrite`` replaces without looking; ``fail`` raises where anything is there.
    :param conn_id: Airflow connection of the storage. Default: the one that ``path`` names, else the ambient one.
    :param seedance_conn_id: The connection of the service.
    :returns: ``{"path", "size", "sha256", "content_type", "duration", "seconds", "bytes_per_second",
        "generation_id"}``: the file, its bytes, its seconds of play, and how long the transfer took. With
        ``what="both"`` the same of the last frame under ``last_frame``.
    :raises SeedanceRequestError: The path cannot be written, or is taken.
    :raises SeedanceServiceError: The video cannot be had, or is no whole video; a retry asks again.
    """

    template_fields: Sequence[str] = ("generation", "path", "what", "if_exists", "conn_id", "seedance_conn_id")
    ui_color = "#efe6ff"
    operator_extra_links = (SeedanceVideoLink(),)
    #: Where the extra link leads, once the video is saved.
    video_link = Hidden("")

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        path: str,
        what: str | Sequence[str] = "video",
        if_exists: str = "skip",
        conn_id: str | None = None,
        seedance_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**with_retry_policy(kwargs))
        self.generation = generation
        self.path = path
        self.what = what
        self.if_exists = if_exists
        self.conn_id = conn_id
        self.seedance_conn_id = seedance_conn_id
        for value, check in ((what, self._files), (if_exists, self._check_if_exists), (path, self._check_path)):
            if is_literal(value):
                check()

    def execute(self, context: Context) -> dict[str, Any]:
        """Stream the files to their places."""
        from airflow_provider_seedance.api.generation import check_generation_id
        from airflow_provider_seedance.hooks.result_file import link_to
        from airflow_provider_seedance.telemetry.outlets import describe_outlets

        given = reveal(self.generation)
        generation_id = check_generation_id(given)
        self._check_if_exists()
        self._check_path()
        files = self._files()
        generation: Generation = self.hook.get_generation(generation_id)
        for what in files:
            link_to(generation, what)
        saved: list[dict[str, Any]] = [self._save(generation, what) for what in files]
        self.video_link = Hidden(browser_url(saved[0]["path"]))
        result = {**saved[0], "generation_id": generation_id}
        if len(saved) > 1:
            result["last_frame"] = saved[1]
        facts = {name: result[name] for name in ("path", "size", "sha256", "content_type")}
        if isinstance(given, Mapping):
            facts["prompt_fingerprint"] = given.get("prompt_fingerprint")
        describe_outlets(context, self.outlets, generation, facts)
        self._tell(generation, given=given, stored=result)
        return pushable(result)

    def _files(self) -> tuple[What, ...]:
        words = {self.what} if isinstance(self.what, str) else set(self.what)
        if words == {"both"}:
            return tuple(EXTENSIONS)
        if not words or not words <= set(EXTENSIONS):
            raise SeedanceRequestError(
                f"'what' must be 'video', 'last_frame' or 'both'; got {self.what!r}.", field="what"
            )
        return tuple(name for name in EXTENSIONS if name in words)

    def _check_if_exists(self) -> None:
        if self.if_exists not in _IF_EXISTS:
            raise SeedanceRequestError(
                f"'if_exists' must be 'skip', 'overwrite' or 'fail'; got {self.if_exists!r}.", field="if_exists"
            )

    def _check_path(self) -> str:
        return check_path(reveal(self.path))

    def _save(self, generation: Generation, what: What) -> dict[str, Any]:
        from airflow_provider_seedance.hooks.result_file import ResultFile

        started = time.monotonic()
        target = self._target(generation, what)
        with ResultFile(self.hook, generation, what) as source:
            try:
                arrival = self._deliver(source, target)
            except SeedanceError:
                raise
            except Exception as e:
                raise _unwritable(str(target), e) from None  # the cause can hold a signature
        seconds = max(time.monotonic() - started, 1e-6)
        place = redact(str(target))
        self.log.info("%s: %d bytes in %.1f s, SHA-256 %s.", place, arrival.size, seconds, arrival.sha256)
        return {
            "path": str(target),
            "size": arrival.size,
            "sha256": arrival.sha256,
            "content_type": arrival.content_type,
            "duration": arrival.duration or (generation.duration if what == "video" else None),
            "seconds": round(seconds, 3),
            "bytes_per_second": round(arrival.size / seconds),
        }

    def _target(self, generation: Generation, what: What) -> ObjectStoragePath:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        path = fill_path(self._check_path(), generation, what)
        try:
            target = ObjectStoragePath(path, conn_id=self.conn_id)
            if path.endswith("/") or target.fs.isdir(target.path):
                return ObjectStoragePath(
                    f"{path.rstrip('/')}/{file_name(str(generation.generation_id), what)}", conn_id=self.conn_id
                )
            return target.with_suffix(".png") if what == "last_frame" and len(self._files()) > 1 else target
        except Exception as e:
            raise _unwritable(path, e) from None

    def _deliver(self, source: ResultFile, target: ObjectStoragePath) -> Arrival:
        """Bring the bytes there, or find them there."""
        from airflow_provider_seedance.hooks.arrival import Arrival
        from airflow_provider_seedance.hooks.storage import whole_file

        if self.if_exists != "overwrite" and target.fs.exists(target.path):
            if self.if_exists == "fail":
                raise SeedanceRequestError(
                    f"'path' {redact(str(target))!r} is taken, and 'if_exists' is 'fail'. Give another path, or 'skip' "
                    "or 'overwrite'.",
                    field="path",
                )
            if (arrival := Arrival(source)).is_at(target):
                self.log.info("The very same bytes are there already: nothing is written.")
                return arrival
            source.seek(0)
        arrival = Arrival(source)
        with whole_file(target, tag=str(source.generation.generation_id)) as file:
            for chunk in arrival.chunks():
                file.write(chunk)
        return arrival


def _unwritable(path: str, error: Exception) -> SeedanceError:
    """Tell what stands in the way for good from a storage that fails for now: the latter is worth a retry."""
    # it may carry a signature, as pre-signed addresses do
    what = redact(f"{path!r} cannot be written ({type(error).__name__}: {error})")
    if isinstance(error, _FOR_GOOD):
        return SeedanceRequestError(
            f"'path' {what}. Check the address, the permissions, 'conn_id', and that the storage's Airflow provider is "
            "installed.",
            field="path",
        )
    return SeedanceServiceError(f"'path' {what}. Nothing half-written is left there; a retry begins anew.")
