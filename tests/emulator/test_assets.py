from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.assets import AssetGroup
from airflow_provider_seedance.emulator.catalog import ASSET_ACTIONS
from tests.emulator.asset_client import LINK, AssetClient, picture, refusal, uri


@pytest.fixture
def other(emulator: Emulator) -> AssetClient:
    """A client with another key."""
    emulator.set_api_keys(emulator.api_key, "sk-other")
    return AssetClient(emulator, "sk-other")


def test_ids_have_the_services_form(assets: AssetClient) -> None:
    group_id = assets.group()
    assert re.fullmatch(r"group-\d{14}-[a-z0-9]{5}", group_id)
    assert re.fullmatch(r"asset-\d{14}-[a-z0-9]{5}", assets.asset(group_id))


def test_id_carries_beijing_time_and_create_time_utc() -> None:
    made = AssetGroup.create(1, "n", "", now=1779948562.0)
    assert made.id.startswith("group-20260528140922-")
    assert made.item()["CreateTime"] == "2026-05-28T06:09:22Z"


@pytest.mark.parametrize("action", ASSET_ACTIONS)
def test_every_action_needs_a_valid_key(assets: AssetClient, action: str) -> None:
    answer = assets.ask(action, {}, headers={"Authorization": "Bearer sk-wrong"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("action", ASSET_ACTIONS)
@pytest.mark.parametrize("body", [b"{", b"[]", b"NaN"])
def test_body_that_is_no_json_object_is_refused(assets: AssetClient, action: str, body: Any) -> None:
    answer = assets.ask(action, data=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_other_actions_and_methods_are_unknown_urls(assets: AssetClient) -> None:
    for action in (
        "CreateVisualValidateSession",
        "UpdateAsset",
        "GetAssetGroup",
        "UpdateAssetGroup",
        "DeleteAssetGroup",
    ):
        assert assets.ask(action, {}).json()["error"]["message"].startswith("Invalid URL")
    url = f"{assets.emulator.url}/volc/asset/GetAsset"
    assert requests.get(url, headers=assets.headers, timeout=10).status_code == 404


def test_group_is_listed_with_the_prefix_of_user_and_key(assets: AssetClient) -> None:
    group_id = assets.group("my project", Description="people")
    [item] = assets.listed("ListAssetGroups")["Items"]
    assert re.fullmatch(r"\[u-1\]-\[t-\d+\]my project", item.pop("Name"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["CreateTime"])
    assert item == {
        "Id": group_id,
        "Description": "people",
        "GroupType": "AIGC",
        "ProjectName": "default",
        "CreateTime": item["CreateTime"],
        "UpdateTime": item["CreateTime"],
    }


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "MissingParameter.Name"),
        ({"Name": " "}, "MissingParameter.Name"),
        ({"Name": 5}, "InvalidParameter.Name"),
        ({"Name": "n" * 65}, "InvalidParameter.Name"),
        ({"Name": "n", "Description": "d" * 301}, "InvalidParameter.Description"),
        ({"Name": "n", "GroupType": "LivenessFace"}, "InvalidParameter.GroupType"),
        ({"Name": "n", "model": "seedance-2.0"}, "InvalidParameter.model"),
    ],
)
def test_group_with_bad_fields_is_refused_and_not_billed(
    assets: AssetClient, fields: dict[str, Any], code: str
) -> None:
    assert refusal(assets.ask("CreateAssetGroup", fields))[:2] == (400, code)
    assert assets.emulator.stats()["asset_calls_billed"] == 0


def test_longest_names_are_taken(assets: AssetClient) -> None:
    group_id = assets.group("n" * 64, Description="d" * 300)
    assert assets.get(assets.asset(group_id, "ä" * 64))["Name"] == "ä" * 64


def test_two_groups_can_have_the_same_name(assets: AssetClient) -> None:
    assert assets.group("same") != assets.group("same")
    assert assets.listed("ListAssetGroups", {"Name": "same"})["TotalCount"] == 2


def test_asset_is_described_as_the_contract_shows(assets: AssetClient) -> None:
    group_id = assets.group()
    asset_id = assets.asset(group_id, "character")
    item = assets.get(asset_id)
    assert item.pop("URL").startswith(f"{assets.emulator.url}/files/assets/{asset_id}/")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item.pop("CreateTime"))
    del item["UpdateTime"]
    assert item == {
        "Id": asset_id,
        "Name": "character",
        "AssetType": "Image",
        "GroupId": group_id,
        "Status": "Active",
        "ProjectName": "default",
    }


def test_deleted_asset_is_gone(assets: AssetClient) -> None:
    asset_id = assets.asset(assets.group())
    assert assets.result("DeleteAsset", {"Id": asset_id}) == {"Id": asset_id, "Deleted": True}
    assert assets.ask("DeleteAsset", {"Id": asset_id}).status_code == 404
    assert assets.listed()["Items"] == []


@pytest.mark.parametrize("action", ["GetAsset", "DeleteAsset"])
def test_unknown_asset_is_not_found(assets: AssetClient, action: str) -> None:
    status, code, message = refusal(assets.ask(action, {"Id": "asset-x", "Name": "n"}))
    assert (status, code) == (404, "NotFound.asset_id")
    assert message.startswith("[NotFound.asset_id]")
    assert refusal(assets.ask(action, {"Name": "n"}))[:2] == (400, "MissingParameter.Id")


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("GetAsset", "asset"),
        ("DeleteAsset", "asset"),
        ("CreateAsset", "group"),
    ],
)
def test_foreign_id_is_answered_exactly_as_an_unknown_one(
    assets: AssetClient, other: AssetClient, action: str, kind: str
) -> None:
    group_id = assets.group()
    ids = {"group": group_id, "asset": assets.asset(group_id)}
    fields = {"Name": "new", "AssetType": "Image", "URL": LINK}

    def answered(identifier: str) -> tuple[int, Any, str]:
        answer = other.ask(action, {"Id": identifier, "GroupId": identifier, **fields})
        body = answer.json()
        assert body["ResponseMetadata"].pop("RequestId")
        return answer.status_code, list(body["ResponseMetadata"]), answer.text.partition("Error")[2]

    foreign, unknown = answered(ids[kind]), answered(f"{kind}-20260427160000-xxxxx")
    assert foreign[0] == 404
    assert foreign[2].replace(ids[kind], "ID") == unknown[2].replace(f"{kind}-20260427160000-xxxxx", "ID")
    assert [asset["name"] for asset in assets.emulator.assets()] == ["hero"]


def test_lists_show_a_keys_own_only(assets: AssetClient, other: AssetClient) -> None:
    assets.asset(assets.group())
    for action in ("ListAssets", "ListAssetGroups"):
        assert assets.listed(action)["TotalCount"] == 1
        assert other.listed(action) == {"PageNumber": 1, "PageSize": 10, "TotalCount": 0, "Items": []}
    assert other.listed(filtered={"GroupIds": [assets.emulator.asset_groups()[0]["id"]]})["Items"] == []


def test_lists_filter_by_part_of_a_name_and_group(assets: AssetClient) -> None:
    people, places = assets.group("People"), assets.group("Places")
    hero, harbour = assets.asset(people, "Hero"), assets.asset(places, "harbour")
    assets.emulator.fault(route="asset_fate", fail={"code": "FaceMismatch"})
    failed = assets.asset(people, "Heroine")

    def found(action: str = "ListAssets", **filtered: Any) -> set[str]:
        return {item["Id"] for item in assets.listed(action, filtered)["Items"]}

    assert found() == {hero, harbour, failed}
    assert found(Name="hero", GroupType="AIGC") == {hero, failed}
    assert found(GroupIds=[places]) == {harbour}
    assert found("ListAssetGroups", Name="PLACE") == {places}
    assert found("ListAssetGroups", GroupIds=[people, "group-none"]) == {people}


def test_failed_asset_shows_its_error_in_the_list_too(assets: AssetClient) -> None:
    assets.emulator.fault(route="asset_fate", fail={"code": "FaceMismatch", "message": "no"})
    assets.asset(assets.group())
    assert assets.listed()["Items"][0]["Error"] == {"Code": "FaceMismatch", "Message": "no"}


def test_pages_hold_every_asset_once_newest_first(assets: AssetClient) -> None:
    group_id = assets.group()
    made = [assets.asset(group_id, f"a{number}") for number in range(7)]
    pages = [assets.listed(PageNumber=number, PageSize=3) for number in (1, 2, 3, 4)]
    assert [page["TotalCount"] for page in pages] == [7] * 4
    assert [item["Id"] for page in pages for item in page["Items"]] == made[::-1]
    assert [len(page["Items"]) for page in pages] == [3, 3, 1, 0]


def test_page_has_ten_items_by_default_and_a_hundred_at_most(assets: AssetClient) -> None:
    group_id = assets.group()
    for number in range(11):
        assets.asset(group_id, f"a{number}")
    assert len(assets.listed()["Items"]) == 10
    assert len(assets.listed(PageSize=100)["Items"]) == 11


@pytest.mark.parametrize("action", ["ListAssets", "ListAssetGroups"])
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model": None}, "MissingParameter.model"),
        ({"Filter": None}, "MissingParameter.Filter"),
        ({"Filter": []}, "InvalidParameter.Filter"),
        ({"Filter": {"GroupType": "LivenessFace"}}, "InvalidParameter.GroupType"),
        ({"Filter": {"GroupIds": "group-1"}}, "InvalidParameter.Filter.GroupIds"),
        ({"PageNumber": 0}, "InvalidParameter.PageNumber"),
        ({"PageSize": 101}, "InvalidParameter.PageSize"),
        ({"PageSize": "10"}, "InvalidParameter.PageSize"),
    ],
)
def test_list_with_bad_fields_is_refused(assets: AssetClient, action: str, fields: dict[str, Any], code: str) -> None:
    answer = assets.ask(action, {"model": "volc-asset", "Filter": {}, **fields})
    assert refusal(answer)[:2] == (400, code)


@pytest.mark.parametrize("fields", [{"shape": "round"}, {"unknown": "maybe"}, {"color": "red"}])
def test_wrong_option_is_refused(emulator: Emulator, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        emulator.asset_options(**fields)


def test_wrapped_shape_puts_every_result_under_result(emulator: Emulator, assets: AssetClient) -> None:
    emulator.asset_options(shape="wrapped")
    answer = assets.ask("CreateAssetGroup", {"Name": "n"}).json()
    assert answer["ResponseMetadata"]["Action"] == "CreateAssetGroup"
    assert list(answer) == ["ResponseMetadata", "Result"]
    group_id = answer["Result"]["Id"]
    listed = assets.listed("ListAssetGroups")["Result"]
    assert [item["Id"] for item in listed["Items"]] == [group_id]
    assert refusal(assets.ask("GetAsset", {"Id": "asset-x"}))[0] == 404
    emulator.reset()
    assert "Id" in assets.ask("CreateAssetGroup", {"Name": "n"}).json()


def test_shape_is_a_setting_of_the_emulator_too() -> None:
    with Emulator(asset_shape="wrapped") as emulator:
        assert AssetClient(emulator).result("CreateAssetGroup", {"Name": "n"})["Result"]["Id"]


@pytest.mark.parametrize(
    "fields",
    [
        {"missing": "ListAssets"},
        {"missing": ["UpdateAsset"]},
        {"page_cap": 0},
        {"page_cap": 101},
        {"page_cap": "10"},
        {"list_lag": -1},
        {"list_lag": "soon"},
        {"demand_group_type": "yes"},
        {"filters": "maybe"},
    ],
)
def test_option_that_is_not_usable_is_refused(emulator: Emulator, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        emulator.asset_options(**fields)


def test_missing_route_answers_as_an_unknown_url(emulator: Emulator, assets: AssetClient) -> None:
    emulator.asset_options(missing=["ListAssets", "GetAsset"])
    for action in ("ListAssets", "GetAsset"):
        answer = assets.ask(action, {"model": "volc-asset", "Filter": {}})
        assert answer.status_code == 404
        assert f"Invalid URL (POST /volc/asset/{action})" in answer.json()["error"]["message"]
    assert assets.group()


@pytest.mark.parametrize("action", ["ListAssets", "ListAssetGroups"])
def test_page_can_be_shorter_than_what_was_asked_for(emulator: Emulator, assets: AssetClient, action: str) -> None:
    for number in range(3):
        assets.asset(assets.group(f"team-{number}"), f"hero-{number}")
    emulator.asset_options(page_cap=2)
    first, second = (assets.listed(action, PageSize=100, PageNumber=number) for number in (1, 2))
    assert [len(first["Items"]), len(second["Items"])] == [2, 1]
    assert (first["PageSize"], first["TotalCount"]) == (2, 3)


@pytest.mark.parametrize("action", ["ListAssets", "ListAssetGroups"])
def test_what_is_new_is_listed_after_the_lag(emulator: Emulator, assets: AssetClient, action: str) -> None:
    assets.asset(assets.group())
    emulator.asset_options(list_lag=3600)
    assert assets.listed(action)["Items"] == []
    emulator.asset_options(list_lag=0)
    assert len(assets.listed(action)["Items"]) == 1


@pytest.mark.parametrize("action", ["ListAssets", "ListAssetGroups"])
def test_lists_can_demand_the_group_type(emulator: Emulator, assets: AssetClient, action: str) -> None:
    emulator.asset_options(demand_group_type=True)
    answer = assets.ask(action, {"model": "volc-asset", "Filter": {}})
    assert refusal(answer)[:2] == (400, "MissingParameter.GroupType")
    assert assets.listed(action, {"GroupType": "AIGC"})["Items"] == []


@pytest.mark.parametrize("action", ["ListAssets", "ListAssetGroups"])
def test_lists_can_ignore_their_filters(emulator: Emulator, assets: AssetClient, action: str) -> None:
    for number in range(2):
        assets.asset(assets.group(f"team-{number}"), f"hero-{number}")
    emulator.asset_options(filters="ignore")
    assert len(assets.listed(action, {"Name": "nothing", "GroupIds": ["group-x"]})["Items"]) == 2


def test_creates_are_billed_per_call_and_all_else_is_free(assets: AssetClient) -> None:
    group_id = assets.group()
    asset_id = assets.asset(group_id)
    assets.get(asset_id)
    assets.listed()
    assets.result("DeleteAsset", {"Id": asset_id})
    stats = assets.emulator.stats()
    counters = ("asset_groups_created", "assets_created", "asset_calls_billed")
    assert [stats[name] for name in counters] == [1, 1, 2]
    assert {action: stats["requests"][action] for action in ASSET_ACTIONS} == {
        **dict.fromkeys(ASSET_ACTIONS, 1),
        "ListAssetGroups": 0,
    }
    assets.emulator.reset()
    assert assets.emulator.stats()["asset_calls_billed"] == 0


def test_preview_link_is_new_on_every_read_needs_no_key_and_leads_to_the_bytes(assets: AssetClient) -> None:
    data = picture()
    asset_id = assets.asset(assets.group(), url=uri(data))
    links = [assets.get(asset_id)["URL"], assets.get(asset_id)["URL"], assets.listed()["Items"][0]["URL"]]
    assert len(set(links)) == 3
    assert all(requests.get(link, timeout=10).content == data for link in links)
    assert all("X-Tos-Expires=43200" in link for link in links)
    assert assets.emulator.stats()["requests"]["preview"] == 3


def test_preview_link_expires_is_signed_and_ends_with_its_asset(assets: AssetClient) -> None:
    asset_id = assets.asset(assets.group(), url=uri(picture()))
    expired = assets.get(asset_id)["URL"]
    assets.emulator.expire_links()
    assert requests.get(expired, timeout=10).status_code == 403
    fresh = assets.get(asset_id)["URL"]
    assert requests.get(fresh.replace(asset_id, "asset-1"), timeout=10).status_code == 403
    assert requests.get(fresh.partition("?")[0], timeout=10).status_code == 403
    assets.result("DeleteAsset", {"Id": asset_id})
    assert requests.get(fresh, timeout=10).status_code == 404


def test_control_describes_groups_and_assets_of_all_keys(assets: AssetClient, other: AssetClient) -> None:
    mine, theirs = assets.group("mine"), other.group("theirs")
    asset_id = assets.asset(mine, url=LINK)
    groups, [asset] = assets.emulator.asset_groups(), assets.emulator.assets()
    assert [(group["id"], group["name"], group["assets"]) for group in groups] == [
        (mine, "mine", [asset_id]),
        (theirs, "theirs", []),
    ]
    assert groups[0]["token"] == asset["token"] != groups[1]["token"]
    assert asset["url"] == LINK
