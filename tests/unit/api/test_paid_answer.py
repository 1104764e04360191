"""What becomes of a paid call, shape by shape (decisions.md#paying-once)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_seedance.api.calls import CreateGeneration
from airflow_provider_seedance.api.paid_answer import read_paid_answer
from airflow_provider_seedance.api.response import Response

GATEWAY_500 = {"code": "do_request_failed", "message": "x", "data": None}
ID = "asyntask_h81efT0qwtLnzyt6VENmCZ6VXSfNxE2E"


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


@pytest.mark.parametrize(
    ("body", "created_id"),
    [
        ({"id": 4711}, "4711"),
        ({"code": 0, "message": "ok", "data": {"id": 4711}}, "4711"),
        ({"id": 17, "task_id": "task-9"}, "task-9"),
        ([{"id": "task-9"}], "task-9"),
    ],
)
def test_number_is_an_id_where_there_is_no_other(body: object, created_id: str) -> None:
    answer = read_paid_answer(Response(200, body))
    assert (answer.verdict, answer.created_id) == ("accepted", created_id)


def test_id_that_cannot_be_queried_is_kept_and_named() -> None:
    answer = read_paid_answer(Response(200, {"id": "task 9/a", "status": "queued"}))
    assert (answer.verdict, answer.created_id) == ("lost", "task 9/a")
    assert "an id that cannot be queried" in str(answer.error)


@pytest.mark.parametrize("value", [True, 0, -1, 1.5, "", " ", None, {}])
def test_what_names_nothing_is_no_id(value: object) -> None:
    answer = read_paid_answer(Response(200, {"id": value}))
    assert (answer.verdict, answer.created_id) == ("lost", None)


def test_signed_link_in_the_place_of_an_id_is_redacted() -> None:
    answer = read_paid_answer(Response(200, {"id": "https://host/v.mp4?X-Amz-Signature=abc"}))
    assert answer.verdict == "lost"
    assert "abc" not in str(answer.created_id)


def test_id_in_a_body_that_was_cut_off_is_kept_and_not_believed() -> None:
    answer = read_paid_answer(Response(200, '{"id":"asyntask_LkJOk9UfM'))
    assert (answer.verdict, answer.created_id) == ("lost", "asyntask_LkJOk9UfM")


def test_id_that_cannot_be_encoded_can_be_stored() -> None:
    answer = read_paid_answer(Response(200, {"id": "\ud800x"}))
    assert answer.verdict == "lost"
    assert str(answer.created_id).encode("utf-8")


def test_answer_that_is_nested_absurdly_is_read() -> None:
    raw = b'{"id": "asyntask_1234", "x": ' + b'["\\n", ' * 900 + b"1" + b"]" * 900 + b"}"
    response = Response.of(200, raw, {}, conn_id="c", key="sk-a-long-enough-key")
    answer = read_paid_answer(response)
    assert answer.verdict in ("accepted", "lost")
    assert answer.created_id == "asyntask_1234"


def test_id_of_what_was_made_comes_before_those_of_other_things() -> None:
    body = {"meta": {"id": "trace-1"}, "request": {"id": "r-1"}, "data": {"id": "gen-1"}}
    assert read_paid_answer(Response(200, body)).created_id == "gen-1"


def test_id_in_capitals_is_an_id() -> None:
    assert read_paid_answer(Response(200, {"Result": {"ID": "asset-1"}})).created_id == "asset-1"
