"""
Paying once: what is remembered of a submission, and what follows from it.

Invariants that must not be relaxed:

- The intent is stored before the paid call, the id right after it.
- A retry is Airflow's doing and never pays for what may be paid already; a Clear is a person's and may.
- "The service cannot be asked" is never "the generation does not exist".
- A paid call whose answer was lost is never repeated silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_seedance.api.errors import error_from, is_asset_not_ready, read_error
from airflow_provider_seedance.api.generation import State
from airflow_provider_seedance.api.parse import as_id, as_mapping
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceError,
    SeedanceServiceError,
)

Phase = Literal["intent", "submitted", "delivered", "reported"]
_PHASES: frozenset[str] = frozenset({"intent", "submitted", "delivered", "reported"})

#: Key in Airflow's task state store.
RECORD_KEY = "seedance_generation"
RECORD_VERSION = 1

OnAmbiguous = Literal["fail", "resubmit"]


@dataclass(frozen=True)
class SubmissionRecord:
    """
    What is remembered of a task's submission, across tries. Holds no prompt, key or link.

    :param fingerprint: SHA-256 of the request and the connection id.
    :param submitted_at: Unix seconds at which the paid call was made.
    :param phase: ``intent`` before the call, ``submitted`` once the id is known, ``delivered`` once the operator
        returned its result, ``reported`` once an ambiguous submission was raised.
    :param first_try: Number of the first try since the task was last cleared.
    :param generation_id: Known from phase ``submitted`` on.
    """

    fingerprint: str
    submitted_at: float
    phase: Phase
    first_try: int
    generation_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON for the task state store."""
        return {
            "version": RECORD_VERSION,
            "fingerprint": self.fingerprint,
            "generation_id": self.generation_id,
            "submitted_at": self.submitted_at,
            "phase": self.phase,
            "first_try": self.first_try,
        }

    @classmethod
    def from_dict(cls, data: object) -> SubmissionRecord:
        """
        Read a stored record.

        :raises SeedanceServiceError: where it is of an unknown version or damaged. It is not guessed at: a wrong guess
            could pay twice.
        """
        record = as_mapping(data)
        if record.get("version") != RECORD_VERSION:
            raise SeedanceServiceError(
                f"The stored submission record has version {record.get('version')!r}; this release reads version "
                f"{RECORD_VERSION}. Use the release that wrote it, or delete the key {RECORD_KEY!r} from the task's "
                "state store after checking the account for a generation that runs."
            )
        try:
            loaded = cls(
                fingerprint=str(record["fingerprint"]),
                submitted_at=float(record["submitted_at"]),
                phase=record["phase"],
                first_try=int(record["first_try"]),
                generation_id=as_id(record.get("generation_id")),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise _damaged() from e
        if loaded.phase not in _PHASES or (loaded.phase in ("submitted", "delivered") and not loaded.generation_id):
            raise _damaged()
        return loaded

    def with_phase(self, phase: Phase, **changes: Any) -> SubmissionRecord:
        """Return the record in another phase."""
        return replace(self, phase=phase, **changes)


def _damaged() -> SeedanceServiceError:
    return SeedanceServiceError(
        f"The stored submission record is damaged. Check the account for a generation that runs, then delete the key "
        f"{RECORD_KEY!r} from the task's state store."
    )


#: What the service says of a recorded generation, when it was asked.
Remote = State | Literal["not_found"]
Action = Literal["submit", "ask", "attach", "finish", "fail"]


@dataclass(frozen=True)
class SubmissionDecision:
    """
    What ``execute`` does about a record.

    :param action: ``submit`` pays; ``ask`` looks the recorded generation up and decides again; ``attach`` waits for it;
        ``finish`` returns its result; ``fail`` raises the ambiguous submission.
    :param message: Why, for the log.
    :param warn: Whether a person should notice.
    """

    action: Action
    message: str
    warn: bool = False


def decide(
    record: SubmissionRecord | None,
    *,
    fingerprint: str,
    first_try: int,
    on_ambiguous_submission: OnAmbiguous = "fail",
    remote: Remote | None = None,
) -> SubmissionDecision:
    """
    Decide what to do, given what is remembered.

    :param record: The stored record, None where there is none.
    :param fingerprint: Of the request that would be sent now.
    :param first_try: Number of the first try since the task was last cleared.
    :param on_ambiguous_submission: What to do where a paid call's answer was lost.
    :param remote: What the service said of the recorded generation; None before it was asked. Where it cannot be
        asked there is nothing to decide: raise, and keep the record.
    """
    if record is None:
        return SubmissionDecision("submit", "Nothing was submitted before.")
    known = f"generation {record.generation_id}" if record.generation_id else "a submission without a known id"
    cleared = first_try > record.first_try
    if record.fingerprint != fingerprint:
        return SubmissionDecision(
            "submit",
            f"The request is another one than that of {known}: submitting anew."
            + (
                ""
                if cleared
                else " It changed between tries: a prompt that renders differently each time pays each time."
            ),
            warn=True,
        )
    if record.phase == "intent":
        if on_ambiguous_submission == "resubmit":
            return SubmissionDecision(
                "submit", "The answer to an earlier paid call was lost: submitting again.", warn=True
            )
        return SubmissionDecision("fail", "The answer to an earlier paid call was lost.", warn=True)
    if record.phase == "reported":
        if cleared:
            return SubmissionDecision(
                "submit",
                "The task was cleared after a submission whose answer was lost: submitting anew.",
                warn=True,
            )
        return SubmissionDecision("fail", "The answer to an earlier paid call was lost.", warn=True)
    if record.phase == "delivered":
        if cleared:
            return SubmissionDecision("submit", f"The task was cleared after {known} was delivered: submitting anew.")
        return SubmissionDecision("finish", f"An earlier try delivered {known}: finishing from it at no new cost.")
    return _decide_submitted(known, remote)


def _decide_submitted(known: str, remote: Remote | None) -> SubmissionDecision:
    if remote is None:
        return SubmissionDecision("ask", f"An earlier try submitted {known}: asking for it.")
    if remote == "running":
        return SubmissionDecision("attach", f"An earlier try submitted {known}, which runs: waiting for it.")
    if remote == "succeeded":
        return SubmissionDecision("finish", f"An earlier try submitted {known}, which succeeded: no new cost.")
    why = "failed and is refunded" if remote == "failed" else "the service does not know"
    return SubmissionDecision("submit", f"An earlier try submitted {known}, which {why}: submitting again.")


def ambiguous_error(record: SubmissionRecord, when: str, detail: str = "") -> SeedanceAmbiguousSubmissionError:
    """
    Build the exception for a paid call whose answer was lost.

    :param record: The record of the intent.
    :param when: Time of the call, readable.
    :param detail: What was seen of it, redacted.
    """
    seen = f" ({detail})" if detail else ""
    return SeedanceAmbiguousSubmissionError(
        f"A paid call was sent at {when} and its answer was lost{seen}: a generation may run and be billed, and its id "
        "is unknown. Look for it in the Starrise console. Clearing the task submits anew; "
        "on_ambiguous_submission='resubmit' would do so without asking."
    )


#: The gateway's codes of a 5xx that are known to come before its upstream is called (contract 3.2).
_BEFORE_UPSTREAM = frozenset(
    {
        "build_request_failed",
        "get_channel_failed",
        "model_not_found",
        "asset_copy_not_ready",
        "not_implemented",
        "api_not_implemented",
    }
)


@dataclass(frozen=True)
class SubmitAnswer:
    """
    What the answer to a paid call means.

    :param verdict: ``accepted`` with an id; ``refused``, nothing was created; ``repeat``, nothing was created and
        waiting helps; ``lost``, something may have been created.
    :param generation_id: With ``accepted``.
    :param error: With the others: the typed exception.
    """

    verdict: Literal["accepted", "refused", "repeat", "lost"]
    generation_id: str | None = None
    error: SeedanceError | None = None


def read_submit_answer(
    status: int,
    body: object,
    *,
    headers: Mapping[str, str] | None = None,
    conn_id: str = "seedance_default",
    secrets: Iterable[str] = (),
    item_name: Callable[[int], str | None] = lambda index: None,
) -> SubmitAnswer:
    """
    Judge the answer to the call that creates a generation. Parameters as :func:`~.errors.error_from`.

    The one question is whether something may have been created, and doubt means yes. Only two things prove that nothing
    was: a 4xx in the service's own error shape, and a 5xx with a code that comes before the upstream call. Proxies and
    CDNs write statuses, HTML and JSON too, and those prove nothing (design 7). A 429 was stopped before it began.
    """
    generation_id = _find_id(body)
    if 200 <= status < 300:
        if generation_id:
            return SubmitAnswer("accepted", generation_id)
        return SubmitAnswer("lost", error=SeedanceServiceError(f"HTTP {status} without a generation id", status=status))
    error = error_from(status, body, headers=headers, conn_id=conn_id, secrets=secrets, item_name=item_name)
    if status == 429:
        return SubmitAnswer("repeat", error=error)
    if generation_id or not _proves_refusal(status, body):
        return SubmitAnswer("lost", error=error)
    detail = read_error(body)
    if detail is not None and is_asset_not_ready(detail):
        return SubmitAnswer("repeat", error=error)
    return SubmitAnswer("refused", error=error)


def _proves_refusal(status: int, body: object) -> bool:
    if status >= 500:
        detail = read_error(body)
        return detail is not None and detail.gateway_code in _BEFORE_UPSTREAM
    return 400 <= status < 500 and status != 408 and _is_error_envelope(body)


def _is_error_envelope(body: object) -> bool:
    """Tell the service's own error (E1, E2, E5) from any other JSON."""
    outer = as_mapping(body)
    error = as_mapping(outer.get("error")) or as_mapping(as_mapping(outer.get("ResponseMetadata")).get("Error"))
    if error:
        names = {name.lower() for name in error}
        return "message" in names and bool(names & {"type", "code"})
    return isinstance(outer.get("code"), str) and "message" in outer


def _find_id(body: object) -> str | None:
    """The first id in the order of contract 8.5; one that starts with ``asyn`` wins where they differ."""
    outer = as_mapping(body)
    data = outer.get("data")
    inner = as_mapping(data)
    wrapped = as_mapping(outer.get("Result"))
    found = [outer.get("id"), outer.get("task_id"), inner.get("id"), inner.get("task_id"), data]
    found += [source.get(name) for source in (outer, inner, wrapped) for name in ("taskId", "Id")]
    ids = [value for value in map(as_id, found) if value]
    return next((value for value in ids if value.startswith("asyn")), ids[0] if ids else None)
