"""The decision tables of decisions.md#paying-once, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_seedance.api.calls import CreateGeneration
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.api.submission import (
    Phase,
    Remote,
    SubmissionRecord,
    decide,
    read_paid_answer,
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


@pytest.mark.parametrize(
    "body",
    [
        {"id": ID, "task_id": ID, "object": "video", "status": "queued", "progress": 0},
        {"id": ID, "status": ""},
        {"id": "cgt-20260312231129-7db6s", "task_id": ID},
        {"task_id": ID},
        {"code": "success", "message": "", "data": {"task_id": ID}},
        {"data": ID},
        {"data": {"id": ID}},
        {"taskId": ID},
        {"Id": ID},
        {"id": ID, "message": "ok"},
        {"id": ID, "code": "weird", "message": "The asset is not available yet"},
        {"id": ID, "error": {"message": "x", "code": "y"}},
    ],
)
def test_id_is_found_in_every_shape(body: dict[str, Any]) -> None:
    answer = read_paid_answer(Response(200, body))
    assert (answer.verdict, answer.created_id) == ("accepted", ID)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"code": "invalid_request", "message": "x", "data": {"task_id": ID}}),
        (429, {"task_id": ID}),
        (502, {"error": {"message": f"the upstream made {ID}, and then it broke"}}),
        (500, f"<html>{ID}</html>"),
        (504, f"No answer in time for {ID}."),
        (500, {"ResponseMetadata": {"Error": {"Code": "x", "Message": "x"}}, "Result": {"Id": ID}}),
    ],
)
def test_lost_answer_keeps_the_id_that_it_names(status: int, body: object) -> None:
    answer = read_paid_answer(Response(status, body))
    assert (answer.verdict, answer.created_id) == ("lost", ID)


def test_refusal_that_quotes_an_id_from_the_request_is_a_refusal() -> None:
    payload = json.dumps({"content": [{"video_url": {"url": f"https://example.com/{ID}.mp4"}}]}).encode()
    body = {"code": "invalid_request", "message": f"cannot read https://example.com/{ID}.mp4", "data": None}
    answer = CreateGeneration(payload).read(Response(400, body))
    assert (answer.verdict, answer.created_id) == ("refused", None)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        # refused: nothing was created
        (400, {"code": "invalid_request", "message": "x", "data": None}, "refused"),
        (401, {"error": {"message": "Invalid token", "type": "new_api_error", "code": ""}}, "refused"),
        (403, {"code": "insufficient_user_quota", "message": "x", "data": None}, "refused"),
        (400, {"ResponseMetadata": {"RequestId": "r", "Error": {"Code": "x", "Message": "x"}}}, "refused"),
        (404, {"error": {"code": "fail_to_fetch_task", "message": "x", "data": None}}, "refused"),
        (500, {"code": "build_request_failed", "message": "x", "data": None}, "refused"),
        (501, {"code": "not_implemented", "message": "x", "data": None}, "refused"),
        (500, {"error": {"message": "x", "type": "new_api_error", "code": "get_channel_failed"}}, "refused"),
        (503, {"error": {"message": "No channel", "type": "new_api_error", "code": "model_not_found"}}, "refused"),
        # nothing was created and waiting helps
        (429, {"error": {"message": "slow", "type": "new_api_error", "code": ""}}, "repeat"),
        (429, "<html>slow</html>", "repeat"),
        (503, {"code": "asset_copy_not_ready", "message": "x", "data": None}, "repeat"),
        (
            400,
            {"code": "fail_to_fetch_task", "message": "asset is still processing and is not available yet"},
            "repeat",
        ),
        (400, {"code": "fail_to_fetch_task", "message": "The specified asset asset-1 is not found"}, "repeat"),
        # lost: something may have been created
        (200, {"error": {"message": "x", "type": "t", "code": "invalid_request"}}, "lost"),
        (200, {"code": "fail_to_fetch_task", "message": "x", "data": None}, "lost"),
        (302, "", "lost"),
        (303, "<html>see other</html>", "lost"),
        (400, "", "lost"),
        (400, {"code": "invalid_request", "message": "x", "data": {"task_id": "asyntask_1"}}, "lost"),
        (403, "<html>forbidden</html>", "lost"),
        (404, {"detail": "Not Found"}, "lost"),
        (404, {"error": "Not Found"}, "lost"),
        (405, {"code": "invalid_request", "message": "x", "data": None}, "lost"),
        (409, {}, "lost"),
        (499, {"code": "invalid_request", "message": "x", "data": None}, "lost"),
        (502, {"code": "bad_gateway", "message": "x", "error": {"code": "get_channel_failed"}}, "lost"),
        (413, "<html>too large</html>", "lost"),
        (421, {"message": "misdirected"}, "lost"),
        (460, "", "lost"),
        (500, GATEWAY_500, "lost"),
        (500, {"error": {"message": "x", "type": "proxy_error", "code": "internal"}}, "lost"),
        (503, {"code": "service_unavailable", "message": "x"}, "lost"),
        (500, "<html>error</html>", "lost"),
        (500, "", "lost"),
        (500, {"message": "Endpoint request timed out"}, "lost"),
        (502, "<html>Bad Gateway</html>", "lost"),
        (503, "<html>unavailable</html>", "lost"),
        (504, {"message": "x"}, "lost"),
        (524, "", "lost"),
        (500, {"code": "invalid_response", "message": "task_id is empty", "data": None}, "lost"),
        (500, {"code": "unmarshal_response_body_failed", "message": "x", "data": None}, "lost"),
        (500, {"code": "read_response_body_failed", "message": "x", "data": None}, "lost"),
        (408, {"code": "timeout", "message": "x", "data": None}, "lost"),
        (408, "", "lost"),
        (200, {}, "lost"),
        (200, {"id": None, "status": "queued"}, "lost"),
        (200, {"id": "not an id/"}, "lost"),
        (200, "<html>ok</html>", "lost"),
        (200, {"code": "invalid_response", "message": "x", "data": None}, "lost"),
    ],
)
def test_each_answer_to_the_paid_call_is_judged(status: int, body: object, verdict: str) -> None:
    answer = read_paid_answer(Response(status, body))
    assert answer.verdict == verdict
    assert answer.error is not None
