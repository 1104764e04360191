"""The decision table of design 6, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_seedance.api.errors import ErrorDetail
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.polling import (
    FIRST_POLL_DELAY,
    MAX_BACKOFF,
    Poller,
    from_event,
    to_event,
)
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceServiceError,
)

START = 1_000_000.0
LINK = "https://bucket.example/v.mp4?X-Tos-Signature=beef"

RUNNING = Generation(generation_id="g", status="IN_PROGRESS")
DONE = Generation(generation_id="g", state="succeeded", status="SUCCESS", video_url=LINK)
DONE_WITHOUT_LINK = Generation(generation_id="g", state="succeeded", status="SUCCESS")
FAILED = Generation(
    generation_id="g",
    state="failed",
    status="FAILURE",
    failure=ErrorDetail(code="OutputVideoSensitiveContentDetected", message="text of the service"),
)
INNER_EXPIRED = Generation(generation_id="g", status="IN_PROGRESS", inner_status="expired", failure=ErrorDetail())


def poller(**changes: Any) -> Poller:
    """A Poller without jitter (0.5 is the middle of it), an hour from its deadline."""
    settings: dict[str, Any] = {
        "generation_id": "g",
        "deadline": START + 3600,
        "submitted_at": START,
        "poll_interval": 15.0,
        "rng": lambda: 0.5,
    }
    return Poller(**{**settings, **changes})


@pytest.mark.parametrize("status", ["IN_PROGRESS", "QUEUED", "NOT_START", "", "WHATEVER"])
def test_running_waits_one_interval(status: str) -> None:
    decision = poller().on_state(Generation(status=status), now=START)
    assert decision.outcome is None
    assert decision.ask_at == START + 15


@pytest.mark.parametrize(("rng", "expected"), [(0.0, 13.5), (1.0, 16.5)])
def test_wait_is_spread_by_ten_percent(rng: float, expected: float) -> None:
    assert poller(rng=lambda: rng).on_state(RUNNING, now=START).ask_at == pytest.approx(START + expected)


def test_unknown_word_is_warned_about_once() -> None:
    p = poller()
    first, second = (p.on_state(Generation(status="WHATEVER"), now=START) for _ in range(2))
    assert "WHATEVER" in str(first.warning)
    assert second.warning is None


def test_success_with_link_ends() -> None:
    assert poller().on_state(DONE, now=START).outcome == "succeeded"


def test_success_counts_even_after_the_deadline() -> None:
    assert poller().on_state(DONE, now=START + 9999).outcome == "succeeded"


def test_success_without_link_is_asked_five_more_times() -> None:
    p = poller()
    decisions = [p.on_state(DONE_WITHOUT_LINK, now=START + i) for i in range(6)]
    assert [d.outcome for d in decisions] == [None] * 5 + ["error"]
    assert "without a link" in decisions[-1].message


def test_failure_ends_with_its_reason_and_without_the_services_text() -> None:
    decision = poller().on_state(FAILED, now=START)
    assert (decision.outcome, decision.reason) == ("failed", "output_moderation")
    assert "text of the service" not in decision.message


def test_upstream_that_gave_up_is_believed_at_the_third_look_in_a_row() -> None:
    p = poller()
    looks = [INNER_EXPIRED, INNER_EXPIRED, RUNNING, INNER_EXPIRED, INNER_EXPIRED, INNER_EXPIRED]
    outcomes = [p.on_state(look, now=START).outcome for look in looks]
    assert outcomes == [None] * 5 + ["failed"]


@pytest.mark.parametrize(
    "error",
    [
        SeedanceServiceError(status=500),
        SeedanceServiceError(),
        SeedanceServiceError(status=408),
        SeedanceRateLimitError(),
    ],
)
def test_trouble_backs_off_doubling_to_five_minutes_until_the_deadline(error: SeedanceError) -> None:
    p = poller(deadline=START + 1e6)
    waits = [(p.on_error(error, now=START).ask_at or 0) - START for _ in range(8)]
    assert waits == [15, 30, 60, 120, 240, MAX_BACKOFF, MAX_BACKOFF, MAX_BACKOFF]


def test_a_good_answer_ends_the_backoff() -> None:
    p = poller()
    for _ in range(4):
        p.on_error(SeedanceServiceError(), now=START)
    p.on_state(RUNNING, now=START)
    assert p.on_error(SeedanceServiceError(), now=START).ask_at == START + 15


def test_retry_after_wins_and_is_never_undercut() -> None:
    decision = poller().on_error(SeedanceRateLimitError(retry_after=100), now=START)
    assert decision.ask_at is not None
    assert START + 100 <= decision.ask_at <= START + 110


@pytest.mark.parametrize("error", [SeedanceAuthError(status=401), SeedanceError(status=403)])
def test_refused_key_is_asked_once_more_with_the_connection_read_afresh(error: SeedanceError) -> None:
    p = poller()
    first = p.on_error(error, now=START)
    assert first.outcome is None
    assert first.refresh_connection
    second = p.on_error(error, now=START + 15)
    assert (second.outcome, second.reason) == ("error", "auth")


def test_a_key_that_works_again_may_be_refused_again() -> None:
    p = poller()
    p.on_error(SeedanceAuthError(), now=START)
    p.on_state(RUNNING, now=START)
    assert p.on_error(SeedanceAuthError(), now=START).outcome is None


def test_not_found_is_tolerated_for_a_minute_after_submission() -> None:
    p = poller()
    assert p.on_error(SeedanceNotFoundError(), now=START + 59).outcome is None
    assert p.on_error(SeedanceNotFoundError(), now=START + 60).outcome == "not_found"


def test_a_question_that_cannot_be_asked_is_an_error_at_once() -> None:
    decision = poller().on_error(SeedanceRequestError("Connection 'x' is not defined."), now=START)
    assert decision.outcome == "error"
    assert "Connection 'x' is not defined." in decision.message


def test_text_of_the_service_stays_out_of_an_error_outcome() -> None:
    decision = poller().on_error(SeedanceRequestError("said 'secret'", status=400, code="invalid_request"), now=START)
    assert "secret" not in decision.message
    assert "invalid_request" in decision.message


def test_last_look_is_at_the_deadline_and_then_it_times_out() -> None:
    p = poller()
    assert p.on_state(RUNNING, now=START + 3590).ask_at == START + 3600
    decision = p.on_state(RUNNING, now=START + 3600)
    assert decision.outcome == "timeout"
    assert "goes on and is billed" in decision.message


def test_time_out_amid_trouble_says_that_the_last_looks_failed() -> None:
    decision = poller().on_error(SeedanceServiceError(), now=START + 3600)
    assert decision.outcome == "timeout"
    assert "last looks failed" in decision.message


def test_counts_survive_in_json() -> None:
    p = poller()
    for _ in range(3):
        p.on_state(DONE_WITHOUT_LINK, now=START)
    resumed = poller(counts=json.loads(json.dumps(p.counts())))
    outcomes = [resumed.on_state(DONE_WITHOUT_LINK, now=START).outcome for _ in range(3)]
    assert outcomes == [None, None, "error"]


@pytest.mark.parametrize("rng", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("interval", [0.2, 15, 60])
@pytest.mark.parametrize("deadline", [START - 100, START + 7, START + 3600])
def test_first_look_of_a_trigger_is_never_in_its_first_five_seconds(
    rng: float, interval: float, deadline: float
) -> None:
    at = poller(rng=lambda: rng, poll_interval=interval, deadline=deadline).first_look(START)
    assert FIRST_POLL_DELAY <= at - START <= max(interval, FIRST_POLL_DELAY)
    assert at <= max(deadline, START + FIRST_POLL_DELAY)


def test_event_makes_the_round_trip_and_holds_only_what_may_be_stored() -> None:
    event = to_event("g", poller().on_state(DONE, now=START))
    assert set(event) == {"version", "generation_id", "outcome", "reason", "message"}
    assert "beef" not in json.dumps(event)
    generation_id, decision = from_event(json.loads(json.dumps(event)))
    assert (generation_id, decision.outcome) == ("g", "succeeded")


@pytest.mark.parametrize(
    "event",
    [
        None,
        "text",
        {},
        {"version": 2, "generation_id": "g", "outcome": "succeeded"},
        {"version": 1, "outcome": "succeeded"},
        {"version": 1, "generation_id": "g", "outcome": "whatever"},
    ],
)
def test_foreign_event_is_refused_with_a_clear_message(event: object) -> None:
    with pytest.raises(SeedanceServiceError, match="trigger"):
        from_event(event)
