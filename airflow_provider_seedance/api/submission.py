"""
Paying once: what is recorded of a submission, and what follows from it.

Invariants that must not be relaxed (decisions.md#paying-once):

- The intent is stored before the paid call, the id right after it.
- A retry is automatic and never pays twice; clearing a task is a person's decision, and may.
- "The service cannot be queried" never means "the generation does not exist".
- After a paid call, doubt means that something was created: a call whose response was lost is never repeated silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_seedance.api.errors import error_from, is_asset_not_ready, is_error_envelope, read_error, retry_in
from airflow_provider_seedance.api.generation import State, iso
from airflow_provider_seedance.api.parse import as_id, as_mapping
from airflow_provider_seedance.api.recovery import what_next
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceError,
    SeedanceServiceError,
    SeedanceTransportError,
)

Phase = Literal["intent", "submitted", "delivered", "reported"]
_PHASES: frozenset[str] = frozenset({"intent", "submitted", "delivered", "reported"})
RECORD_VERSION = 1

OnAmbiguous = Literal["fail", "resubmit"]

#: Attempts of a paid call, repeated only if nothing can have been created.
SUBMIT_ATTEMPTS = 6
#: Seconds before the second attempt; doubled for each further one.
SUBMIT_BACKOFF = 5.0


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
    :param phase: ``intent`` before the call, ``submitted`` once the id is known, ``delivered`` once the operator
        returned its result, ``reported`` once an ambiguous submission was raised.
    :param first_try: Number of the first try since the task was last cleared, by the Dag's ``retries`` of that moment.
    :param max_tries: The task instance's ``max_tries``, which clearing changes and a retry does not; None in a record
        of release 0.1.0.
    :param created_id: Known from phase ``submitted`` on.
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
    def from_dict(cls, data: object, kind: Kind = GENERATION) -> SubmissionRecord:
        """
        Read a stored record.

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
                first_try=int(record["first_try"]),
                created_id=as_id(record.get(kind.id_field)),
                known=tuple(map(str, record.get("known") or ())),
                max_tries=None if record.get("max_tries") is None else int(record["max_tries"]),
            )
            known_phase = loaded.phase in _PHASES
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise _damaged(kind) from e
        needs_id = loaded.phase in ("submitted", "delivered")
        if not known_phase or (needs_id and not loaded.created_id) or not 0 <= loaded.submitted_at < 1e11:
            raise _damaged(kind)
        return loaded

    def with_phase(self, phase: Phase, **changes: Any) -> SubmissionRecord:
        """Return the record in another phase."""
        return replace(self, phase=phase, **changes)

    def at(self, tries: Tries) -> SubmissionRecord:
        """Return the record as of these tries, so that a later retry does not pass for cleared."""
        return replace(self, first_try=tries.first, max_tries=tries.most)


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
        return SubmissionDecision("finish", f"An earlier try submitted {known}, which succeeded: no new cost.")
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
    when = iso(record.submitted_at) if record.submitted_at else "an unknown time"
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
            "It is not in the service's list, so it was probably not created. Clearing the task lists again, and "
            "creates it if it is still missing."
        )
    return SeedanceAmbiguousSubmissionError(
        f"A paid call was sent at {when} and its response was lost{seen}: the {kind.noun} may exist and be "
        f"billed, and its id is unknown. {remedy}"
    )


@dataclass(frozen=True)
class PaidAnswer:
    """
    What became of a paid call.

    :param verdict: ``accepted`` with an id; ``refused``, nothing was created; ``repeat``, nothing was created and
        waiting helps; ``lost``, something may have been created.
    :param created_id: With ``accepted``, and with ``lost`` if the response names one all the same.
    :param error: With the others: the typed exception.
    """

    verdict: Literal["accepted", "refused", "repeat", "lost"]
    created_id: str | None = None
    error: SeedanceError | None = None

    def retry_in(self, attempt: int) -> float | None:
        """
        Return when the call may be made again in place.

        :param attempt: The number of the attempt that this is the answer to, from 1.
        :returns: Seconds; None if it must not be repeated, or not here.
        """
        if self.verdict != "repeat" or self.error is None:
            return None
        return retry_in(self.error, attempt, attempts=SUBMIT_ATTEMPTS, backoff=SUBMIT_BACKOFF)

    def require_id(self) -> str:
        """
        Return the id of what was created.

        :raises SeedanceAmbiguousSubmissionError: The response was lost.
        :raises SeedanceError: The typed exception of a refusal; nothing was created.
        """
        if self.error is None:
            return str(self.created_id)
        if self.verdict != "lost":
            raise self.error
        raise SeedanceAmbiguousSubmissionError(
            f"The response to a paid call was lost: {self.error}",
            code=self.error.code,
            status=self.error.status,
            request_id=self.error.request_id,
        ) from self.error


def read_paid_failure(error: SeedanceError) -> PaidAnswer:
    """
    Classify a paid call that got no response.

    :param error: What it ended in. Only one that was sent can have created something.
    """
    if not isinstance(error, SeedanceTransportError):
        return PaidAnswer("refused", error=error)  # it could not be sent, and will not be next time
    return PaidAnswer("lost" if error.sent else "repeat", error=error)


#: The gateway's codes with a 5xx that are known to come before its upstream is called (contract.md#http-status).
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


#: The 4xx with which the service refuses (contract.md#http-status). Others come from something on the way to it.
_REFUSING_STATUSES = frozenset({400, 401, 402, 403, 404, 413})


def read_paid_answer(
    response: Response, *, secrets: Iterable[str] = (), item_names: Sequence[str] = (), sent: bytes = b""
) -> PaidAnswer:
    """
    Classify the response to a paid call. Parameters as :func:`~.errors.error_from`.

    :param sent: The request's body: an id that a text quotes from it is not the one created.

    The one question is whether something may have been created, and doubt means yes (decisions.md#paying-once). Only
    two things prove that nothing was: a 4xx in the service's own error shape, and a 5xx with a code that comes before
    the upstream call. Proxies and CDNs write statuses, HTML and JSON too, and those prove nothing. A 429 was stopped
    before it began.
    """
    status, created_id = response.status, find_created_id(response.body, sent)
    if 200 <= status < 300 and created_id:
        return PaidAnswer("accepted", created_id)
    error = error_from(response, secrets=secrets, item_names=item_names)
    if 200 <= status < 300:
        said = f": {error}" if read_error(response.body) else "."
        error = SeedanceServiceError(f"The service answered HTTP {status} without an id{said}", status=status)
        return PaidAnswer("lost", error=error)
    if created_id:
        return PaidAnswer("lost", created_id, error)
    if status == 429:
        return PaidAnswer("repeat", error=error)
    if not _proves_refusal(response):
        return PaidAnswer("lost", error=error)
    detail = read_error(response.body)
    waiting_helps = detail is not None and is_asset_not_ready(detail)
    return PaidAnswer("repeat" if waiting_helps else "refused", error=error)


def _proves_refusal(response: Response) -> bool:
    if not is_error_envelope(response.body):
        return False
    if response.status < 500:
        return response.status in _REFUSING_STATUSES
    outer = as_mapping(response.body)
    code = outer.get("code") or as_mapping(outer.get("error")).get("code")  # the gateway's own is the outermost
    return code in _BEFORE_UPSTREAM


#: Names of an id, and of what may wrap one, in the order that they are searched (contract.md#create-response).
_ID_NAMES = ("id", "task_id", "taskId", "Id", "generation_id")
#: An id of the vendor's, wherever it is written (contract.md#create-response).
_VENDOR_ID = re.compile(r"\basyn[A-Za-z]*_[A-Za-z0-9._-]{2,199}[A-Za-z0-9]")
_MAX_DEPTH = 5


def find_created_id(body: object, sent: bytes = b"") -> str | None:
    """
    Return the first id in a body, whatever wraps it; one of the vendor's own form wins, even in a text.

    :param sent: The request's body: an id that a text quotes from it does not count.
    """
    ids = list(_ids_in(body, 0))
    named = next((value for value in ids if value.startswith("asyn")), None)
    return named or _id_in_text(body, sent, 0) or (ids[0] if ids else None)


def _id_in_text(node: object, sent: bytes, depth: int) -> str | None:
    if isinstance(node, str):
        return next((found for found in _VENDOR_ID.findall(node) if found.encode() not in sent), None)
    members = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    if depth > _MAX_DEPTH:
        return None
    return next(filter(None, (_id_in_text(member, sent, depth + 1) for member in members)), None)


def _ids_in(node: object, depth: int) -> Iterator[str]:
    """Yield the ids of a node before those of its members."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, Mapping):
        yield from filter(None, (as_id(node.get(name)) for name in _ID_NAMES))
        if depth == 0 and (bare := as_id(node.get("data"))):
            yield bare
        for member in node.values():
            if isinstance(member, Mapping | list):
                yield from _ids_in(member, depth + 1)
    elif isinstance(node, list):
        for member in node:
            yield from _ids_in(member, depth + 1)
