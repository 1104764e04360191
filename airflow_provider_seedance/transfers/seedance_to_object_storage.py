"""The transfer that saves a finished video in the team's own storage."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, ObjectStoragePath

from airflow_provider_seedance.api.fingerprint import digest
from airflow_provider_seedance.api.ids import check_generation_id
from airflow_provider_seedance.api.naming import (
    EXTENSIONS,
    What,
    check_path,
    check_two_files,
    check_what,
    file_name,
    fill_path,
    is_shared,
)
from airflow_provider_seedance.api.redact import Redacted, redact, unwrap, without_credentials
from airflow_provider_seedance.api.response import DEFAULT_CONN_ID
from airflow_provider_seedance.api.values import check_choice, is_literal, refuse
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceRequestError, SeedanceServiceError
from airflow_provider_seedance.links import browser_url
from airflow_provider_seedance.tasks import GenerationTask
from airflow_provider_seedance.telemetry.outlets import describe_outlets
from airflow_provider_seedance.version_compat import mapped_task, with_retry_policy, xcom_safe

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.generation import Generation

_IF_EXISTS = ("skip", "overwrite", "fail")


class SeedanceToObjectStorageOperator(GenerationTask, BaseOperator):
    """
    Save a generation's video wherever ``ObjectStoragePath`` can write: a local folder, S3, GCS, Azure and others.

    The service's links die within hours, so the task requests a new one, and another whenever a link is refused or
    a download is interrupted, which then resumes at the byte reached. The video streams in constant memory; its length
    and structure are checked on the way. ``path`` shows it whole or not at all: it is written under a temporary name
    and renamed, or on S3 and GCS uploaded and committed at the end. What a killed worker leaves behind is removed by
    the next try, or on S3 by the next transfer to the same path after an hour. Other writers are left alone.

    Mapped over several generations, each needs a path of its own: a folder, or one with ``{generation_id}`` in it.

    :param generation: A generation id, or the result of
        :class:`~airflow_provider_seedance.operators.video.SeedanceGenerateVideoOperator` or its sensor.
    :param path: The file to save to, as text or a path object, or a folder (one that exists, or any that ends in
        ``/``), in which the file is named ``<generation_id>.mp4``. A path object without ``.`` or braces in its last
        name is a folder. A local one must be absolute. May contain
        ``{generation_id}``, ``{model}``, ``{resolution}``, ``{ratio}``, ``{duration}``, ``{seed}`` and ``{extension}``.
    :param what: ``video`` (default), ``last_frame``, or ``both``, also as a list of the two. With both and a file as
        ``path``, the last frame has the same name with ``.png``.
    :param if_exists: ``skip`` (default) writes nothing if the same bytes are there already, compared one by one, and
        replaces others; ``overwrite`` replaces without comparing; ``fail`` raises if anything is there.
    :param conn_id: Airflow connection of the storage. Default: the one that ``path`` names, else the ambient one.
    :param seedance_conn_id: The connection of the service. Default: ``seedance_default``.
    :returns: ``{"path", "size", "sha256", "content_type", "duration", "seconds", "bytes_per_second",
        "generation_id"}``: the file, its size in bytes, its playing time in seconds, and how long the transfer took in
        seconds. With ``what="both"``, ``last_frame`` contains the same for the last frame.
    :raises SeedanceRequestError: If the path cannot be written to, or exists with ``if_exists="fail"``.
    :raises SeedanceServiceError: If the video cannot be downloaded, or is not a complete video.
    """

    template_fields: Sequence[str] = ("generation", "path", "what", "if_exists", "conn_id", "seedance_conn_id")

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        path: str | os.PathLike[str] | ObjectStoragePath,
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
        self._path_as_written = path
        files = check_what(what) if is_literal(what) else ()
        if is_literal(if_exists):
            check_choice("if_exists", if_exists, _IF_EXISTS)
        if is_literal(path):
            checked = check_path(path)
            if len(files) > 1:
                check_two_files(checked)
        if is_literal(generation):
            check_generation_id(generation)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Save the files.

        :returns: The result, as the class describes it.
        """
        from airflow_provider_seedance.files.download import link_to

        given = unwrap(self.generation)
        generation_id = check_generation_id(given)
        check_choice("if_exists", self.if_exists, _IF_EXISTS)
        path = check_path(unwrap(self.path))
        files = check_what(self.what)
        generation = self.hook.requery_generation(generation_id)
        for what in files:
            link_to(generation, what)
        targets = self._targets(context, path, generation, files)
        owner = _owner(context, generation_id)
        saved = [self._save(generation, what, target, owner) for what, target in targets.items()]
        result = {**saved[0], "generation_id": generation_id}
        if len(saved) > 1:
            result["last_frame"] = saved[1]
        try:
            self._tell(context, generation, given, result)
        except Exception as e:  # what was saved stays saved
            place, problem = redact(result["path"]), redact(f"{type(e).__name__}: {e}")
            self.log.warning("%s is saved; its event, lineage or link is incomplete (%s).", place, problem)
        return xcom_safe(result)

    def _targets(
        self, context: Context, path: str, generation: Generation, files: Sequence[What]
    ) -> dict[What, ObjectStoragePath]:
        """Return where each file goes; refuse a path at which it would replace another video or the other file."""
        from airflow_provider_seedance.files.storage import check_replaceable, storage_path

        targets: dict[What, ObjectStoragePath] = {}
        for what in files:
            filled = fill_path(path, generation.to_result(), what)
            with _storage_errors(filled):
                target = storage_path(filled, "path", conn_id=self.conn_id)
                is_folder = filled.endswith("/") or target.fs.isdir(target.path)
            if is_folder:
                name = file_name(str(generation.generation_id), what)
                target = ObjectStoragePath(f"{filled.rstrip('/')}/{name}", conn_id=self.conn_id)
            else:
                self._refuse_shared_path(context)
                if what == "video" and len(files) > 1:
                    check_two_files(filled)
                elif len(files) > 1:
                    target = target.with_suffix(f".{EXTENSIONS['last_frame']}")
            check_replaceable(target, "path")
            targets[what] = target
        return targets

    def _refuse_shared_path(self, context: Context) -> None:
        """Refuse a file that the first instance of a mapped task writes as well: its video would be replaced."""
        if getattr(context.get("ti"), "map_index", -1) < 1:
            return
        written: object = self._path_as_written
        if mapped := mapped_task(self):  # rather than a part of a mapped group
            written = None if "generation" in mapped.partial_kwargs else mapped.partial_kwargs.get("path")
        if is_shared(written):
            refuse(
                "path",
                "is the same for all instances of this mapped task, and each video would replace another",
                "Put {generation_id} into it, or end it in / for a folder",
            )

    def _save(self, generation: Generation, what: What, target: ObjectStoragePath, owner: str | None) -> dict[str, Any]:
        """Save one file, and return what the result says of it."""
        from airflow_provider_seedance.files.download import ResultFile, save

        started = time.monotonic()
        with _storage_errors(str(target)), ResultFile(self.hook, generation, what) as source:
            download = save(source, target, if_exists=self.if_exists, owner=owner)
        seconds = max(time.monotonic() - started, 1e-6)
        self.log.info(
            "%s: %d bytes in %.1f s, SHA-256 %s.", redact(str(target)), download.size, seconds, download.sha256
        )
        return {
            "path": without_credentials(str(target)),  # pushed as XCom
            "size": download.size,
            "sha256": download.sha256,
            "content_type": download.content_type,
            "duration": download.duration or (generation.duration if what == "video" else None),
            "seconds": round(seconds, 3),
            "bytes_per_second": round(download.size / seconds),
        }

    def _tell(self, context: Context, generation: Generation, given: Any, result: Mapping[str, Any]) -> None:
        """Tell Airflow and OpenLineage what was saved."""
        facts = {name: result[name] for name in ("path", "size", "sha256", "content_type")}
        if isinstance(given, Mapping):
            facts["prompt_fingerprint"] = given.get("prompt_fingerprint")
        describe_outlets(context, self.outlets, generation, facts)
        self._keep_lineage_facts(generation, upstream_result=given, transfer_result=result)
        self.video_link = Redacted(browser_url(result["path"]))


def _owner(context: Context, generation_id: str) -> str | None:
    """Return what only the tries of this task instance have in common."""
    ti: Any = context.get("ti")
    if ti is None:
        return None
    names = [getattr(ti, name, None) for name in ("dag_id", "run_id", "task_id", "map_index")]
    return digest([*map(str, names), generation_id])[:16]


@contextmanager
def _storage_errors(path: str) -> Iterator[None]:
    """Turn what a storage raises into an error that is typed by whether a retry can help."""
    try:
        yield
    except SeedanceError:
        raise
    except Exception as e:
        raise _unwritable(path, e) from None  # the cause may hold a signature


def _unwritable(path: str, error: Exception) -> SeedanceError:
    from airflow_provider_seedance.files.storage import is_permanent

    # it may carry a signature, as pre-signed addresses do
    problem = redact(f"path {path!r} cannot be written ({type(error).__name__}: {error})")
    if is_permanent(error):
        return SeedanceRequestError(
            f"{problem}. Check the address, the permissions, 'conn_id', and that the storage's Airflow provider is "
            "installed.",
            field="path",
        )
    return SeedanceServiceError(f"{problem}. Nothing half-written is left there; a retry starts over.")
