from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.catalog import ASSET_ACTIONS
from tests.emulator.asset_client import LINK, AssetClient, refusal
from tests.emulator.conftest import Client

E5 = {"ResponseMetadata": {"RequestId": "r", "Error": {"Code": "InternalError", "Message": "no"}}}
GROUP = {"model": "volc-asset", "Name": "team"}


def billed(assets: AssetClient) -> int:
    return int(assets.emulator.stats()["asset_calls_billed"])


def test_canned_error_may_come_with_http_200_and_makes_nothing(assets: AssetClient) -> None:
    assets.emulator.fault(route="CreateAssetGroup", status=200, json=E5)
    answer = assets.ask("CreateAssetGroup", GROUP)
    assert (answer.status_code, answer.json()) == (200, E5)
    assert billed(assets) == 0


def test_canned_answer_may_hide_what_was_made(assets: AssetClient) -> None:
    assets.emulator.fault(route="CreateAsset", status=502, body="upstream asset error: timeout", accept=True)
    group_id = assets.group()
    body = {"GroupId": group_id, "Name": "hero", "AssetType": "Image", "URL": LINK}
    assert assets.ask("CreateAsset", body).status_code == 502
    assert [item["Name"] for item in assets.listed(filtered={"GroupIds": [group_id]})["Items"]] == ["hero"]
    assert billed(assets) == 2


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        ({"drop": "after_body"}, 1),
        ({"drop": "mid_answer"}, 1),
        ({"drop": "after_body", "accept": False}, 0),
        ({"drop": "before_body"}, 0),
        ({"hang": 0.01, "accept": False}, 0),
    ],
)
def test_answer_of_a_paid_call_is_lost(assets: AssetClient, fault: dict[str, Any], made: int) -> None:
    assets.emulator.fault(route="CreateAssetGroup", **fault)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        assets.ask("CreateAssetGroup", GROUP)
    assert billed(assets) == made


def test_lost_answer_of_an_upload(assets: AssetClient) -> None:
    group_id = assets.group()
    assets.emulator.fault(route="CreateAsset", drop="after_body")
    with pytest.raises(requests.ConnectionError):
        assets.ask("CreateAsset", data={"GroupId": group_id, "Name": "n"}, files={"file": b"x"})
    assert [asset["name"] for asset in assets.emulator.assets()] == ["n"]


def test_fault_on_one_action_leaves_the_others_alone(assets: AssetClient) -> None:
    assets.emulator.fault(route="GetAsset", status=500, count=0)
    asset_id = assets.asset(assets.group())
    assert assets.ask("GetAsset", {"Id": asset_id}).status_code == 500
    assert assets.listed()["TotalCount"] == 1


@pytest.mark.parametrize("route", ["asset", "any"])
def test_fault_on_all_actions(assets: AssetClient, route: str) -> None:
    assets.emulator.fault(route=route, status=503, count=0)
    assert {assets.ask(action, {}).status_code for action in ASSET_ACTIONS} == {503}


def test_asset_faults_leave_generations_alone(assets: AssetClient, client: Client) -> None:
    assets.emulator.fault(route="asset", status=503, count=0)
    assert client.create({"model": "seedance-2.0", "content": [{"type": "text", "text": "a"}]}).status_code == 200


def test_failing_asset_ends_with_code_and_message(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", fail={"code": "FaceMismatch", "message": "another face"})
    item = assets.get(assets.asset(assets.group()))
    assert item["Status"] == "Failed"
    assert item["Error"] == {"Code": "FaceMismatch", "Message": "another face"}


def test_failing_asset_needs_no_code(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", fail={})
    assert assets.get(assets.asset(assets.group()))["Status"] == "Failed"


def test_stuck_asset_stays_in_processing(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", stuck=True)
    asset_id = assets.asset(assets.group())
    assets.emulator.finish()
    assert assets.get(asset_id)["Status"] == "Processing"


def test_inactive_asset(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", inactive=True)
    item = assets.get(assets.asset(assets.group()))
    assert (item["Status"], "Error" in item) == ("Inactive", False)


def test_asset_is_found_by_its_id_after_its_time_and_listed_at_once(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", visible_after=0.2)
    asset_id = assets.asset(assets.group())
    assert refusal(assets.ask("GetAsset", {"Id": asset_id}))[:2] == (404, "NotFound.asset_id")
    assert [item["Id"] for item in assets.listed()["Items"]] == [asset_id]
    while (answer := assets.ask("GetAsset", {"Id": asset_id})).status_code == 404:
        pass
    assert answer.json()["Status"] == "Active"


def test_lost_asset_is_never_found_by_its_id_but_was_billed(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", lose=True)
    asset_id = assets.asset(assets.group())
    assert assets.ask("GetAsset", {"Id": asset_id}).status_code == 404
    assert [asset["id"] for asset in assets.emulator.assets()] == [asset_id]
    assert billed(assets) == 2


def test_group_used_too_early_is_400_not_found(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_group_fate", visible_after=0.2)
    group_id = assets.group()
    body = {"GroupId": group_id, "Name": "n", "AssetType": "Image", "URL": LINK}
    status, _, message = refusal(assets.ask("CreateAsset", body))
    assert status == 400
    assert "group" in message
    assert "not found" in message
    while (answer := assets.ask("CreateAsset", body)).status_code == 400:
        pass
    assert answer.status_code == 200
    assert assets.emulator.stats()["assets_created"] == 1


def test_fates_are_taken_in_order_of_creation_and_not_by_refused_requests(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", inactive=True, skip=1)
    group_id = assets.group()
    names = ["one", "one", "two", "three"]
    for name in names:
        assets.ask("CreateAsset", {"GroupId": group_id, "Name": name, "AssetType": "Image", "URL": LINK})
    found = {asset["name"]: asset["status"] for asset in assets.emulator.assets()}
    assert found == {"one": "Active", "two": "Inactive", "three": "Active"}


@pytest.mark.parametrize(
    "fields",
    [
        {"route": "asset_fate", "status": 500},
        {"route": "asset_fate", "inner": "expired"},
        {"route": "asset_group_fate", "stuck": True},
        {"route": "generation", "inactive": True},
        {"route": "asset", "inactive": True},
        {"route": "CreateVisualValidateSession", "status": 500},
        {"route": "asset_fate", "stuck": True, "generation_id": "asyntask_x"},
    ],
)
def test_contradictory_fault_is_refused(emulator: Emulator, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        emulator.fault(**fields)
