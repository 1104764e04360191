"""What a submission record keeps, and what is said of it to a person: the time, the id, the doubt, the way on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_provider_seedance.api.submission import (
    ASSET,
    ASSET_GROUP,
    CLOCK_TOLERANCE,
    GENERATION,
    Kind,
    SubmissionRecord,
    Tries,
    ambiguous_error,
    decide,
    superseded,
)
from airflow_provider_seedance.exceptions import SeedanceAmbiguousSubmissionError, SeedanceServiceError

ID = "asyntask_1"
RECORD = SubmissionRecord("f00dcafe00", 1_777_288_506.0, "submitted", 2, ID, max_tries=4)
WHEN = "2026-04-27T11:15:06+00:00"


@pytest.mark.parametrize("kind", [GENERATION, ASSET, ASSET_GROUP])
@pytest.mark.parametrize("max_tries", [None, 4])
def test_record_is_read_as_it_was_written(kind: Kind, max_tries: int | None) -> None:
    known = () if kind is GENERATION else ("asset-1", "asset-2")
    record = dataclasses.replace(RECORD, known=known, max_tries=max_tries)
    assert SubmissionRecord.from_dict(record.to_dict(kind), kind) == record


def test_phase_and_tries_change_and_nothing_else() -> None:
    assert RECORD.with_phase("reported") == dataclasses.replace(RECORD, phase="reported")
    assert RECORD.with_phase("intent", submitted_at=5.0) == dataclasses.replace(
        RECORD, phase="intent", submitted_at=5.0
    )
    assert RECORD.at(Tries(7, 9)) == dataclasses.replace(RECORD, first_try=7, max_tries=9)


@pytest.mark.parametrize("change", [{"phase": "delivered", "generation_id": None}, {"submitted_at": 1e11}])
def test_record_that_cannot_be_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(SeedanceServiceError, match="damaged"):
        SubmissionRecord.from_dict({**RECORD.to_dict(), **change})


def test_record_of_an_asset_by_release_0_1_0_has_no_time() -> None:
    old = {"version": 1, "what": "f00d", "id": "asset-1", "known": [], "first_try": 1}
    assert SubmissionRecord.from_dict(old, ASSET).submitted_at == 0.0


def test_record_of_another_release_is_named_by_its_version() -> None:
    with pytest.raises(SeedanceServiceError, match="has version 7; this release reads version 1"):
        SubmissionRecord.from_dict({**RECORD.to_dict(), "version": 7})


def test_clocks_of_two_workers_may_differ_a_little() -> None:
    now = RECORD.submitted_at - CLOCK_TOLERANCE
    assert SubmissionRecord.from_dict(RECORD.to_dict(), now=now) == RECORD
    with pytest.raises(SeedanceServiceError):
        SubmissionRecord.from_dict(RECORD.to_dict(), now=now - 1)


def test_superseded_call_is_named_by_its_time_and_id() -> None:
    made, lost = superseded(RECORD), superseded(RECORD.with_phase("intent", created_id=None))
    assert WHEN in made
    assert f"made generation {ID}, which may be billed" in made
    assert WHEN in lost
    assert "its response was lost" in lost


def said(record: SubmissionRecord, *, cleared: bool = False, **arguments: Any) -> tuple[str, bool, str]:
    """Return action, warning and message of a decision."""
    given: dict[str, Any] = {"fingerprint": record.fingerprint, "first_try": 2, "max_tries": 9 if cleared else 4}
    decision = decide(record, **{**given, **arguments})
    return decision.action, decision.warn, decision.message


def test_new_request_after_clearing_warns_unless_the_old_one_was_delivered() -> None:
    for phase, warn in (("submitted", True), ("delivered", False)):
        action, warned, message = said(RECORD.with_phase(phase), cleared=True, fingerprint="other")  # type: ignore[arg-type]
        assert (action, warned) == ("submit", warn)
        assert f"generation {ID}" in message


def test_changed_request_in_a_retry_names_both_and_the_recorded_one() -> None:
    action, warned, message = said(RECORD, fingerprint="0123456789", remote="running")
    assert (action, warned) == ("attach", True)
    for part in ("f00dcafe then", "01234567 now", f"submitted generation {ID}", "clearing the task submits the new"):
        assert part in message


def test_changed_request_is_ambiguous_as_the_same_one_would_be() -> None:
    doubt = RECORD.with_phase("intent", created_id=None)
    assert said(doubt, fingerprint="other")[0] == "fail"
    assert said(doubt, fingerprint="other", on_ambiguous_submission="resubmit")[0] == "submit"
    assert said(doubt.with_phase("reported"), fingerprint="other")[0] == "fail"


def test_finishing_warns_a_person_who_cleared_the_task() -> None:
    assert said(RECORD, remote="succeeded")[:2] == ("finish", False)
    action, warned, message = said(RECORD, remote="succeeded", cleared=True)
    assert (action, warned) == ("finish", True)
    assert message.endswith("Clearing the task again after its success makes a new one.")
    assert "Clearing" not in said(RECORD, remote="succeeded")[2]


@pytest.mark.parametrize(
    ("record", "arguments", "action", "beginning"),
    [
        (RECORD, {"remote": "not_found"}, "fail", f"The service does not know generation {ID}"),
        (RECORD.with_phase("intent", created_id=None), {}, "fail", "The response to an earlier paid call was lost"),
        (
            RECORD.with_phase("intent", created_id=None),
            {"on_ambiguous_submission": "resubmit"},
            "submit",
            "The response to an earlier paid call was lost: resubmitting",
        ),
        (
            RECORD.with_phase("reported", created_id=None),
            {"cleared": True},
            "submit",
            "The response to an earlier paid call was lost, and the task was cleared",
        ),
        (RECORD.with_phase("delivered"), {}, "finish", f"An earlier try delivered generation {ID}"),
    ],
)
def test_doubt_is_a_warning_that_says_which(
    record: SubmissionRecord, arguments: dict[str, Any], action: str, beginning: str
) -> None:
    decided, warned, message = said(record, **arguments)
    assert decided == action
    assert warned is (record.phase != "delivered")
    assert message.startswith(beginning)


def test_decision_without_an_id_says_that_there_is_none() -> None:
    message = said(RECORD.with_phase("intent", created_id=None), cleared=True, fingerprint="other")[2]
    assert "a submission without a known id" in message
    assert "None" not in message


@pytest.mark.parametrize(
    ("record", "kind", "detail", "parts"),
    [
        (RECORD, GENERATION, "", ("was accepted, and the service does not know generation", ID, "may be billed")),
        (RECORD, GENERATION, "HTTP 500.", ("failed (HTTP 500), but names generation", ID, "may be billed")),
        (
            RECORD.with_phase("intent", created_id=None),
            GENERATION,
            "reset.",
            ("was lost (reset): the generation may exist", "Clearing the task submits again", "'resubmit'"),
        ),
        (
            RECORD.with_phase("intent", created_id=None),
            ASSET,
            "",
            ("was lost: the asset may exist", "Clearing the task looks again"),
        ),
    ],
)
def test_ambiguous_submission_says_when_what_and_the_way_on(
    record: SubmissionRecord, kind: Kind, detail: str, parts: tuple[str, ...]
) -> None:
    error = ambiguous_error(record, kind, detail)
    assert isinstance(error, SeedanceAmbiguousSubmissionError)
    for part in (f"sent at {WHEN}", *parts):
        assert part in str(error)
    assert "None" not in str(error)


def test_ambiguous_submission_at_an_unknown_time() -> None:
    error = ambiguous_error(dataclasses.replace(RECORD, submitted_at=0.0))
    assert "sent at an unknown time and was accepted" in str(error)
