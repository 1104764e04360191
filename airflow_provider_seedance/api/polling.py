"""
When to poll again, and when to stop: one pure decision for the trigger, the worker-side wait and the sensor.

Invariants that must not be relaxed (decisions.md#waiting):

- Unknown is never absent: only the service's own words end a wait. What a proxy answers in its place is an outage.
- An outage is waited out until the deadline; no count of failures ends a wait.
- The deadline is wall clock and comes from outside, so it survives restarts; nothing counted here has to.
- No I/O, no clock, no sleep: the caller passes the time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.calls import Call, GetAsset, GetGeneration
from airflow_provider_seedance.api.errors import is_transient
from airflow_provider_seedance.api.generation import Generation, iso
from airflow_provider_seedance.api.limits import DEFAULT_ASSET_POLL_INTERVAL, DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.api.outcomes import Finished
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRequestError,
)

#: Seconds in which a trigger must not finish: a shorter deferral can fail a healthy task in Airflow.
FIRST_POLL_DELAY = 5.0
#: Seconds between two readings of a connection that failed polls ask for.
REREAD_INTERVAL = 10.0
#: Seconds that a backoff grows to.
MAX_BACKOFF = 300.0
#: Seconds after submission in which "not found" is taken for a lag of the service.
NOT_FOUND_GRACE = 60.0
#: The same for an asset (contract.md#get-asset).
ASSET_NOT_FOUND_GRACE = 20.0
#: Failed polls in a row after which the connection is read again: its host may have changed.
REREAD_AFTER = 3
#: Further polls after a success without a link.
MAX_WITHOUT_LINK = 5
#: Polls in a row that show an upstream that gave up before the gateway is overruled.
INNER_FAILED_LIMIT = 3
#: Fraction by which a wait is spread, so that triggers that start together drift apart.
JITTER = 0.1

#: Shared, because each generator takes 2.5 KB, and a triggerer holds a poller per generation.
_RANDOM = random.Random()

#: What is waited for.
Waited = TypeVar("Waited", Generation, Asset)


@dataclass(frozen=True)
class PollAgain:
    """
    Poll again at a time.

    :param next_poll_at: Unix seconds.
    :param refresh_connection: Read the connection again first: a person may have corrected it.
    :param warning: A warning for the caller to log; each is returned once.
    """

    next_poll_at: float
    refresh_connection: bool = False
    warning: str | None = None


PollDecision = PollAgain | Finished


class BasePoller(Generic[Waited]):
    """
    Turns the polls of a remote job into decisions. Subclasses define the job and what ends it.

    :param subject_id: The id of what is waited for, named in messages.
    :param deadline: Unix seconds at which the wait ends.
    :param submitted_at: Unix seconds of the submission, from which the grace for "not found" counts.
    :param poll_interval: Seconds between status checks.
    :param counts: What an earlier poller for the same wait had counted (:meth:`counts`).
    :param rng: The source of jitter.
    """

    #: What is waited for, in messages.
    noun = ""
    #: Appended to messages if the wait ends before the job does: its state. What a retry does is for the task to say.
    unfinished = ""
    #: Likely causes of "not found".
    unknown = ""
    #: Seconds after submission in which "not found" is taken for a lag of the service.
    grace = NOT_FOUND_GRACE

    def __init__(
        self,
        subject_id: str,
        *,
        deadline: float,
        submitted_at: float,
        poll_interval: float,
        counts: Mapping[str, Any] | None = None,
        rng: random.Random = _RANDOM,
    ) -> None:
        self.subject_id = subject_id
        self.deadline = deadline
        self.submitted_at = submitted_at
        self.poll_interval = poll_interval
        self._rng = rng
        counts = counts or {}
        self._errors = int(counts.get("errors", 0))
        self._auth_refused = bool(counts.get("auth_refused", False))
        self._denied = bool(counts.get("denied", False))
        self._last_error = ""
        self._last_status: str | None = None
        self._warned: set[str] = set()

    @property
    def subject(self) -> str:
        """What is waited for, with its id."""
        return f"{self.noun} {self.subject_id}"

    @property
    def call(self) -> Call[Waited]:
        """The call that polls it."""
        raise NotImplementedError

    def counts(self) -> dict[str, Any]:
        """Return what was counted so far, as JSON: for a sensor that is rescheduled between polls."""
        return {"errors": self._errors, "auth_refused": self._auth_refused, "denied": self._denied}

    def note_status(self, state: Waited) -> bool:
        """Remember a status, and return whether it differs from the one before."""
        changed = state.status != self._last_status
        self._last_status = state.status
        return changed

    def first_poll_at(self, now: float) -> float:
        """Return when a trigger that starts now may poll first: not at once, and spread over one interval."""
        spread = max(self.poll_interval - FIRST_POLL_DELAY, 0.0) * self._rng.random()
        return now + max(min(FIRST_POLL_DELAY + spread, self.deadline - now), FIRST_POLL_DELAY)

    def on_state(self, state: Waited, *, now: float) -> PollDecision:
        """
        Decide after a response.

        :param state: What the service reported.
        :param now: Unix seconds.
        """
        self._errors, self._auth_refused, self._denied, self._last_error = 0, False, False, ""
        return self._decide(state, now) or self._again(
            now, self._jittered(self.poll_interval), warning=self._unknown_status(state)
        )

    def on_error(self, error: SeedanceError, *, now: float) -> PollDecision:
        """
        Decide after a poll that failed.

        :param error: The typed exception that it ended in.
        :param now: Unix seconds.
        """
        self._last_error = type(error).__name__
        if not error.is_from_service:
            return self._outage(error, now)  # somebody else's words, whatever they say
        if isinstance(error, SeedanceAuthError | SeedanceBalanceError) or error.status in (401, 403):
            return self._refused_key(error, now)
        if isinstance(error, SeedanceNotFoundError):
            return self._not_found(error, now)
        if is_transient(error):
            return self._outage(error, now)
        if error.status is None:
            return self._error("request", str(error).rstrip("."))  # raised here: no text of the service in it
        return self._error("request", f"the service refused the query ({_word(error)})")

    def _decide(self, state: Waited, now: float) -> PollDecision | None:
        """Return the decision for a state other than plain running; None for running."""
        raise NotImplementedError

    def _refused_key(self, error: SeedanceError, now: float) -> PollDecision:
        if self._auth_refused:
            return self._error("auth", f"the service refuses the connection's key ({_word(error)})")
        self._auth_refused = True
        return self._again(now, self._pause_to_reread(error), refresh_connection=True)

    def _not_found(self, error: SeedanceError, now: float) -> PollDecision:
        if not self._denied or now < self.submitted_at + self.grace:
            # the first time, the connection may lead to another host or account than when it was submitted
            is_first, self._denied = not self._denied, True
            pause = self._pause_to_reread(error) if is_first else self._pause(error)
            return self._again(now, pause, refresh_connection=is_first)
        message = f"The service does not know {self.noun.lower()} {self.subject_id}: {self.unknown}."
        return Finished("not_found", "not_found", message)

    def _outage(self, error: SeedanceError, now: float) -> PollDecision:
        self._errors += 1
        doublings = min(self._errors - 1, 30)
        backoff = min(self.poll_interval * 2.0**doublings, max(MAX_BACKOFF, self.poll_interval))
        return self._again(now, self._pause(error, backoff), refresh_connection=self._errors % REREAD_AFTER == 0)

    def _pause(self, error: SeedanceError, pause: float | None = None) -> float:
        """Return how long to wait after an error: as the service asks, else the pause, else the poll interval."""
        if error.retry_after is not None:
            return max(error.retry_after, 1.0) * (1 + JITTER * self._rng.random())
        return self._jittered(self.poll_interval if pause is None else pause)

    def _pause_to_reread(self, error: SeedanceError) -> float:
        """Return how long to wait so that the connection has been read again: just now, it may have been already."""
        return max(self._pause(error), REREAD_INTERVAL + 1)

    def _again(
        self, now: float, wait: float, *, refresh_connection: bool = False, warning: str | None = None
    ) -> PollDecision:
        """Poll again, no later than the deadline, which gets one last poll before the timeout."""
        if now >= self.deadline:
            return self._timeout(now)
        return PollAgain(min(now + wait, self.deadline), refresh_connection, warning)

    def _timeout(self, now: float) -> Finished:
        # with both times, because the clocks of worker and triggerer may differ
        times = f"submitted at {iso(self.submitted_at)}, deadline {iso(self.deadline)}, now {iso(now)}"
        last = f" The last polls failed ({self._last_error})." if self._last_error else ""
        return Finished(
            "timeout",
            "timeout",
            f"The timeout expired before {self.noun.lower()} {self.subject_id} finished ({times}).{last} "
            f"{self.unfinished} Raise 'timeout' if this is usual.",
        )

    def _error(self, reason: str, what: str) -> Finished:
        return Finished("error", reason, f"{self.subject}: {what}. {self.unfinished}")

    def _unknown_status(self, state: Waited) -> str | None:
        """Return a warning about a status that is not known, once; it counts as running."""
        if state.is_known_status or state.status in self._warned:
            return None
        self._warned.add(state.status)
        return f"Unknown status {state.status[:40]!r} of {self.noun.lower()} {self.subject_id}: treated as running."

    def _jittered(self, wait: float) -> float:
        return wait * (1 + JITTER * (2 * self._rng.random() - 1))


class GenerationPoller(BasePoller[Generation]):
    """Turns each poll of a generation into a decision. Parameters as :class:`BasePoller`."""

    noun = "Generation"
    unfinished = "It keeps running and is billed."
    unknown = "a wrong id, another account's, or older than the roughly 7 days that records are kept"

    def __init__(
        self,
        subject_id: str,
        *,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        counts: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(subject_id, poll_interval=poll_interval, counts=counts, **settings)
        self._without_link = int((counts or {}).get("without_link", 0))
        self._inner_failed = int((counts or {}).get("inner_failed", 0))

    @cached_property
    def call(self) -> GetGeneration:
        """The call that polls it."""
        return GetGeneration(self.subject_id)

    def counts(self) -> dict[str, Any]:
        """Return what was counted so far, as JSON."""
        return {**super().counts(), "without_link": self._without_link, "inner_failed": self._inner_failed}

    def _decide(self, generation: Generation, now: float) -> PollDecision | None:
        if generation.state == "succeeded":
            return self._succeeded(generation, now)
        self._inner_failed = self._inner_failed + 1 if generation.inner_failed else 0
        if generation.state != "failed" and self._inner_failed < INNER_FAILED_LIMIT:
            return None
        reason = generation.failure_reason
        code = generation.failure.code if generation.failure else None
        return Finished("failed", reason, f"{self.subject} failed ({code or reason}). The platform refunds it.")

    def _succeeded(self, generation: Generation, now: float) -> PollDecision:
        if generation.video_url is not None:
            return Finished("succeeded", "succeeded", f"{self.subject} succeeded.")
        self._without_link += 1
        if self._without_link > MAX_WITHOUT_LINK:
            return self._error("no_link", "it finished without a link to the video")
        return self._again(now, self._jittered(self.poll_interval))


class AssetPoller(BasePoller[Asset]):
    """Turns each poll of an asset into a decision. Parameters as :class:`BasePoller`."""

    noun = "Asset"
    unfinished = "The service keeps it."
    unknown = "a wrong id, another key's, or its processing failed"
    grace = ASSET_NOT_FOUND_GRACE

    def __init__(self, subject_id: str, *, poll_interval: float = DEFAULT_ASSET_POLL_INTERVAL, **settings: Any) -> None:
        super().__init__(subject_id, poll_interval=poll_interval, **settings)

    @cached_property
    def call(self) -> GetAsset:
        """The call that polls it."""
        return GetAsset(self.subject_id)

    def on_error(self, error: SeedanceError, *, now: float) -> PollDecision:
        """Decide after a poll that failed; a service that lacks the route is not asked again."""
        if isinstance(error, SeedanceRequestError) and error.lacks_route:
            return Finished("error", "no_route", f"{self.subject}: {error}")
        return super().on_error(error, now=now)

    def _decide(self, asset: Asset, now: float) -> PollDecision | None:
        if asset.state == "succeeded":
            return Finished("succeeded", "active", f"{self.subject} is active.")
        if asset.state == "failed":
            return Finished("failed", asset.error_code or "failed", str(asset.to_error()))
        return None


#: The pollers, by the name of the id in triggers and their events.
POLLERS: Mapping[str, type[BasePoller[Any]]] = {"generation_id": GenerationPoller, "asset_id": AssetPoller}


def _word(error: SeedanceError) -> str:
    return error.code or (f"HTTP {error.status}" if error.status else type(error).__name__)
