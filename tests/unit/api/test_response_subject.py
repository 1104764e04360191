"""Whether a 200 is about what was asked for: something on the way can answer in the service's place."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_seedance.api.calls import GetAsset, GetGeneration, ListAssetGroups
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import SeedanceServiceError

ID, OTHER = "asyntask_1", "asyntask_2"


@pytest.mark.parametrize(
    "body",
    [
        {"code": "success", "message": "", "data": {"task_id": ID, "status": "FAILURE"}},
        {"id": ID, "status": "failed"},
        {"id": "cgt-1", "status": "failed"},
        {"code": "success", "message": "", "data": {"id": "cgt-1", "status": "failed"}},
        {"code": "success", "message": "", "data": {"status": "FAILURE", "data": {"id": "anything"}}},
        {"code": 0, "data": {"status": "FAILURE"}},
        {"code": "success", "data": {"status": "FAILURE", "error": None}},
        {"code": "success", "data": {"task_id": f" {ID} ", "status": "FAILURE"}},
    ],
)
def test_answer_about_the_generation_is_read(body: dict[str, Any]) -> None:
    assert GetGeneration(ID).read(Response(200, body)).state == "failed"


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "message": "backend is restarting"},
        {"status": "failed"},
        {"status": "success", "url": "https://login.example/"},
        {"code": "500", "message": "x", "data": {"status": "error"}},
        {"code": "MAINTENANCE", "message": "x", "data": {"status": "error"}},
        {"code": "0", "data": {"status": "done", "url": "https://login.example/"}},
        {"status": "error", "code": "503", "data": {"retry": True}},
        {"status": "error", "message": "x", "data": {"id": ID}},
        {"status": "failed", "request": {"params": {"id": ID}}},
        {"code": "success", "data": {"task_id": 999, "status": "FAILURE"}},
        {"data": {"task_id": OTHER, "status": "FAILURE"}},
        {"code": "success", "message": "", "data": {"task_id": OTHER, "status": "SUCCESS", "data": {"id": "cgt-1"}}},
    ],
)
def test_answer_about_something_else_is_an_outage(body: dict[str, Any]) -> None:
    with pytest.raises(SeedanceServiceError) as caught:
        GetGeneration(ID).read(Response(200, body))
    assert not caught.value.is_from_service or "describe" in str(caught.value)


@pytest.mark.parametrize("body", [{"id": 4711, "status": "failed"}, {"data": {"task_id": 4711, "status": "FAILURE"}}])
def test_number_is_an_id_in_the_answer_too(body: dict[str, Any]) -> None:
    assert GetGeneration("4711").read(Response(200, body)).state == "failed"


def test_number_of_the_services_own_table_is_not_the_id() -> None:
    body = {"code": "success", "message": "", "data": {"id": 4711, "status": "FAILURE"}}
    assert GetGeneration(ID).read(Response(200, body)).state == "failed"


@pytest.mark.parametrize("body", [{"status": "failed"}, {"Status": "Failed", "Id": "asset-of-another"}])
def test_answer_about_another_asset_is_an_outage(body: dict[str, Any]) -> None:
    with pytest.raises(SeedanceServiceError) as caught:
        GetAsset("asset-1").read(Response(200, body))
    assert not caught.value.is_from_service


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"success": False},
        {"ok": False, "items": []},
        {"Items": None},
        {"code": "success", "data": None},
        {"TotalCount": 2},
        {"TotalCount": None},
        {"TotalCount": 2, "Items": None},
        {"TotalCount": 1, "Items": [{"Name": "x"}]},
    ],
)
def test_what_is_no_list_is_not_an_empty_one(body: dict[str, Any]) -> None:
    with pytest.raises(SeedanceServiceError) as caught:
        ListAssetGroups().read(Response(200, body))
    assert not caught.value.is_from_service


@pytest.mark.parametrize(
    "body", [{"Items": []}, {"Items": None, "TotalCount": 0}, {"Result": {"Items": [], "TotalCount": 0}}]
)
def test_empty_list_is_one(body: dict[str, Any]) -> None:
    assert ListAssetGroups().read(Response(200, body)).items == ()
