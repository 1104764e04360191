from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_seedance.api.errors import error_from, is_group_missing, read_error, retry_after
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceServiceError,
)


def e1(message: str, code: str = "", type_: str = "new_api_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "code": code, "param": ""}}


def e2(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "data": None}


def e3(code: str, message: str) -> dict[str, Any]:
    upstream = {"error": {"code": code, "message": message, "param": "", "type": "BadRequest"}}
    return e2("fail_to_fetch_task", json.dumps(upstream))


@pytest.mark.parametrize(
    ("body", "code", "gateway_code"),
    [
        (e1("The provided API key is invalid.", "invalid_api_key"), "invalid_api_key", "invalid_api_key"),
        (e1("Invalid token"), None, None),
        (e2("task_not_exist", "task_not_exist"), "task_not_exist", "task_not_exist"),
        (e3("InputTextSensitiveContentDetected", "no"), "InputTextSensitiveContentDetected", "fail_to_fetch_task"),
        ({"error": e3("InvalidParameter", "x")}, "InvalidParameter", "fail_to_fetch_task"),
        ({"error": "plain text"}, None, None),
        (
            {"ResponseMetadata": {"RequestId": "r-12345", "Error": {"Code": "NotFound.asset_id", "Message": "gone"}}},
            "NotFound.asset_id",
            "NotFound.asset_id",
        ),
        (
            e2("fail_to_fetch_task", json.dumps({"message": json.dumps(e3("ServerOverloaded", "later"))})),
            "ServerOverloaded",
            "fail_to_fetch_task",
        ),
    ],
)
def test_every_envelope_is_read(body: object, code: str | None, gateway_code: str | None) -> None:
    detail = read_error(body)
    assert detail is not None
    assert (detail.code, detail.gateway_code) == (code, gateway_code)
    assert detail.message


@pytest.mark.parametrize(
    "body", [None, [], 7, {}, {"code": "success", "message": ""}, {"data": {"status": "SUCCESS"}}, {"error": None}]
)
def test_what_is_no_error_is_none(body: object) -> None:
    assert read_error(body) is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, e1("Invalid token"), SeedanceAuthError),
        (403, e1("IP not allowed", "access_denied"), SeedanceAuthError),
        (403, e1("This token has no access to model x"), SeedanceAuthError),
        (403, e2("insufficient_user_quota", "预扣费额度失败"), SeedanceBalanceError),
        (403, e2("pre_consume_token_quota_failed", "x"), SeedanceBalanceError),
        (402, e1("Payment required"), SeedanceBalanceError),
        (403, e3("AccountOverdueError", "overdue"), SeedanceBalanceError),
        (400, e2("task_not_exist", "task_not_exist"), SeedanceNotFoundError),
        (404, e1("task not found"), SeedanceNotFoundError),
        (404, e1("Invalid URL (GET /v1/v1/x)"), SeedanceRequestError),
        (404, "<html>not found</html>", SeedanceServiceError),
        (400, e2("invalid_request", "prompt is required"), SeedanceRequestError),
        (400, e3("MissingParameter.content", "x"), SeedanceRequestError),
        (400, e3("InvalidParameter.PixelCountTooSmall", "x"), SeedanceRequestError),
        (413, e2("read_request_body_failed", "x"), SeedanceRequestError),
        (413, "<html>413</html>", SeedanceRequestError),
        (407, "<html>login</html>", SeedanceServiceError),
        (501, e2("not_implemented", "x"), SeedanceRequestError),
        (503, e1("No available channel for model seedance-9", "model_not_found"), SeedanceRequestError),
        (404, e3("InvalidEndpointOrModel.NotFound", "x"), SeedanceRequestError),
        (429, e1("at most 10 requests in 1 minutes"), SeedanceRateLimitError),
        (429, e2("rate", "当前分组上游负载已饱和，请稍后再试"), SeedanceRateLimitError),
        (429, e3("QuotaExceeded", "x"), SeedanceRateLimitError),
        (429, "<html>slow down</html>", SeedanceRateLimitError),
        (400, e3("ModelAccountRpmRateLimitExceeded", "x"), SeedanceRateLimitError),
        (400, e3("InputTextSensitiveContentDetected", "x"), SeedanceInputModerationError),
        (400, e3("InputImageSensitiveContentDetected.PrivacyInformation", "x"), SeedanceInputModerationError),
        (400, e3("InputVideoSensitiveContentDetected.PolicyViolation", "x"), SeedanceInputModerationError),
        (400, e3("SensitiveContentDetected.Violence", "x"), SeedanceInputModerationError),
        (400, e3("InputImageRiskDetection", "x"), SeedanceInputModerationError),
        (400, e3("ContentSecurityDetectionError", "x"), SeedanceInputModerationError),
        (200, e3("OutputVideoSensitiveContentDetected", "x"), SeedanceModerationError),
        (500, e2("do_request_failed", "请求上游地址失败"), SeedanceServiceError),
        (500, e3("InternalServiceError", "x"), SeedanceServiceError),
        (503, e2("asset_copy_not_ready", 'asset "a" copy on channel 3 is not ready'), SeedanceServiceError),
        (400, e3("InvalidParameter", "The specified asset asset-1 is not found"), SeedanceRequestError),
        (408, e2("timeout", "x"), SeedanceServiceError),
        (502, "<html>Bad Gateway</html>", SeedanceServiceError),
        (504, "", SeedanceServiceError),
        (302, "", SeedanceRequestError),
        (401, "<html>login</html>", SeedanceAuthError),
    ],
)
def test_each_answer_becomes_its_type(status: int, body: object, expected: type[SeedanceError]) -> None:
    error = error_from(Response(status, body))
    assert type(error) is expected
    assert error.status == status
    assert str(error).rstrip().endswith((".", "?"))


def test_moderated_item_is_named_as_the_operators_parameter() -> None:
    body = e3("InputImageSensitiveContentDetected", "The request failed: 'content[2]' is not allowed")
    error = error_from(Response(400, body), item_names=("prompt", "reference_images[0]", "reference_images[1]"))
    assert isinstance(error, SeedanceModerationError)
    assert (error.stage, error.item) == ("input", "reference_images[1]")
    assert "reference_images[1]" in str(error)


def test_output_moderation_says_refunded_and_try_again() -> None:
    error = error_from(Response(200, e3("OutputVideoSensitiveContentDetected.PolicyViolation", "x")))
    assert isinstance(error, SeedanceModerationError)
    assert not isinstance(error, SeedanceInputModerationError)
    assert error.stage == "output"
    assert "refunded" in str(error)


def test_code_and_request_id_are_carried() -> None:
    error = error_from(Response(500, e2("get_channel_failed", "database error (request id: 20260427abc)")))
    assert (error.code, error.request_id) == ("get_channel_failed", "20260427abc")
    assert error_from(Response(500, "x", {"x-oneapi-request-id": "r-1"})).request_id is None
    assert error_from(Response(500, e2("a", "b"), {"x-oneapi-request-id": "r-1"})).request_id == "r-1"


def test_message_holds_no_secret() -> None:
    body = e3("InvalidParameter", "bad url https://b.example/i.png?X-Amz-Signature=beef for prompt 'my secret plan'")
    message = str(error_from(Response(400, body), secrets=["my secret plan"]))
    assert "beef" not in message
    assert "secret plan" not in message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("group group-20260427160000-xxxxx not found", True),
        ("[NotFound.group_id] The specified asset group group-1 is not found.", True),
        ("The asset is not found. Ask your user group.", False),
        ("user groups: page not found", False),
        ("backend server group not found", False),
        ("Target group arn:x not found", False),
        ("user group vip not found", False),
    ],
)
def test_missing_group_is_told_from_other_things_not_found(message: str, expected: bool) -> None:
    detail = read_error({"code": "fail_to_fetch_task", "message": message})
    assert detail is not None
    assert is_group_missing(detail) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "task_not_exist", "message": "x"}, True),
        ({"code": "x", "message": "task asyntask_1 not found"}, True),
        ({"error": {"code": "404", "message": "The requested URL /v1/video/generations/x was not found"}}, False),
        ({"code": "NOT_FOUND", "message": "Route /v1/video/generations/asyntask_1 not found"}, False),
        ({"code": "NOT_FOUND", "message": "GET /v1/task/asyntask_1: not found"}, False),
    ],
)
def test_not_found_of_a_page_is_not_the_services(body: dict[str, Any], expected: bool) -> None:
    error = error_from(Response(404, body))
    assert isinstance(error, SeedanceNotFoundError)
    assert error.is_from_service is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "-3"}, 0.0),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 27 Apr 2026 11:16:06 GMT", "date": "Mon, 27 Apr 2026 11:15:06 GMT"}, 60.0),
        ({"retry-after": "Mon, 27 Apr 2026 11:16:06 GMT"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers) == expected
    error = error_from(Response(429, e1("slow"), headers))
    assert isinstance(error, SeedanceRateLimitError)
    assert error.retry_after == expected
