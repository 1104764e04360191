"""The operator that creates a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedance.api.limits import DEFAULT_MODEL, DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.api.parse import as_id, as_mapping
from airflow_provider_seedance.api.recovery import what_next
from airflow_provider_seedance.api.redact import Redacted, unwrap
from airflow_provider_seedance.api.request import GenerationRequest, check_literals
from airflow_provider_seedance.api.response import DEFAULT_CONN_ID
from airflow_provider_seedance.api.values import check_choice, check_switches, check_waits
from airflow_provider_seedance.exceptions import SeedanceError
from airflow_provider_seedance.tasks import (
    UNKNOWN_ID,
    GenerationTask,
    PayingTask,
    PollingTask,
    adding,
)
from airflow_provider_seedance.telemetry.outlets import describe_outlets
from airflow_provider_seedance.version_compat import (
    DEFAULT_DEFERRABLE,
    fail_without_retry,
    with_retry_policy,
    xcom_safe,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.outcomes import Finished
    from airflow_provider_seedance.api.polling import GenerationPoller
    from airflow_provider_seedance.api.submission import OnAmbiguous, SubmissionRecord
    from airflow_provider_seedance.jobs.store import SubmissionStore

#: Seconds from submission that a generation is waited for.
DEFAULT_TIMEOUT = 3600.0

#: The parameters that make up the request, all of them templates.
CONTENT_FIELDS = (
    "prompt",
    "first_frame",
    "last_frame",
    "reference_images",
    "reference_videos",
    "reference_audios",
    "model",
    "resolution",
    "ratio",
    "duration",
    "generate_audio",
    "watermark",
    "web_search",
    "return_last_frame",
    "seed",
    "content",
    "extra_body",
)


class SeedanceGenerateVideoOperator(PayingTask, PollingTask, GenerationTask, BaseOperator):
    """
    Submit a generation, wait for it in the triggerer, and return the link to the video.

    A generation costs money, takes minutes and cannot be cancelled. Errors that can be detected early are raised
    before anything is billed: for literal arguments when the Dag is parsed, for the rest after rendering. A retry finds
    the generation that its predecessor paid for (Airflow 3.3+) instead of paying again.

    Media are given as an ``https://`` link, ``asset://<id>``, a ``data:`` URI, or a path that ``ObjectStoragePath``
    opens (images and audio only). The rules between parameters are those of
    :class:`~airflow_provider_seedance.api.request.GenerationRequest`. A value that was given and renders to None is
    refused.

    :param prompt: What the video shows. ``@image1``, ``@video1``, ``@audio1`` name the media, counted by kind.
    :param first_frame: The image that the video begins with.
    :param last_frame: The image that it ends with; needs ``first_frame``.
    :param reference_images: Up to 9 images to draw on; not together with frames.
    :param reference_videos: Up to 3 videos to draw on, edit or extend, by link or asset.
    :param reference_audios: Up to 3 clips, wav or mp3; not without an image or a video.
    :param model: The model. Default: the connection's, else ``seedance-2.0``.
    :param resolution: ``480p``, ``720p`` (default), ``1080p`` or, for the ultra model, ``2k``.
    :param ratio: ``16:9``, ``4:3``, ``1:1``, ``3:4``, ``9:16``, ``21:9`` or ``adaptive`` (default).
    :param duration: Seconds of video, 4 to 15. Default: 5.
    :param generate_audio: With sound. Default: True.
    :param watermark: With the vendor's watermark. Default: False.
    :param web_search: Let the model search the web; for text alone. Default: False.
    :param return_last_frame: Ask for the last frame as an image too. Default: False.
    :param seed: A whole number from 0 for similar results, -1 for a random one. Default: None, which sends none.
    :param content: The raw content array instead of prompt and media; checked all the same.
    :param extra_body: Further fields of the request, sent unchecked.
    :param wait_for_completion: False returns the id as soon as it exists, for a sensor downstream. Default: True.
    :param deferrable: False waits in the worker, holding its slot. Default: True, unless
        ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` says otherwise.
    :param poll_interval: Seconds between status checks. Default: 15, as the vendor recommends.
    :param timeout: Seconds from *submission*, across retries, after which the task fails with
        :class:`~airflow_provider_seedance.exceptions.SeedanceTimeoutError`. The generation keeps running and is billed;
        a retry or clearing the task re-attaches, if ``durable``. A shorter ``execution_timeout`` bounds it too.
        Default: 3600.
    :param durable: Record the submission, so that a retry re-attaches (Airflow 3.3+). False pays on every try.
        Default: True.
    :param on_ambiguous_submission: What to do if the response to the paid call was lost: ``"fail"`` (default) stops
        until a person clears the task, ``"resubmit"`` submits again and may pay twice.
    :param seedance_conn_id: The connection.
    :returns: A dictionary, also pushed key by key: ``generation_id``, ``video_url``, ``video_url_expires_at``,
        ``video_path`` (does not expire: ``seedance://…``), ``last_frame_url``, ``last_frame_path``, ``model``,
        ``resolution``, ``ratio``, ``duration``, ``seed``, ``total_tokens``, ``expected_tokens``,
        ``prompt_fingerprint`` (SHA-256), ``submitted_at``, ``finished_at``, ``request_id``, ``metadata``; times in ISO
        8601 (UTC). With ``wait_for_completion=False``, the generation's id. ``generation_id`` is pushed as soon as it
        exists.
    :raises SeedanceError: The typed exception of any failure.
    """

    template_fields: Sequence[str] = (*CONTENT_FIELDS, "seedance_conn_id")
    template_fields_renderers = {"content": "json", "extra_body": "json"}
    fields_to_submit = CONTENT_FIELDS

    def __init__(
        self,
        *,
        prompt: str | None = None,
        first_frame: str | None = None,
        last_frame: str | None = None,
        reference_images: Sequence[str] | str = (),
        reference_videos: Sequence[str] | str = (),
        reference_audios: Sequence[str] | str = (),
        model: str | None = None,
        resolution: str = "720p",
        ratio: str = "adaptive",
        duration: int | str = 5,
        generate_audio: bool | str = True,
        watermark: bool | str = False,
        web_search: bool | str = False,
        return_last_frame: bool | str = False,
        seed: int | str | None = None,
        content: Sequence[Mapping[str, Any]] | str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = DEFAULT_DEFERRABLE,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        timeout: float = DEFAULT_TIMEOUT,
        durable: bool = True,
        on_ambiguous_submission: OnAmbiguous = "fail",
        seedance_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        check_waits(poll_interval=poll_interval, timeout=timeout)
        check_switches(wait_for_completion=wait_for_completion, deferrable=deferrable, durable=durable)
        check_choice("on_ambiguous_submission", on_ambiguous_submission, ("fail", "resubmit"))
        kwargs.setdefault("multiple_outputs", wait_for_completion)
        super().__init__(**with_retry_policy(kwargs))
        self.prompt = prompt
        self.first_frame = first_frame
        self.last_frame = last_frame
        self.reference_images = reference_images
        self.reference_videos = reference_videos
        self.reference_audios = reference_audios
        self.model = model
        self.resolution = resolution
        self.ratio = ratio
        self.duration = duration
        self.generate_audio = generate_audio
        self.watermark = watermark
        self.web_search = web_search
        self.return_last_frame = return_last_frame
        self.seed = seed
        self.content = content
        self.extra_body = extra_body
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.durable = durable
        self.on_ambiguous_submission = on_ambiguous_submission
        self.seedance_conn_id = seedance_conn_id
        self.running_id: str | None = None
        check_literals({name: getattr(self, name) for name in CONTENT_FIELDS})

    def execute(self, context: Context) -> Any:
        """Submit or re-attach, then wait."""
        from airflow_provider_seedance.api.generation import Generation
        from airflow_provider_seedance.jobs.submit import submit_or_attach

        with fail_without_retry():
            request, store = self._request_or_error(), self.store(context)
            record, generation = submit_or_attach(
                self.hook,
                store,
                request,
                tries=self.tries(context),
                on_ambiguous_submission=self.on_ambiguous_submission,
            )
            generation_id = self.running_id = str(record.created_id)
            if self.do_xcom_push:
                self._push_id(context, generation_id)
            if not self.wait_for_completion:
                self.returned = (store, generation_id)
                self._keep_lineage_facts(generation or Generation(generation_id=generation_id), request=_built(request))
                return generation_id
            with adding(self._what_next(generation_id)):
                finished, generation = self._wait(self._poller(record), generation)
            return self._deliver(context, store, request, finished, generation, generation_id)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Fetch the generation that the trigger's event is about, and return the result or raise its error."""
        from airflow_provider_seedance.jobs.wait import complete_generation

        with fail_without_retry():
            store = self.store(context)
            self.running_id = as_id(as_mapping(event).get("generation_id")) or self._known_id(context)
            with adding(self._what_next(self.running_id)):
                generation_id, finished, generation = complete_generation(self.hook, event)
            request = self._request_or_error()
            return self._deliver(context, store, request, finished, generation, generation_id)

    def on_kill(self) -> None:
        """Warn that the generation keeps running: the service cannot cancel it."""
        if self.running_id is not None:
            self.log.warning(
                "Generation %s keeps running and is billed: the service cannot cancel it. %s",
                self.running_id,
                self._what_next(self.running_id),
            )

    def build_request(self) -> GenerationRequest:
        """
        Build the request from the rendered parameters, and check it.

        :raises SeedanceRequestError: It cannot be sent; ``.field`` names the parameter.
        """
        from airflow_provider_seedance.files.places import check_origin

        self.require_rendered(CONTENT_FIELDS)
        request = GenerationRequest(
            prompt=unwrap(self.prompt),
            first_frame=unwrap(self.first_frame),
            last_frame=unwrap(self.last_frame),
            reference_images=unwrap(self.reference_images),
            reference_videos=unwrap(self.reference_videos),
            reference_audios=unwrap(self.reference_audios),
            model=self._model(),
            model_is_given=unwrap(self.model) is not None,
            resolution=unwrap(self.resolution),
            ratio=unwrap(self.ratio),
            duration=unwrap(self.duration),
            generate_audio=unwrap(self.generate_audio),
            watermark=unwrap(self.watermark),
            web_search=unwrap(self.web_search),
            return_last_frame=unwrap(self.return_last_frame),
            seed=unwrap(self.seed),
            content=unwrap(self.content),
            extra_body=unwrap(self.extra_body),
        )
        for item in request.media:
            check_origin(item.value, self.texts_of_dag, item.name)
        return request

    def _model(self) -> str:
        given = unwrap(self.model)
        return given if given is not None else self.hook.endpoint.model or DEFAULT_MODEL

    def _request_or_error(self) -> GenerationRequest | Exception:
        """Build the request; what is wrong with it matters only if it is submitted, not to a video that is paid for."""
        try:
            return self.build_request()
        except Exception as e:
            return e

    def _was_submitted(self, request: GenerationRequest, store: SubmissionStore) -> bool:
        """Return whether the request is the one that was paid for, whose prompt the service may quote."""
        from airflow_provider_seedance.api.request import fingerprint

        try:
            record = store.get()
        except Exception:  # then it is not known, and the failure itself matters more
            return False
        return record is None or record.fingerprint == fingerprint(request, self.seedance_conn_id)

    def _push_id(self, context: Context, generation_id: str) -> None:
        """Push the id early. If that fails where nothing remembers it, going on is better than paying again."""
        try:
            context["ti"].xcom_push(key="generation_id", value=generation_id)
        except Exception as e:
            if self.reattaches:
                raise
            self.log.warning("The id %s could not be pushed: %s", generation_id, type(e).__name__)

    def _known_id(self, context: Context) -> str:
        """Return the generation's id for a message: from the record, else as it was pushed."""
        known = self.store(context).created_id()
        if known is None:
            ti = context["ti"]
            with suppress(Exception):
                known = as_id(ti.xcom_pull(task_ids=self.task_id, key="generation_id", map_indexes=ti.map_index))
        return known or UNKNOWN_ID

    def _what_next(self, generation_id: str) -> str:
        return what_next("generation", generation_id, reattaches=self.reattaches)

    def _waited_for(self, context: Context) -> tuple[str, str]:
        return "generation", self._known_id(context)

    def _poller(self, record: SubmissionRecord) -> GenerationPoller:
        from airflow_provider_seedance.api.polling import GenerationPoller

        deadline = record.submitted_at + self.timeout
        if self.execution_timeout is not None:  # Airflow does not enforce it while a task is deferred
            deadline = min(deadline, self.clock.now() + self.execution_timeout.total_seconds())
        return GenerationPoller(
            str(record.created_id),
            deadline=deadline,
            submitted_at=record.submitted_at,
            poll_interval=self.poll_interval,
        )

    def _deliver(
        self,
        context: Context,
        store: SubmissionStore,
        request: GenerationRequest | Exception,
        finished: Finished,
        generation: Generation | None,
        generation_id: str,
    ) -> dict[str, Any]:
        """Return the result, or raise the error of an outcome that is no success."""
        from airflow_provider_seedance.jobs.wait import require_generation

        built = _built(request)
        is_refunded = finished.outcome == "failed"
        with adding("" if is_refunded else self._what_next(generation_id)):
            is_known = built and (not is_refunded or self._was_submitted(built, store))
            generation = require_generation(finished, generation, secrets=built.secrets if built and is_known else None)
        self.returned = (store, generation_id)
        self._keep_lineage_facts(generation, request=built)
        self.video_link = Redacted(generation.video_url or "")
        expected_tokens = built.expected_tokens() if built else None
        if built is None:
            why = str(request) if isinstance(request, SeedanceError) else type(request).__name__
            self.log.warning("The request cannot be built any more, so its own facts are left out: %s", why)
        result = generation.to_result(
            conn_id=self.seedance_conn_id,
            expected_tokens=expected_tokens,
            prompt_fingerprint=built.prompt_fingerprint if built else None,
        )
        self.log.info(
            "Generation %s succeeded: %s tokens (%s expected), link valid until %s.",
            generation_id,
            generation.total_tokens,
            expected_tokens,
            result["video_url_expires_at"],
        )
        facts = {"path": result["video_path"], "prompt_fingerprint": result["prompt_fingerprint"]}
        describe_outlets(context, self.outlets, generation, facts)
        return xcom_safe(result)


def _built(request: GenerationRequest | Exception) -> GenerationRequest | None:
    return None if isinstance(request, Exception) else request
