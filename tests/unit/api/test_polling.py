"""The decision table of decisions.md#waiting, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.errors import ErrorDetail, error_from
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.outcomes import Finished, asset_error, from_event, to_event
from airflow_provider_seedance.api.polling import (
    FIRST_POLL_DELAY,
    MAX_BACKOFF,
    REREAD_INTERVAL,
    AssetPoller,
    GenerationPoller,
    PollAgain,
)
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceError,
    SeedanceEventError,
    SeedanceNotFoundError,
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceServiceError,
)
from tests.polls import Fixed, next_poll, outcome

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


def poller(rng: float = 0.5, **changes: Any) -> GenerationPoller:
    """Make a poller without jitter (0.5 is the middle of it), an hour from its deadline."""
    settings: dict[str, Any] = {
        "deadline": START + 3600,
        "submitted_at": START,
        "poll_interval": 15.0,
        "rng": Fixed(rng),
    }
    return GenerationPoller("g", **{**settings, **changes})


@pytest.mark.parametrize("status", ["IN_PROGRESS", "QUEUED", "NOT_START", "", "WHATEVER"])
def test_running_waits_one_interval(status: str) -> None:
    assert next_poll(poller().on_state(Generation(status=status), now=START)) == START + 15


def test_retry_after_of_nothing_is_no_busy_loop() -> None:
    response = Response(429, {"error": {"message": "busy", "type": "x"}}, {"retry-after": "0"})
    assert next_poll(poller(0.0).on_error(error_from(response), now=START)) == START + 1


@pytest.mark.parametrize(("rng", "expected"), [(0.0, 13.5), (1.0, 16.5)])
def test_wait_is_spread_by_ten_percent(rng: float, expected: float) -> None:
    assert next_poll(poller(rng).on_state(RUNNING, now=START)) == pytest.approx(START + expected)


def test_unknown_word_is_warned_about_once() -> None:
    p = poller()
    first, second = (p.on_state(Generation(status="WHATEVER"), now=START) for _ in range(2))
    assert isinstance(first, PollAgain)
    assert isinstance(second, PollAgain)
    assert "WHATEVER" in str(first.warning)
    assert second.warning is None


def test_success_with_link_ends() -> None:
    assert outcome(poller().on_state(DONE, now=START)) == "succeeded"


def test_success_counts_even_after_the_deadline() -> None:
    assert outcome(poller().on_state(DONE, now=START + 9999)) == "succeeded"


def test_success_without_link_is_asked_five_more_times() -> None:
    p = poller()
    decisions = [p.on_state(DONE_WITHOUT_LINK, now=START + i) for i in range(6)]
    assert [outcome(d) for d in decisions] == [None] * 5 + ["error"]
    assert "without a link" in str(decisions[-1])


def test_failure_ends_with_its_reason_and_without_the_services_text() -> None:
    decision = poller().on_state(FAILED, now=START)
    assert isinstance(decision, Finished)
    assert (decision.outcome, decision.reason) == ("failed", "output_moderation")
    assert "text of the service" not in decision.message


def test_upstream_that_gave_up_is_believed_at_the_third_look_in_a_row() -> None:
    p = poller()
    polls = [INNER_EXPIRED, INNER_EXPIRED, RUNNING, INNER_EXPIRED, INNER_EXPIRED, INNER_EXPIRED]
    outcomes = [outcome(p.on_state(poll, now=START)) for poll in polls]
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
    waits = [next_poll(p.on_error(error, now=START)) - START for _ in range(8)]
    assert waits == [15, 30, 60, 120, 240, MAX_BACKOFF, MAX_BACKOFF, MAX_BACKOFF]


def test_a_good_answer_ends_the_backoff() -> None:
    p = poller()
    for _ in range(4):
        p.on_error(SeedanceServiceError(), now=START)
    p.on_state(RUNNING, now=START)
    assert next_poll(p.on_error(SeedanceServiceError(), now=START)) == START + 15


@pytest.mark.parametrize(
    "error",
    [SeedanceRateLimitError(), SeedanceServiceError(), SeedanceAuthError(status=401), SeedanceNotFoundError()],
)
def test_retry_after_wins_on_every_status_and_is_never_undercut(error: SeedanceError) -> None:
    error.retry_after = 100
    decision = poller().on_error(error, now=START)
    assert START + 100 <= next_poll(decision) <= START + 110


@pytest.mark.parametrize("error", [SeedanceAuthError(status=401), SeedanceError(status=403)])
def test_refused_key_is_asked_once_more_with_the_connection_read_afresh(error: SeedanceError) -> None:
    p = poller()
    first = p.on_error(error, now=START)
    assert isinstance(first, PollAgain)
    assert first.refresh_connection
    second = p.on_error(error, now=START + 15)
    assert isinstance(second, Finished)
    assert (second.outcome, second.reason) == ("error", "auth")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (302, ""),
        (401, "<html>login</html>"),
        (403, {"message": "blocked by policy"}),
        (404, {"detail": "Not Found"}),
        (404, {"error": {"message": "no such page", "type": "proxy"}}),
        (400, {}),
    ],
)
def test_words_of_somebody_else_are_an_outage(status: int, body: object) -> None:
    p = poller(deadline=START + 1e6)
    waits = [next_poll(p.on_error(error_from(Response(status, body)), now=START + 600)) - START for _ in range(3)]
    assert waits == [615, 630, 660]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"error": {"message": "task not found", "type": "new_api_error", "code": ""}}, "not_found"),
        (400, {"code": "task_not_exist", "message": "task_not_exist", "data": None}, "not_found"),
        (400, {"code": "invalid_request", "message": "x", "data": None}, "error"),
    ],
)
def test_words_of_the_service_end_a_wait(status: int, body: object, expected: str) -> None:
    p = poller()
    decisions = [p.on_error(error_from(Response(status, body)), now=START + 600) for _ in range(2)]
    assert outcome(decisions[-1]) == expected


def test_first_not_found_reads_the_connection_again_before_it_is_believed() -> None:
    p = poller()
    first = p.on_error(SeedanceNotFoundError(), now=START + 600)
    assert isinstance(first, PollAgain)
    assert first.refresh_connection
    assert outcome(p.on_error(SeedanceNotFoundError(), now=START + 615)) == "not_found"


def test_not_found_is_remembered_by_a_sensor_that_is_rescheduled() -> None:
    p = poller()
    p.on_error(SeedanceNotFoundError(), now=START + 600)
    later = poller(counts=p.counts())
    assert outcome(later.on_error(SeedanceNotFoundError(), now=START + 615)) == "not_found"


def test_streak_of_failures_reads_the_connection_again() -> None:
    p = poller(deadline=START + 1e6)
    decisions = [p.on_error(SeedanceServiceError(), now=START) for _ in range(6)]
    assert [isinstance(d, PollAgain) and d.refresh_connection for d in decisions] == [False, False, True] * 2


def test_a_key_that_works_again_may_be_refused_again() -> None:
    p = poller()
    p.on_error(SeedanceAuthError(), now=START)
    p.on_state(RUNNING, now=START)
    assert outcome(p.on_error(SeedanceAuthError(), now=START)) is None


def test_not_found_is_tolerated_for_a_minute_after_submission() -> None:
    p = poller()
    assert outcome(p.on_error(SeedanceNotFoundError(), now=START + 44)) is None
    assert outcome(p.on_error(SeedanceNotFoundError(), now=START + 59)) is None
    assert outcome(p.on_error(SeedanceNotFoundError(), now=START + 60)) == "not_found"


def test_a_question_that_cannot_be_asked_is_an_error_at_once() -> None:
    decision = poller().on_error(SeedanceRequestError("Connection 'x' is not defined."), now=START)
    assert outcome(decision) == "error"
    assert "Connection 'x' is not defined." in str(decision)


def test_text_of_the_service_stays_out_of_an_error_outcome() -> None:
    decision = poller().on_error(SeedanceRequestError("said 'secret'", status=400, code="invalid_request"), now=START)
    assert isinstance(decision, Finished)
    assert "secret" not in decision.message
    assert "invalid_request" in decision.message


def test_last_look_is_at_the_deadline_and_then_it_times_out() -> None:
    p = poller()
    assert next_poll(p.on_state(RUNNING, now=START + 3590)) == START + 3600
    decision = p.on_state(RUNNING, now=START + 3600)
    assert isinstance(decision, Finished)
    assert decision.outcome == "timeout"
    assert "keeps running and is billed" in decision.message


def test_time_out_amid_trouble_says_that_the_last_looks_failed() -> None:
    decision = poller().on_error(SeedanceServiceError(), now=START + 3600)
    assert isinstance(decision, Finished)
    assert decision.outcome == "timeout"
    assert "last polls failed" in decision.message


def test_counts_survive_in_json() -> None:
    p = poller()
    for _ in range(3):
        p.on_state(DONE_WITHOUT_LINK, now=START)
    resumed = poller(counts=json.loads(json.dumps(p.counts())))
    outcomes = [outcome(resumed.on_state(DONE_WITHOUT_LINK, now=START)) for _ in range(3)]
    assert outcomes == [None, None, "error"]


@pytest.mark.parametrize("rng", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("interval", [0.2, 15, 60])
@pytest.mark.parametrize("deadline", [START - 100, START + 7, START + 3600])
def test_first_look_of_a_trigger_is_never_in_its_first_five_seconds(
    rng: float, interval: float, deadline: float
) -> None:
    at = poller(rng, poll_interval=interval, deadline=deadline).first_poll_at(START)
    assert FIRST_POLL_DELAY <= at - START <= max(interval, FIRST_POLL_DELAY)
    assert at <= max(deadline, START + FIRST_POLL_DELAY)


def test_event_makes_the_round_trip_and_holds_only_what_may_be_stored() -> None:
    finished = poller().on_state(DONE, now=START)
    assert isinstance(finished, Finished)
    event = to_event("g", finished)
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
    with pytest.raises(SeedanceEventError, match="trigger"):
        from_event(event)


@pytest.mark.parametrize("asset", [None, Asset(asset_id="a", status="Active")])
def test_asset_that_failed_is_no_failed_generation_whatever_can_be_fetched_of_it(asset: Asset | None) -> None:
    error = asset_error(Finished("failed", "DownloadFailed", "Asset a cannot be used."), asset)
    assert type(error) is SeedanceRequestError
    assert error.field == "source"


def test_timeout_of_an_asset_names_it_and_promises_no_bill() -> None:
    waiting = AssetPoller("asset-1", deadline=START, submitted_at=START)
    decision = waiting.on_state(Asset(asset_id="asset-1", status="Processing"), now=START)
    assert isinstance(decision, Finished)
    assert "asset asset-1" in decision.message
    assert "billed" not in decision.message


@pytest.mark.parametrize("error", [SeedanceAuthError(status=401), SeedanceNotFoundError(status=404)])
def test_short_interval_leaves_time_to_read_the_connection_again(error: SeedanceError) -> None:
    waiting = AssetPoller("a", deadline=START + 300, submitted_at=START - 100, poll_interval=5, rng=Fixed(0.0))
    assert next_poll(waiting.on_error(error, now=START)) > START + REREAD_INTERVAL
