"""
When to ask again, and when to stop: one pure decision for the trigger, the worker-side wait and the sensor.

Invariants that must not be relaxed:

- Unknown is never absent: only the service's own "not found" ends in ``not_found``, since a retry pays again on it.
- An outage is waited out until the deadline; nothing is given up because of a count of failures.
- The deadline is wall clock and comes from outside, so it survives restarts; nothing counted here has to.
- No I/O, no clock, no sleep: the caller tells the time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.limits import DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRateLimitError,
    SeedanceServiceError,
)

Outcome = Literal["succeeded", "failed", "error", "not_found", "timeout"]
OUTCOMES: frozenset[str] = frozenset({"succeeded", "failed", "error", "not_found", "timeout"})

#: Version of the event that trigger and operator exchange; raised when its form changes.
EVENT_VERSION = 1
#: Seconds in which a trigger must not finish: a deferral shorter than that can fail a healthy task in Airflow.
FIRST_POLL_DELAY = 5.0
#: Seconds that a backoff grows to at the most.
MAX_BACKOFF = 300.0
#: Seconds after submission in which "not found" is believed to be a lag of the service.
NOT_FOUND_GRACE = 60.0
#: Further questions after a success without a link.
MAX_WITHOUT_LINK = 5
#: Looks in a row at an upstream that gave up before the gateway is overruled.
INNER_FAILED_LIMIT = 3
#: Part of a wait by which it is spread, so that triggers that start together drift apart.
JITTER = 0.1


@dataclass(frozen=True)
class PollDecision:
    """
    What to do after one look: ask again at ``ask_at``, or end with ``outcome``.

    :param ask_at: Unix seconds of the next look; None once there is an outcome.
    :param outcome: How it ended; None while it goes on.
    :param reason: One word for statistics and messages.
    :param message: What happened and what follows, without any text of the service, fit for an event that is stored.
    :param refresh_connection: Read the connection afresh before asking again: its key was refused.
    :param warning: Something to log once.
    """

    ask_at: float | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    message: str = ""
    refresh_connection: bool = False
    warning: str | None = None


class BasePoller:
    """
    Turns looks at something that takes time into decisions; what it is, and how it ends, is the children's.

    :param subject_id: The id of what is waited for, named in messages.
    :param deadline: Unix seconds after which patience ends.
    :param submitted_at: Unix seconds of the submission, from which the grace for "not found" counts.
    :param poll_interval: Seconds between two looks.
    :param counts: What an earlier poller for the same wait had counted (:meth:`counts`).
    :param rng: Returns a number from 0 to 1, for the jitter.
    """

    #: What is waited for, as messages name it.
    noun = ""
    #: What is true, and what a retry does, when the wait ends before it does.
    unfinished = ""
    #: Why the service may not know it.
    unknown = ""

    def __init__(
        self,
        subject_id: str,
        *,
        deadline: float,
        submitted_at: float,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        counts: Mapping[str, Any] | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.subject_id = subject_id
        self.deadline = deadline
        self.submitted_at = submitted_at
        self.poll_interval = poll_interval
        self._rng = rng
        counts = counts or {}
        self._errors = int(counts.get("errors", 0))
        self._auth_refused = bool(counts.get("auth_refused", False))
        self._last_error = ""
        self._warned: set[str] = set()

    @property
    def grace(self) -> float:
        """Seconds after submission in which "not found" is believed to be a lag of the service."""
        return NOT_FOUND_GRACE

    def counts(self) -> dict[str, Any]:
        """Return what was counted so far, as JSON: for a sensor that is rescheduled between two looks."""
        return {"errors": self._errors, "auth_refused": self._auth_refused}

    def first_look(self, now: float) -> float:
        """Return when a trigger that starts now may look first: not at once, and spread over one interval."""
        spread = max(self.poll_interval - FIRST_POLL_DELAY, 0.0) * self._rng()
        return now + max(min(FIRST_POLL_DELAY + spread, self.deadline - now), FIRST_POLL_DELAY)

    def on_error(self, error: SeedanceError, *, now: float) -> PollDecision:
        """
        Decide after a look that failed.

        :param error: The typed exception the look ended in.
        :param now: Unix seconds.
        """
        self._last_error = type(error).__name__
        if isinstance(error, SeedanceAuthError | SeedanceBalanceError) or error.status in (401, 403):
            return self._refused_key(error, now)
        if isinstance(error, SeedanceNotFoundError):
            return self._not_found(now)
        if isinstance(error, SeedanceRateLimitError | SeedanceServiceError):
            return self._again(now, self._backoff(error))
        if error.status is None:
            return self._error("request", str(error))  # raised here: no text of the service in it
        return self._error("request", f"the service refused the question ({_word(error)})")

    def on_state(self, state: Any, *, now: float) -> PollDecision:
        """Decide after an answer."""
        raise NotImplementedError

    def _answered(self) -> None:
        self._errors, self._auth_refused, self._last_error = 0, False, ""

    def _refused_key(self, error: SeedanceError, now: float) -> PollDecision:
        if self._auth_refused:
            return self._error("auth", f"the service refuses the connection's key ({_word(error)})")
        self._auth_refused = True
        return self._again(now, self._jittered(self.poll_interval), refresh_connection=True)

    def _not_found(self, now: float) -> PollDecision:
        if now < self.submitted_at + self.grace:
            return self._again(now, self._jittered(self.poll_interval))
        return PollDecision(
            outcome="not_found",
            reason="not_found",
            message=f"The service does not know {self.noun.lower()} {self.subject_id}: {self.unknown}.",
        )

    def _backoff(self, error: SeedanceError) -> float:
        self._errors += 1
        asked = error.retry_after if isinstance(error, SeedanceRateLimitError) else None
        if asked is not None:
            return max(asked, 1.0) * (1 + JITTER * self._rng())
        doublings = min(self._errors - 1, 30)
        return self._jittered(min(self.poll_interval * 2.0**doublings, max(MAX_BACKOFF, self.poll_interval)))

    def _again(
        self, now: float, wait: float, *, refresh_connection: bool = False, warning: str | None = None
    ) -> PollDecision:
        """Ask again, at the deadline at the latest: that is the one last look before the time-out."""
        if now >= self.deadline:
            return self._timeout()
        ask_at = min(now + wait, self.deadline)
        return PollDecision(ask_at=ask_at, refresh_connection=refresh_connection, warning=warning)

    def _timeout(self) -> PollDecision:
        last = f" The last looks failed ({self._last_error})." if self._last_error else ""
        return PollDecision(
            outcome="timeout",
            reason="timeout",
            message=f"{self.noun} {self.subject_id} did not finish in time.{last} {self.unfinished} "
            "Raise 'timeout' if this is usual.",
        )

    def _error(self, reason: str, what: str) -> PollDecision:
        return PollDecision(
            outcome="error", reason=reason, message=f"{self.noun} {self.subject_id}: {what}. {self.unfinished}"
        )

    def _unknown_word(self, status: str, known: bool) -> str | None:
        """Warn about a word that is not known, once; it counts as running."""
        if known or status in self._warned:
            return None
        self._warned.add(status)
        return f"Unknown status {status[:40]!r} of {self.noun.lower()} {self.subject_id}: taken as running."

    def _jittered(self, wait: float) -> float:
        return wait * (1 + JITTER * (2 * self._rng() - 1))


class Poller(BasePoller):
    """
    Turns each look at a generation into a decision.

    :param generation_id: The generation. The other parameters are those of :class:`BasePoller`.
    """

    noun = "Generation"
    unfinished = "It goes on and is billed: a retry or a Clear of the task looks again before anything is paid."
    unknown = "a wrong id, another account's, or older than the about 7 days that records are kept"

    def __init__(self, *, generation_id: str, counts: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(generation_id, counts=counts, **settings)
        self._without_link = int((counts or {}).get("without_link", 0))
        self._inner_failed = int((counts or {}).get("inner_failed", 0))

    def counts(self) -> dict[str, Any]:
        """Return what was counted so far, as JSON."""
        return {**super().counts(), "without_link": self._without_link, "inner_failed": self._inner_failed}

    def on_state(self, generation: Generation, *, now: float) -> PollDecision:
        """
        Decide after an answer.

        :param generation: What the service said.
        :param now: Unix seconds.
        """
        self._answered()
        if generation.state == "succeeded":
            return self._succeeded(generation, now)
        if generation.state == "failed":
            return self._failed(generation)
        self._inner_failed = self._inner_failed + 1 if generation.inner_failed else 0
        if self._inner_failed >= INNER_FAILED_LIMIT:
            return self._failed(generation)
        warning = self._unknown_word(generation.status, generation.is_known_status)
        return self._again(now, self._jittered(self.poll_interval), warning=warning)

    def _succeeded(self, generation: Generation, now: float) -> PollDecision:
        if generation.video_url is not None:
            return PollDecision(
                outcome="succeeded", reason="succeeded", message=f"Generation {self.subject_id} succeeded."
            )
        self._without_link += 1
        if self._without_link > MAX_WITHOUT_LINK:
            return self._error("no_link", "it finished without a link to the video")
        return self._again(now, self._jittered(self.poll_interval))

    def _failed(self, generation: Generation) -> PollDecision:
        code = generation.failure.code if generation.failure else None
        reason = generation.failure_reason
        return PollDecision(
            outcome="failed",
            reason=reason,
            message=f"Generation {self.subject_id} failed ({code or reason}). The platform refunds it.",
        )


def _word(error: SeedanceError) -> str:
    return error.code or (f"HTTP {error.status}" if error.status else type(error).__name__)


def to_event(subject_id: str, decision: PollDecision, *, key: str = "generation_id") -> dict[str, Any]:
    """
    Return the event of a finished wait. Airflow logs and stores it: it holds the id and the outcome only.

    :param subject_id: What was waited for.
    :param decision: One with an outcome.
    :param key: The name under which the id stands.
    """
    return {
        "version": EVENT_VERSION,
        key: subject_id,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "message": decision.message,
    }


def from_event(event: object, *, key: str = "generation_id") -> tuple[str, PollDecision]:
    """
    Check an event and return its id and decision.

    :param event: What ``execute_complete`` was given.
    :param key: The name under which the id stands.
    :raises SeedanceServiceError: where it is none of ours, or of a version that this release does not know. Nothing
        that is remembered of the submission is touched, so a retry looks by itself.
    """
    again = "A retry of the task looks by itself."
    if not isinstance(event, Mapping):
        raise SeedanceServiceError(f"The trigger sent no event that can be read: {type(event).__name__}. {again}")
    if event.get("version") != EVENT_VERSION:
        raise SeedanceServiceError(
            f"The trigger's event has version {event.get('version')!r}; this release reads version {EVENT_VERSION}. "
            f"Run the same version of airflow-provider-seedance on triggerers and workers. {again}"
        )
    subject_id, outcome = event.get(key), event.get("outcome")
    if not isinstance(subject_id, str) or outcome not in OUTCOMES:
        raise SeedanceServiceError(f"The trigger's event lacks an id or a known outcome. {again}")
    return subject_id, PollDecision(
        outcome=outcome, reason=event.get("reason"), message=str(event.get("message") or "")
    )
