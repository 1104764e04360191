"""
Paying once: the I/O around the decisions of :mod:`airflow_provider_seedance.api.submission`.

The order of writes is what makes it safe, whenever the worker dies: the intent before the paid call, the id right after
it, the delivery before the result is returned.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.generation import Generation, iso
from airflow_provider_seedance.api.polling import NOT_FOUND_GRACE
from airflow_provider_seedance.api.request import GenerationRequest, fingerprint
from airflow_provider_seedance.api.submission import (
    RECORD_KEY,
    OnAmbiguous,
    Remote,
    SubmissionRecord,
    ambiguous_error,
    decide,
)
from airflow_provider_seedance.exceptions import SeedanceAmbiguousSubmissionError, SeedanceNotFoundError
from airflow_provider_seedance.files.inputs import load_media
from airflow_provider_seedance.telemetry.metrics import count

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.hooks.seedance import SeedanceHook

log = logging.getLogger(__name__)

#: Seconds for which a worker tries to record an id that was paid for. Airflow itself gives up after some tries, within
#: 10 to 90 s, which a restart of its API server can outlast.
RECORD_PATIENCE = 600.0
#: Seconds before the second try; doubled for each further one, up to the maximum.
RECORD_BACKOFF = 1.0
RECORD_MAX_BACKOFF = 15.0


class SubmissionStore:
    """
    Reads and writes a task's :class:`SubmissionRecord`. Visible to people in the UI and the REST API of Airflow.

    :param context: The task's context.
    :param durable: False forgets everything: each try submits anew.
    """

    def __init__(self, context: Context, *, durable: bool = True) -> None:
        self._store: Any = context.get("task_state_store") if durable else None
        if durable and self._store is None:
            log.info("This Airflow has no task state store (it came with 3.3): a retry submits, and pays, anew.")

    def get(self) -> SubmissionRecord | None:
        """
        Return the record, None where there is none.

        :raises SeedanceServiceError: where there is one that this release cannot read.
        """
        data = self._store.get(RECORD_KEY) if self._store is not None else None
        return None if data is None else SubmissionRecord.from_dict(data)

    def put(self, record: SubmissionRecord) -> None:
        """Write the record."""
        if self._store is not None:
            self._store.set(RECORD_KEY, record.to_dict())

    def put_insistently(self, record: SubmissionRecord) -> None:
        """
        Write a record that must not be lost: while Airflow cannot be reached, try again for :data:`RECORD_PATIENCE`.

        :raises Exception: what the last try ended in.
        """
        from tenacity import Retrying, before_sleep_log, stop_after_delay, wait_exponential

        insist = Retrying(
            stop=stop_after_delay(RECORD_PATIENCE),
            wait=wait_exponential(multiplier=RECORD_BACKOFF, max=RECORD_MAX_BACKOFF),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        insist(self.put, record)

    def clear(self) -> None:
        """Forget the record."""
        if self._store is not None:
            self._store.delete(RECORD_KEY)


class Submitter:
    """
    Finds the generation that an earlier try paid for, or pays.

    :param hook: The service.
    :param store: The task's memory.
    :param first_try: Number of the first try since the task was last cleared.
    :param on_ambiguous_submission: What to do when the answer to the paid call was lost.
    """

    def __init__(
        self,
        hook: SeedanceHook,
        store: SubmissionStore,
        *,
        first_try: int,
        on_ambiguous_submission: OnAmbiguous = "fail",
    ) -> None:
        self.hook = hook
        self.store = store
        self.first_try = first_try
        self.on_ambiguous_submission = on_ambiguous_submission

    def submit_or_attach(self, request: GenerationRequest) -> tuple[SubmissionRecord, Generation | None]:
        """
        Decide by the record, and do it.

        :returns: The record of the generation to wait for, and the generation itself where it was asked for already.
        :raises SeedanceAmbiguousSubmissionError: where the answer to a paid call was lost.
        :raises SeedanceError: where the submission is refused, or a recorded generation cannot be asked for.
        """
        record = self.store.get()
        digest = fingerprint(request, self.hook.seedance_conn_id)
        decide_on = partial(
            decide,
            record,
            fingerprint=digest,
            first_try=self.first_try,
            on_ambiguous_submission=self.on_ambiguous_submission,
        )
        decision, generation = decide_on(), None
        if record is not None and decision.action == "ask":
            remote, generation = self._ask(record)
            decision = decide_on(remote=remote)
        if record is not None:
            log.log(logging.WARNING if decision.warn else logging.INFO, decision.message)
        if record is None or decision.action == "submit":
            return self._submit(request, digest), None
        if decision.action == "fail":
            self.store.put(record.with_phase("reported", first_try=self.first_try))
            raise ambiguous_error(record, str(iso(record.submitted_at)))
        count("reattached")
        return record, generation

    def mark_delivered(self, generation_id: str) -> None:
        """Remember that the result is being returned: a worker that dies now is followed by one that only fetches."""
        record = self.store.get()
        if record is not None and record.generation_id == generation_id:
            self.store.put(record.with_phase("delivered", first_try=self.first_try))

    def _ask(self, record: SubmissionRecord) -> tuple[Remote, Generation | None]:
        """Ask for a recorded generation. Any failure but "not found" is raised: unknown is never absent."""
        try:
            generation = self.hook.get_generation(str(record.generation_id))
        except SeedanceNotFoundError:
            lags = time.time() < record.submitted_at + NOT_FOUND_GRACE
            return ("running" if lags else "not_found"), None
        return generation.state, generation

    def _submit(self, request: GenerationRequest, digest: str) -> SubmissionRecord:
        for warning in request.warnings:
            log.warning(warning)
        body = request.to_json(load_media(request.media))
        intent = SubmissionRecord(digest, time.time(), "intent", self.first_try)

        def before_send() -> None:
            nonlocal intent
            intent = intent.with_phase("intent", submitted_at=time.time())
            self.store.put(intent)

        send = partial(
            self.hook.create_generation,
            body,
            item_name=dict(enumerate(request.item_names)).get,
            secrets=request.texts,
            before_send=before_send,
            after_refusal=self.store.clear,
        )
        try:
            generation_id = send()
        except SeedanceAmbiguousSubmissionError as e:
            if self.on_ambiguous_submission == "fail":
                self.store.put(intent.with_phase("reported"))
                raise ambiguous_error(intent, str(iso(intent.submitted_at)), str(e.__cause__ or e)) from e
            log.warning("%s Submitting once more, as on_ambiguous_submission says.", e)
            generation_id = send()
        _log_submitted(request, generation_id)  # first, so that the id is in the log whatever happens now
        record = intent.with_phase("submitted", generation_id=generation_id)
        self.store.put_insistently(record)
        count("submitted")
        return record


def _log_submitted(request: GenerationRequest, generation_id: str) -> None:
    tokens = request.expected_tokens()
    bound = "at least" if request.expected_tokens_is_lower_bound else "about"
    log.info(
        "Submitted generation %s: %s, %s, %s, %s, %s s; %s tokens expected.",
        generation_id,
        request.mode,
        request.model,
        request.resolution,
        request.ratio,
        request.duration,
        "an unknown number of" if tokens is None else f"{bound} {tokens}",
    )
