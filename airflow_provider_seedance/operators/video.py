"""The operator that makes a video."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedance.api.limits import DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.api.request import GenerationRequest, check_literals
from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.hooks.airflow_compat import final_errors_fail, pushable, with_retry_policy
from airflow_provider_seedance.hooks.hidden import Hidden, reveal
from airflow_provider_seedance.hooks.task import DEFAULT_CONN_ID, GenerationTask
from airflow_provider_seedance.links import SeedanceVideoLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.polling import PollDecision, Poller
    from airflow_provider_seedance.api.submission import OnAmbiguous, SubmissionRecord
    from airflow_provider_seedance.hooks.submission import Submitter

#: Seconds from submission that a generation is waited for.
DEFAULT_TIMEOUT = 3600.0
#: Seconds after our own deadline at which Airflow's takes over, should the trigger be lost.
BACKSTOP = 300.0

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


class SeedanceGenerateVideoOperator(GenerationTask, BaseOperator):
    """
    Submit a generation, wait for it in the triggerer, and return the link to the video.

    A generation costs money, takes minutes and cannot be cancelled. What can be known to fail fails before it is
    paid: literal arguments when the Dag is parsed, the rest after rendering. A retry finds the generation that its
    predecessor paid for (Airflow 3.3+) instead of paying again.

    Media are given as an ``https://`` link, ``asset://<id>``, a ``data:`` URI, or a path that ``ObjectStoragePath``
    opens (images and audio only). The rules between them are those of
    :class:`~airflow_provider_seedance.api.request.GenerationRequest`.

    :param prompt: What the video shows. ``@image1``, ``@video1``, ``@audio1`` name the media, counted by kind.
    :param first_frame: The image that the video begins with.
    :param last_frame: The image that it ends with; needs ``first_frame``.
    :param reference_images: Up to 9 images to draw on; not together with frames.
    :param reference_videos: Up to 3 videos to draw on, edit or extend, by link or asset.
    :param reference_audios: Up to 3 clips, wav or mp3; not without an image or a video.
    :param model: The model. Default: the connection's, else ``seedance-2.0``.
    :param resolution: ``480p``, ``720p`` (default) or ``1080p``.
    :param ratio: ``16:9``, ``4:3``, ``1:1``, ``3:4``, ``9:16``, ``21:9`` or ``adaptive`` (default).
    :param duration: Seconds of video, 4 to 15. Default: 5.
    :param generate_audio: With sound. Default: True.
    :param watermark: With the vendor's watermark. Default: False.
    :param web_search: Let the model look things up; for text alone. Default: False.
    :param return_last_frame: Ask for the last frame as an image too. Default: False.
    :param seed: Sent only when set: a number from 0 to make results alike.
    :param content: The raw content array instead of prompt and media; checked all the same.
    :param extra_body: Further fields of the request, passed through unchecked.
    :param wait_for_completion: False returns the id as soon as it exists, for a sensor downstream.
    :param deferrable: False waits in the worker, holding its slot.
    :param poll_interval: Seconds between two looks. Default: 15, the vendor's advice.
    :param timeout: Seconds from *submission*, across retries, after which the task fails with
        :class:`~airflow_provider_seedance.exceptions.SeedanceTimeoutError`. The generation goes on and is billed; a
        retry or a Clear looks again. A shorter ``execution_timeout`` bounds it too. Default: 3600.
    :param durable: Remember the submission, so that a retry re-attaches (Airflow 3.3+). False pays at every try.
    :param on_ambiguous_submission: What to do when the answer to the paid call was lost: ``"fail"`` (default) stops
        until a person clears the task, ``"resubmit"`` submits again and may pay twice.
    :param seedance_conn_id: The connection.
    :returns: A dictionary, also pushed key by key: ``generation_id``, ``video_url``, ``video_url_expires_at``,
        ``video_path`` (does not expire: ``seedance://…``), ``last_frame_url``, ``last_frame_path``, ``model``,
        ``resolution``, ``ratio``, ``duration``, ``seed``, ``total_tokens``, ``expected_tokens``,
        ``prompt_fingerprint`` (SHA-256), ``submitted_at``, ``finished_at``, ``request_id``, ``metadata``; times in ISO
        8601 (UTC).
        With ``wait_for_completion=False`` the generation's id. ``generation_id`` is pushed as soon as it exists.
    """

    template_fields: Sequence[str] = (*CONTENT_FIELDS, "seedance_conn_id")
    template_fields_renderers = {"content": "json", "extra_body": "json"}
    ui_color = "#efe6ff"
    operator_extra_links = (SeedanceVideoLink(),)
    #: Where the extra link leads, once the video is there.
    video_link = Hidden("")

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
        deferrable: bool = True,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        timeout: float = DEFAULT_TIMEOUT,
        durable: bool = True,
        on_ambiguous_submission: OnAmbiguous = "fail",
        seedance_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
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
        self._running_id: str | None = None
        self._check_waiting()
        check_literals({name: getattr(self, name) for name in CONTENT_FIELDS})

    def execute(self, context: Context) -> Any:
        """Submit or re-attach, then wait."""
        from airflow_provider_seedance.api.generation import Generation
        from airflow_provider_seedance.hooks.waiting import StatusLog, look, wait

        with final_errors_fail():
            request, submitter = self._request(), self._submitter(context)
            record, generation = submitter.submit_or_attach(request)
            generation_id = self._running_id = str(record.generation_id)
            if self.do_xcom_push:
                context["ti"].xcom_push(key="generation_id", value=generation_id)
            if not self.wait_for_completion:
                submitter.mark_delivered(generation_id)
                self._tell(generation or Generation(generation_id=generation_id), request=request)
                return generation_id
            poller = self._poller(record)
            ask, status_log = partial(self.hook.get_generation, attempts=1), StatusLog(poller)
            if generation is None:
                decision, generation = look(self.hook, poller, status_log, ask)
            else:
                decision = poller.on_state(generation, now=time.time())
            if decision.outcome is None and self.deferrable:
                self._defer(poller)
            if decision.outcome is None:
                decision, generation = wait(self.hook, poller, decision, status_log, ask)
            return self._deliver(context, request, submitter, decision, generation, generation_id)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Take the trigger's event: fetch the generation, and return the result or raise its error."""
        from airflow_provider_seedance.api.polling import from_event
        from airflow_provider_seedance.hooks.waiting import fetch_outcome

        with final_errors_fail():
            generation_id, decision = from_event(event)
            self._running_id = generation_id
            generation = fetch_outcome(self.hook, generation_id, decision)
            request, submitter = self._request(), self._submitter(context)
            return self._deliver(context, request, submitter, decision, generation, generation_id)

    def on_kill(self) -> None:
        """Say what is true: the service cannot cancel (contract 0)."""
        if self._running_id is not None:
            self.log.warning(
                "Generation %s goes on and is billed: the service cannot cancel it. A retry picks it up.",
                self._running_id,
            )

    def _request(self) -> GenerationRequest:
        for name in self.rendered_to_nothing:
            raise SeedanceRequestError(
                f"{name!r} was given, and rendered to None: the upstream task pushed nothing under that key, or the "
                "template names something that is not there. Correct it, or leave the parameter out.",
                field=name,
            )
        values = {name: reveal(getattr(self, name)) for name in CONTENT_FIELDS}
        values["model"] = values["model"] or self.hook.endpoint.model
        return GenerationRequest(**values)

    def _check_waiting(self) -> None:
        for name in ("poll_interval", "timeout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise SeedanceRequestError(f"{name!r} must be a number of seconds above 0; got {value!r}.", field=name)
        if self.on_ambiguous_submission not in ("fail", "resubmit"):
            raise SeedanceRequestError(
                f"'on_ambiguous_submission' must be 'fail' or 'resubmit'; got {self.on_ambiguous_submission!r}.",
                field="on_ambiguous_submission",
            )

    def _first_try(self, context: Context) -> int:
        """The first try since the task was last cleared, as Airflow itself counts it."""
        return max(int(context["ti"].max_tries) - int(self.retries or 0) + 1, 1)

    def _submitter(self, context: Context) -> Submitter:
        from airflow_provider_seedance.hooks.submission import SubmissionStore, Submitter

        return Submitter(
            self.hook,
            SubmissionStore(context, durable=self.durable),
            first_try=self._first_try(context),
            on_ambiguous_submission=self.on_ambiguous_submission,
        )

    def _poller(self, record: SubmissionRecord) -> Poller:
        from airflow_provider_seedance.api.polling import Poller

        deadline = record.submitted_at + self.timeout
        if self.execution_timeout is not None:  # Airflow does not enforce it while a task is deferred
            deadline = min(deadline, time.time() + self.execution_timeout.total_seconds())
        return Poller(
            generation_id=str(record.generation_id),
            deadline=deadline,
            submitted_at=record.submitted_at,
            poll_interval=self.poll_interval,
        )

    def _defer(self, poller: Poller) -> None:
        from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger

        self.log.info("Deferring until generation %s is done; no worker is held meanwhile.", poller.subject_id)
        self.defer(
            trigger=SeedanceGenerationTrigger(
                seedance_conn_id=self.seedance_conn_id,
                generation_id=poller.subject_id,
                deadline=poller.deadline,
                submitted_at=poller.submitted_at,
                poll_interval=poller.poll_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(poller.deadline - time.time(), 0) + BACKSTOP),
        )

    def _deliver(
        self,
        context: Context,
        request: GenerationRequest,
        submitter: Submitter,
        decision: PollDecision,
        generation: Generation | None,
        generation_id: str,
    ) -> dict[str, Any]:
        from airflow_provider_seedance.api.generation import iso
        from airflow_provider_seedance.hooks.waiting import require_success
        from airflow_provider_seedance.telemetry.outlets import describe_outlets

        generation = require_success(decision, generation, secrets=request.texts)
        submitter.mark_delivered(generation_id)
        self._tell(generation, request=request)
        self.video_link = Hidden(generation.video_url or "")
        self.log.info(
            "Generation %s succeeded: %s tokens (%s expected), link good until %s.",
            generation_id,
            generation.total_tokens,
            request.expected_tokens(),
            iso(generation.video_url_expires_at),
        )
        result = generation.to_result(
            conn_id=self.seedance_conn_id,
            expected_tokens=request.expected_tokens(),
            prompt_fingerprint=request.prompt_fingerprint,
        )
        facts = {"path": result["video_path"], "prompt_fingerprint": result["prompt_fingerprint"]}
        describe_outlets(context, self.outlets, generation, facts)
        return pushable(result)
