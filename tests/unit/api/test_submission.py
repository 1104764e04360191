"""The decision tables of decisions.md#paying-once, row by row."""

from __future__ import annotations

import json

import pytest

from airflow_provider_seedance.api.submission import (
    Phase,
    Remote,
    SubmissionRecord,
    decide,
)
from airflow_provider_seedance.exceptions import SeedanceServiceError

GATEWAY_500 = {"code": "do_request_failed", "message": "x", "data": None}
ID = "asyntask_h81efT0qwtLnzyt6VENmCZ6VXSfNxE2E"


def record(
    phase: Phase, first_try: int = 1, fingerprint: str = "same", created_id: str | None = None
) -> SubmissionRecord:
    known = created_id if phase in ("intent", "reported") else ID
    return SubmissionRecord(fingerprint, 1_000_000.0, phase, first_try, known)


@pytest.mark.parametrize(
    ("stored", "first_try", "remote", "action"),
    [
        (None, 1, None, "submit"),
        (record("submitted", fingerprint="other"), 1, None, "ask"),
        (record("submitted", fingerprint="other"), 1, "running", "attach"),
        (record("submitted", fingerprint="other"), 1, "succeeded", "finish"),
        (record("submitted", fingerprint="other"), 1, "failed", "submit"),
        (record("delivered", fingerprint="other"), 1, None, "finish"),
        (record("intent", fingerprint="other"), 1, None, "fail"),
        (record("submitted", fingerprint="other"), 3, None, "submit"),
        (record("intent", fingerprint="other"), 3, None, "submit"),
        (record("delivered"), 1, None, "finish"),
        (record("delivered"), 3, None, "submit"),
        (record("submitted"), 1, None, "ask"),
        (record("submitted"), 3, None, "ask"),
        (record("submitted"), 1, "running", "attach"),
        (record("submitted"), 3, "running", "attach"),
        (record("submitted"), 1, "succeeded", "finish"),
        (record("submitted"), 1, "failed", "submit"),
        (record("submitted"), 1, "not_found", "fail"),
        (record("submitted"), 3, "not_found", "fail"),
        (record("reported", created_id=ID), 1, None, "ask"),
        (record("reported", created_id=ID), 1, "succeeded", "finish"),
        (record("reported", created_id=ID), 1, "not_found", "fail"),
        (record("reported", created_id=ID), 3, "not_found", "submit"),
        (record("intent"), 1, None, "fail"),
        (record("intent"), 3, None, "fail"),
        (record("reported"), 1, None, "fail"),
        (record("reported"), 3, None, "submit"),
    ],
)
def test_each_record_leads_to_its_decision(
    stored: SubmissionRecord | None, first_try: int, remote: Remote | None, action: str
) -> None:
    decision = decide(stored, fingerprint="same", first_try=first_try, remote=remote)
    assert decision.action == action
    assert decision.message


def test_lost_answer_is_resubmitted_only_when_told_and_with_a_warning() -> None:
    decision = decide(record("intent"), fingerprint="same", first_try=1, on_ambiguous_submission="resubmit")
    assert (decision.action, decision.warn) == ("submit", True)


def test_generation_that_the_service_denies_is_resubmitted_only_when_told() -> None:
    decision = decide(
        record("submitted"), fingerprint="same", first_try=1, on_ambiguous_submission="resubmit", remote="not_found"
    )
    assert (decision.action, decision.warn) == ("submit", True)


def test_reported_is_raised_again_by_a_retry_even_with_resubmit() -> None:
    decision = decide(record("reported"), fingerprint="same", first_try=1, on_ambiguous_submission="resubmit")
    assert decision.action == "fail"


def test_request_that_changed_between_tries_is_warned_about() -> None:
    decision = decide(record("submitted", fingerprint="other"), fingerprint="same", first_try=1)
    assert decision.warn
    assert ID in decision.message
    assert "clearing the task submits the new request" in decision.message


def test_record_makes_the_round_trip_in_its_documented_form() -> None:
    stored = json.loads(json.dumps(record("submitted").to_dict()))
    assert set(stored) == {"version", "fingerprint", "generation_id", "submitted_at", "phase", "first_try"}
    assert SubmissionRecord.from_dict(stored) == record("submitted")


@pytest.mark.parametrize(
    ("first_try", "max_tries", "action"),
    [
        (1, 2, "finish"),  # a retry
        (3, 2, "finish"),  # a retry after the Dag's retries were lowered
        (4, 5, "submit"),  # cleared
        (1, 5, "submit"),  # cleared, and the Dag's retries were raised
    ],
)
def test_airflows_own_count_distinguishes_a_retry_from_clearing(first_try: int, max_tries: int, action: str) -> None:
    stored = SubmissionRecord("same", 1_000_000.0, "delivered", 1, ID, max_tries=2)
    assert SubmissionRecord.from_dict(json.loads(json.dumps(stored.to_dict()))) == stored
    decision = decide(stored, fingerprint="same", first_try=first_try, max_tries=max_tries)
    assert decision.action == action


def test_count_that_is_not_given_never_passes_for_cleared() -> None:
    stored = SubmissionRecord("same", 1_000_000.0, "delivered", 1, ID, max_tries=2)
    assert decide(stored, fingerprint="same", first_try=1).action == "finish"


@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        {},
        {**record("intent").to_dict(), "phase": []},
        {**record("intent").to_dict(), "first_try": float("inf")},
        {**record("intent").to_dict(), "version": 2},
        {**record("intent").to_dict(), "phase": "whatever"},
        {**record("intent").to_dict(), "submitted_at": None},
        {**record("intent").to_dict(), "submitted_at": "inf"},
        {**record("intent").to_dict(), "submitted_at": 1.8e12},
        {**record("intent").to_dict(), "known": 5},
        {**record("submitted").to_dict(), "generation_id": None},
        {k: v for k, v in record("intent").to_dict().items() if k != "fingerprint"},
    ],
)
def test_unreadable_record_is_refused_and_never_guessed_at(data: object) -> None:
    with pytest.raises(SeedanceServiceError, match="record"):
        SubmissionRecord.from_dict(data)


def test_record_from_the_future_is_refused_with_both_times() -> None:
    data = record("submitted").to_dict()
    assert SubmissionRecord.from_dict(data, now=1_000_000.0 - 3000).created_id == ID
    with pytest.raises(SeedanceServiceError, match=r"1970-01-12T13:46:40.* lies ahead: it is 1970-01-12T"):
        SubmissionRecord.from_dict(data, now=1_000_000.0 - 4000)
