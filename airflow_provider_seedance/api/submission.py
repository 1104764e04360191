"""
Paying once: what is recorded of a submission, and what follows from it.

Invariants that must not be relaxed (decisions.md#paying-once):

- The intent is stored before the paid call, the id right after it.
- A retry is automatic and never pays twice; clearing a task is a person's decision, and may.
- "The service cannot be queried" never means "the generation does not exist".
- After a paid call, doubt means that something was created: a call whose response was lost is never repeated silently.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_seedance.api.generation import State, iso
from airflow_provider_seedance.api.parse import as_mapping, as_text
from airflow_provider_seedance.api.recovery import what_next
from airflow_provider_seedance.exceptions import SeedanceAmbiguousSubmissionError, SeedanceError, SeedanceServiceError

Phase = Literal["intent", "submitted", "delivered", "reported"]
_PHASES: frozenset[str] = frozenset({"intent", "submitted", "delivered", "reported"})
RECORD_VERSION = 1
#: Seconds by which the clocks of two workers may differ.
CLOCK_TOLERANCE = 3600.0

OnAmbiguous = Literal["fail", "resubmit"]


@dataclass(frozen=True)
class Kind:
    """
    What a paid call creates.

    :param noun: Its name in messages.
    :param key: The key of its record in Airflow's task state store.
    :param id_field: The name of its id in the record.
    """

    noun: str
    key: str
    id_field: str


GENERATION = Kind("generation", "seedance_generation", "generation_id")
ASSET = Kind("asset", "seedance_asset", "id")
ASSET_GROUP = Kind("asset group", "seedance_asset", "id")
#: By their nouns.
KINDS = {kind.noun: kind for kind in (GENERATION, ASSET, ASSET_GROUP)}


@dataclass(frozen=True)
class Tries:
    """
    What Airflow keeps of a task instance's tries.

    :param first: Number of the first try since the task was last cleared, by the Dag's present ``retries``.
    :param most: ``max_tries``.
    """

    first: int
    most: int | None = None


@dataclass(frozen=True)
class SubmissionRecord:
    """
    What is remembered of a task's submission across tries. It contains no prompt, key or link.

    :param fingerprint: SHA-256 of the request and the connection id.
    :param submitted_at: Unix seconds of the paid call; 0 if a release that did not record it wrote the record.
    :param phase: ``intent`` before the call, ``submitted`` once the id is known, ``delivered`` once Airflow
        has the task's success, ``reported`` once an ambiguous submission was raised.
    :param first_try: Number of the first try since the task was last cleared, by the Dag's ``retries`` of that moment.
    :param max_tries: The task instance's ``max_tries``, which clearing changes and a retry does not; None in a record
        of release 0.1.0.
    :param created_id: Known from phase ``submitted`` on; before it, what a response whose meaning is in doubt named,
        which may be no id that can be queried.
    :param known: For what can be listed: the ids that existed before the call.
    """

    fingerprint: str
    submitted_at: float
    phase: Phase
    first_try: int
    created_id: str | None = None
    known: tuple[str, ...] = ()
    max_tries: int | None = None

    def was_cleared(self, tries: Tries) -> bool:
        """Return whether a person cleared the task since this was written."""
        if self.max_tries is None or tries.most is None:
            return tries.first > self.first_try
        return tries.most != self.max_tries

    def to_dict(self, kind: Kind = GENERATION) -> dict[str, Any]:
        """Return it as JSON for the task state store."""
        return {
            "version": RECORD_VERSION,
            "fingerprint": self.fingerprint,
            kind.id_field: self.created_id,
            "submitted_at": self.submitted_at,
            "phase": self.phase,
            "first_try": self.first_try,
            **({} if self.max_tries is None else {"max_tries": self.max_tries}),
            **({} if kind is GENERATION else {"known": list(self.known)}),
        }

    @classmethod
    def from_dict(cls, data: object, kind: Kind = GENERATION, *, now: float | None = None) -> SubmissionRecord:
        """
        Read a stored record.

        :param now: Unix seconds, to refuse a time of submission that lies ahead: a wait from there might never end.
        :raises SeedanceServiceError: It is of an unknown version or damaged. It is not guessed at: a wrong guess could
            pay twice.
        """
        record = as_mapping(data)
        if record.get("version") != RECORD_VERSION:
            raise SeedanceServiceError(
                f"The stored submission record has version {record.get('version')!r}; this release reads version "
                f"{RECORD_VERSION}. Use the release that wrote it, or delete the key {kind.key!r} from the task's "
                f"state store after checking the account for {kind.noun}s that this task created."
            )
        if "what" in record:  # an asset's, as release 0.1.0 wrote it
            phase = "submitted" if record.get("id") else "intent"
            record = {**record, "fingerprint": record["what"], "submitted_at": 0.0, "phase": phase}
        try:
            loaded = cls(
                fingerprint=str(record["fingerprint"]),
                submitted_at=float(record["submitted_at"]),
                phase=record["phase"],
                first_try=_whole(record["first_try"]),
                created_id=as_text(record.get(kind.id_field)),
                known=tuple(map(str, record.get("known") or ())),
                max_tries=None if record.get("max_tries") is None else _whole(record["max_tries"]),
            )
            known_phase = loaded.phase in _PHASES
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise _damaged(kind) from e
        needs_id = loaded.phase in ("submitted", "delivered")
        if not known_phase or (needs_id and not loaded.created_id) or not 0 <= loaded.submitted_at < 1e11:
            raise _damaged(kind)
        if now is not None and loaded.submitted_at > now + CLOCK_TOLERANCE:
            raise SeedanceServiceError(
                f"The stored submission record says that the {kind.noun} was submitted at {iso(loaded.submitted_at)}, "
                f"which lies ahead: it is {iso(now)} here. Correct the clock of the machine that is wrong and retry, "
                f"or delete the key {kind.key!r} from the task's state store after checking the account."
            )
        return loaded

    def with_phase(self, phase: Phase, **changes: Any) -> SubmissionRecord:
        """Return the record in another phase."""
        return replace(self, phase=phase, **changes)

    def at(self, tries: Tries) -> SubmissionRecord:
        """Return the record as of these tries, so that a later retry does not pass for cleared."""
        return replace(self, first_try=tries.first, max_tries=tries.most)


def _whole(value: object) -> int:
    """Return a number of tries as it was written; a damaged one must not pass for a clearing."""
    if type(value) is not int or value < 0:
        raise TypeError(value)
    return value


def _damaged(kind: Kind) -> SeedanceServiceError:
    return SeedanceServiceError(
        f"The stored submission record is damaged. Check the account for {kind.noun}s that this task created, then "
        f"delete the key {kind.key!r} from the task's state store."
    )


#: What the service says of a recorded generation, when it was asked.
Remote = State | Literal["not_found"]
Action = Literal["submit", "ask", "attach", "finish", "fail"]


@dataclass(frozen=True)
class SubmissionDecision:
    """
    What ``execute`` does about a record.

    :param action: ``submit`` pays; ``ask`` queries the recorded generation and decides again; ``attach`` waits for it;
        ``finish`` returns its result; ``fail`` raises the ambiguous submission.
    :param message: Why, for the log.
    :param warn: Whether to log it as a warning.
    """

    action: Action
    message: str
    warn: bool = False


def decide(
    record: SubmissionRecord | None,
    *,
    fingerprint: str,
    first_try: int,
    max_tries: int | None = None,
    on_ambiguous_submission: OnAmbiguous = "fail",
    remote: Remote | None = None,
    kind: Kind = GENERATION,
) -> SubmissionDecision:
    """
    Decide what to do, given what is remembered (decisions.md#paying-once).

    :param record: The stored record, None if there is none.
    :param fingerprint: Of the request that would be sent now.
    :param first_try: Number of the first try since the task was last cleared, by the Dag's present ``retries``.
    :param max_tries: The task instance's ``max_tries``, by which a retry is told from clearing if the record has it.
    :param on_ambiguous_submission: What to do if a paid call's response was lost.
    :param remote: What the service said of the recorded generation; None before it was asked. If it cannot be asked
        there is nothing to decide: raise, and keep the record.
    :param kind: What was submitted.
    """
    if record is None:
        return SubmissionDecision("submit", "Nothing was submitted before.")
    known = f"{kind.noun} {record.created_id}" if record.created_id else "a submission without a known id"
    cleared = record.was_cleared(Tries(first_try, max_tries))
    if record.fingerprint == fingerprint:
        return _decide_same(record, known, cleared, on_ambiguous_submission, remote)
    if cleared:
        message = f"The request differs from that of {known}, and the task was cleared: submitting it."
        return SubmissionDecision("submit", message, warn=record.phase != "delivered")
    decision = _decide_same(record, known, cleared, on_ambiguous_submission, remote)
    changed = (
        f"The request renders differently from that of {known} ({record.fingerprint[:8]} then, {fingerprint[:8]} now). "
        "A retry keeps to what was submitted; clearing the task submits the new request."
    )
    return SubmissionDecision(decision.action, f"{changed} {decision.message}", warn=True)


def _decide_same(
    record: SubmissionRecord, known: str, cleared: bool, on_ambiguous: OnAmbiguous, remote: Remote | None
) -> SubmissionDecision:
    if record.phase == "delivered":
        if cleared:
            return SubmissionDecision("submit", f"The task was cleared after {known} was delivered: submitting again.")
        return SubmissionDecision("finish", f"An earlier try delivered {known}: finishing from it at no new cost.")
    if record.created_id is not None and remote is None:
        return SubmissionDecision("ask", f"An earlier try submitted {known}: querying it.")
    if record.created_id is not None and remote == "running":
        return SubmissionDecision("attach", f"An earlier try submitted {known}, which is running: waiting for it.")
    if record.created_id is not None and remote == "succeeded":
        again = " Clearing the task again after its success makes a new one."
        message = f"An earlier try submitted {known}, which succeeded: no new cost.{again if cleared else ''}"
        return SubmissionDecision("finish", message, warn=cleared)
    if record.created_id is not None and remote == "failed":
        message = f"An earlier try submitted {known}, which failed and is refunded: submitting again."
        return SubmissionDecision("submit", message)
    lost = "The response to an earlier paid call was lost"
    doubt = f"The service does not know {known}" if record.created_id else lost
    if record.phase == "reported" and cleared:
        return SubmissionDecision("submit", f"{doubt}, and the task was cleared since: submitting again.", warn=True)
    if record.phase != "reported" and on_ambiguous == "resubmit":
        return SubmissionDecision("submit", f"{doubt}: resubmitting.", warn=True)
    return SubmissionDecision("fail", f"{doubt}.", warn=True)


def superseded(record: SubmissionRecord, kind: Kind = GENERATION) -> str:
    """Say what an earlier paid call may still cost, for the error of the call that was to replace it."""
    if record.created_id is None:
        return f"An earlier paid call was sent at {_when(record)}, its response was lost, and it may be billed."
    return f"An earlier paid call, sent at {_when(record)}, made {kind.noun} {record.created_id}, which may be billed."


def _when(record: SubmissionRecord) -> str:
    return (iso(record.submitted_at) if record.submitted_at else None) or "an unknown time"


def ambiguous_error(
    record: SubmissionRecord, kind: Kind = GENERATION, detail: str = "", *, reattaches: bool = True
) -> SeedanceError:
    """
    Build the exception for a paid call whose response was lost.

    :param record: The record of the intent.
    :param kind: What was submitted.
    :param detail: What was seen of the response, redacted.
    :param reattaches: Whether the task's next try finds the record.
    """
    when = _when(record)
    seen = f" ({detail.rstrip('.')})" if detail else ""
    if record.created_id is not None:
        what = f"failed{seen}, but names" if detail else "was accepted, and the service does not know"
        then = "Clearing the task queries it again, and submits if it is still unknown."
        if not reattaches:
            then = what_next(kind.noun, record.created_id, reattaches=False)
        return SeedanceAmbiguousSubmissionError(
            f"A paid call was sent at {when} and {what} {kind.noun} {record.created_id}, which may be billed. "
            "Check that the connection's key is the one that submitted it, and look for it in the Starrise console. "
            f"{then}"
        )
    if kind is GENERATION:
        remedy = (
            "Check the Starrise console for it. Clearing the task submits again; "
            "on_ambiguous_submission='resubmit' would do so automatically, and may pay twice."
        )
    else:
        remedy = (
            "No list of the service showed it: check the Starrise console. Clearing the task looks again, and creates "
            "it if it is still missing."
        )
    return SeedanceAmbiguousSubmissionError(
        f"A paid call was sent at {when} and its response was lost{seen}: the {kind.noun} may exist and be "
        f"billed, and its id is unknown. {remedy}"
    )
