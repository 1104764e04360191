"""
Paying once: ``pay`` makes the paid call, ``submit_or_attach`` decides whether to (decisions.md#paying-once).

The order of writes makes it safe for a worker to die at any point: the intent before the paid call, the id right after
it, the delivery once Airflow has the task's success. Generations, asset groups and assets share ``pay``.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_seedance.api.calls import CreateGeneration, PaidCall
from airflow_provider_seedance.api.parse import as_id
from airflow_provider_seedance.api.polling import NOT_FOUND_GRACE
from airflow_provider_seedance.api.request import encode_body, fingerprint
from airflow_provider_seedance.api.submission import (
    OnAmbiguous,
    Remote,
    SubmissionDecision,
    SubmissionRecord,
    Tries,
    ambiguous_error,
    decide,
    superseded,
)
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceNotFoundError
from airflow_provider_seedance.files.inputs import load_media
from airflow_provider_seedance.telemetry.metrics import count

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.request import GenerationRequest
    from airflow_provider_seedance.hooks.seedance import SeedanceHook
    from airflow_provider_seedance.jobs.store import SubmissionStore

log = logging.getLogger(__name__)


def pay(
    hook: SeedanceHook,
    store: SubmissionStore,
    call: PaidCall,
    intent: SubmissionRecord,
    *,
    summary: str,
    earlier: SubmissionRecord | None = None,
    on_ambiguous_submission: OnAmbiguous = "fail",
) -> tuple[SubmissionRecord, SeedanceError | None]:
    """
    Make a paid call. **This is where a task spends money**, and the only place.

    :param call: The call.
    :param intent: The record to write before it.
    :param summary: What is paid for, for the log.
    :param earlier: The record of another paid call that may be billed. It is put back if this one creates nothing.
    :param on_ambiguous_submission: ``"resubmit"`` makes the call once more if its response is lost.
    :returns: The record with the id; or the intent, which stays stored, and what was seen of the lost response.
    :raises SeedanceError: The typed exception of a refusal. Nothing was created, and no record is left but ``earlier``.
    """
    may_resubmit = on_ambiguous_submission == "resubmit"
    _ = hook.endpoint  # read before the intent is stored: if that fails, nothing was sent
    attempt = 1
    while True:
        intent = intent.with_phase("intent", submitted_at=hook.clock.now())
        try:
            store.put(intent)
        except Exception:  # it may have been written all the same
            store.put_or_warn(earlier)
            raise
        answer = hook.send(call)  # the one line that costs money
        if answer.verdict == "accepted":
            # logged first, so that the id survives even if it cannot be stored
            log.info("Submitted %s %s: %s.", store.kind.noun, answer.created_id, summary)
            record = intent.with_phase("submitted", created_id=answer.created_id)
            store.put_with_retries(record)
            return record, None
        assert answer.error is not None
        if answer.verdict == "lost":
            lost = replace(intent, created_id=answer.created_id)
            if lost.created_id is not None:
                log.warning("The response is an error, but names %s %s.", store.kind.noun, lost.created_id)
                store.put_or_warn(lost)
            if lost.created_id is not None or not may_resubmit:
                return lost, _after(earlier, store, answer.error)
            may_resubmit, earlier = False, lost
            log.warning("The response to a paid call was lost: %s Resubmitting.", answer.error)
            continue
        store.put_or_warn(earlier)
        wait = answer.retry_in(attempt)
        if wait is None:
            raise _after(earlier, store, answer.error)
        log.warning("%s Nothing was created. Retrying in %.0f s.", answer.error, wait)
        hook.clock.sleep(wait)
        attempt += 1


def _after(earlier: SubmissionRecord | None, store: SubmissionStore, error: SeedanceError) -> SeedanceError:
    """Return an error that does not let a person forget an earlier paid call."""
    return error if earlier is None else error.add(before=f"{superseded(earlier, store.kind)} Submitted again:")


def submit_or_attach(
    hook: SeedanceHook,
    store: SubmissionStore,
    request: GenerationRequest | Exception,
    *,
    tries: Tries,
    on_ambiguous_submission: OnAmbiguous = "fail",
) -> tuple[SubmissionRecord, Generation | None]:
    """
    Find the generation that an earlier try paid for, or pay.

    :param request: The request; or why it cannot be built, which matters only if it is to be submitted.
    :param tries: What Airflow keeps of the task instance's tries.
    :param on_ambiguous_submission: What to do if the response to the paid call was lost.
    :returns: The record of the generation to wait for, and the generation itself if it was queried already.
    :raises SeedanceAmbiguousSubmissionError: The response to a paid call was lost.
    :raises SeedanceError: The submission is refused, or a recorded generation cannot be queried.
    """
    record, generation = store.get(), None
    if not isinstance(request, Exception):
        digest = fingerprint(request, hook.seedance_conn_id)
    else:
        digest = record.fingerprint if record is not None else ""
    remote: Remote | None = None
    while True:
        decision = decide(
            record,
            fingerprint=digest,
            first_try=tries.first,
            max_tries=tries.most,
            on_ambiguous_submission=on_ambiguous_submission,
            remote=remote,
        )
        if record is None or decision.action != "ask":
            break
        if record.was_cleared(tries):  # used up before anything can fail: clearing allows one payment
            store.put(record.at(tries))
        remote, generation = _query(hook, record)
    log_decision(record, decision)
    if record is not None and decision.action != "submit" and isinstance(request, Exception):
        log.warning(
            "The request cannot be built now (%s), so whether it is that of %s %s is not known.",
            type(request).__name__,
            store.kind.noun,
            record.created_id,
        )
    if record is None or decision.action == "submit":
        if isinstance(request, Exception):
            raise request
        settled = record is None or record.phase == "delivered" or remote == "failed"
        earlier = None if settled else record
        return _submit(hook, store, request, digest, tries, earlier, on_ambiguous_submission), None
    if decision.action == "fail":
        raise reported(store, record.with_phase("reported").at(tries))
    count("reattached")
    return record.at(tries), generation


def _query(hook: SeedanceHook, record: SubmissionRecord) -> tuple[Remote, Generation | None]:
    """Query a recorded generation. Any failure but the service's own "not found" is raised: unknown is never absent."""
    if as_id(record.created_id) is None:  # it was named where an id should be, and is none that the service could find
        return "not_found", None
    try:
        generation = hook.requery_generation(str(record.created_id))
    except SeedanceNotFoundError:
        lags = hook.clock.now() < record.submitted_at + NOT_FOUND_GRACE
        return ("running" if lags else "not_found"), None
    return generation.state, generation


def _submit(
    hook: SeedanceHook,
    store: SubmissionStore,
    request: GenerationRequest,
    digest: str,
    tries: Tries,
    earlier: SubmissionRecord | None,
    on_ambiguous_submission: OnAmbiguous,
) -> SubmissionRecord:
    for warning in request.warnings:
        log.warning(warning)
    body = request.to_json(load_media(request.media, now=hook.clock.now()))
    record, lost = pay(
        hook,
        store,
        CreateGeneration(encode_body(body), request.item_names, request.secrets),
        SubmissionRecord(digest, hook.clock.now(), "intent", tries.first, max_tries=tries.most),
        summary=_summary(request),
        earlier=earlier,
        on_ambiguous_submission=on_ambiguous_submission,
    )
    if lost is None:
        count("submitted")
        return record
    if on_ambiguous_submission == "resubmit" and record.created_id is None:
        # The intent stays, so that the next try resubmits too.
        raise ambiguous_error(record, store.kind, str(lost), reattaches=store.reattaches) from lost
    raise reported(store, record.with_phase("reported"), str(lost)) from lost


def _summary(request: GenerationRequest) -> str:
    tokens = request.expected_tokens()
    bound = "at least" if request.expected_tokens_is_lower_bound else "about"
    expected = "an unknown number of" if tokens is None else f"{bound} {tokens}"
    return (
        f"{request.mode}, {request.model}, {request.resolution}, {request.ratio}, {request.duration} s; "
        f"{expected} tokens expected"
    )


def reported(store: SubmissionStore, record: SubmissionRecord, detail: str = "") -> SeedanceError:
    """Record that a lost response is being raised, and return its exception, whatever becomes of the record."""
    error = ambiguous_error(record, store.kind, detail, reattaches=store.reattaches)
    log.error("%s", error)  # before the record says that a person was told: the worker may die in between
    store.put_or_warn(record)
    return error


def log_decision(record: SubmissionRecord | None, decision: SubmissionDecision) -> None:
    """Log the decision about a stored record; without one there is nothing to log."""
    if record is not None:
        log.log(logging.WARNING if decision.warn else logging.INFO, decision.message)
