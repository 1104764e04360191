from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.asset_requests import NewAsset
from airflow_provider_seedance.emulator.assets import Asset
from airflow_provider_seedance.emulator.routes import BODY_LIMIT
from tests.emulator.asset_client import LINK, AssetClient, clip, picture, refusal, sound, uri


@pytest.fixture
def slow() -> Iterator[AssetClient]:
    """A client of an emulator whose assets are processed until finish() is called."""
    with Emulator(speed=1e-6) as running:
        yield AssetClient(running)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"GroupId": None}, "MissingParameter.GroupId"),
        ({"Name": None}, "MissingParameter.Name"),
        ({"Name": "n" * 65}, "InvalidParameter.Name"),
        ({"AssetType": None}, "MissingParameter.AssetType"),
        ({"AssetType": "image"}, "InvalidParameter.AssetType"),
        ({"URL": None}, "MissingParameter.URL"),
        ({"URL": "ftp://example.com/a.png"}, "InvalidParameter.URL"),
        ({"URL": "https:///a.png"}, "InvalidParameter.URL"),
        ({"URL": "not base64!"}, "InvalidParameter.URL"),
        ({"URL": "data:image/png;base64,"}, "InvalidParameter.URL"),
        ({"URL": "data:image/png,AAAA"}, "InvalidParameter.URL"),
        ({"URL": "asset://asset-1"}, "InvalidParameter.URL"),
        ({"model": "volc-asset-video"}, "InvalidParameter.model"),
        ({"AssetType": "Video"}, "InvalidParameter.model"),
        ({"AssetType": "Video", "model": "volc-asset"}, "InvalidParameter.model"),
        ({"AssetType": "Audio", "model": "volc-asset-video"}, "InvalidParameter.model"),
    ],
)
def test_asset_with_bad_fields_is_refused_and_not_billed(
    assets: AssetClient, fields: dict[str, Any], code: str
) -> None:
    body = {"GroupId": assets.group(), "Name": "n", "AssetType": "Image", "URL": LINK, **fields}
    assert refusal(assets.ask("CreateAsset", body))[:2] == (400, code)
    assert assets.emulator.stats()["assets_created"] == 0


@pytest.mark.parametrize(
    ("asset_type", "model"), [("Image", "volc-asset"), ("Video", "volc-asset-video"), ("Audio", "volc-asset-audio")]
)
def test_each_type_goes_with_its_billing_model(assets: AssetClient, asset_type: str, model: str) -> None:
    assets.asset(assets.group(), AssetType=asset_type, model=model)
    [asset] = assets.emulator.assets()
    assert (asset["type"], asset["model"], asset["status"]) == (asset_type, model, "Active")


def test_video_needs_no_name_and_nameless_ones_do_not_clash(assets: AssetClient) -> None:
    group_id = assets.group()
    for _ in range(2):
        assets.asset(group_id, "", AssetType="Video", model="volc-asset-video")
    assert assets.listed()["TotalCount"] == 2


def test_taken_name_is_answered_as_if_there_were_no_such_group(assets: AssetClient) -> None:
    group_id, elsewhere = assets.group(), assets.group()
    first = assets.asset(group_id, "hero")
    body = {"GroupId": group_id, "Name": "hero", "AssetType": "Image", "URL": LINK}
    taken = refusal(assets.ask("CreateAsset", body))
    assert taken[:2] == (404, "NotFound.group_id")
    assert group_id in taken[2]
    assets.asset(elsewhere, "hero")
    assert assets.emulator.stats()["assets_created"] == 2
    assets.result("DeleteAsset", {"Id": first})
    assets.asset(group_id, "hero")


def test_name_stays_unique_under_concurrent_creates(assets: AssetClient) -> None:
    group_id = assets.group()
    body = {"GroupId": group_id, "Name": "hero", "AssetType": "Image", "URL": uri(picture())}
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: assets.ask("CreateAsset", body).status_code, range(8)))
    assert sorted(statuses) == [200] + [404] * 7


def test_asset_is_processed_for_ten_seconds() -> None:
    asset = Asset.create(1, NewAsset("group-1", "n", "Image", "volc-asset"), now=100.0, seconds=10)
    assert [asset.status(100.0 + second) for second in (0, 9.9, 10)] == ["Processing", "Processing", "Active"]
    assert asset.item(105.0, "")["UpdateTime"] == asset.item(105.0, "")["CreateTime"]
    assert asset.item(110.0, "")["UpdateTime"].endswith("01:50Z")


def test_processing_takes_ten_seconds_divided_by_the_speed() -> None:
    with Emulator(speed=20) as emulator:
        client = AssetClient(emulator)
        client.asset(client.group())
        [asset] = emulator.assets()
    assert asset["ready_at"] - asset["created_at"] == pytest.approx(0.5)


def test_finish_ends_processing(slow: AssetClient) -> None:
    asset_id = slow.asset(slow.group())
    assert slow.get(asset_id)["Status"] == "Processing"
    slow.emulator.finish()
    assert slow.get(asset_id)["Status"] == "Active"


def test_broken_file_is_taken_billed_and_fails_later(slow: AssetClient) -> None:
    asset_id = slow.asset(slow.group(), url=uri(b"no image"))
    assert "Error" not in slow.get(asset_id)
    slow.emulator.finish()
    item = slow.get(asset_id)
    assert (item["Status"], item["Error"]["Code"]) == ("Failed", "FormatUndetectable")
    assert slow.emulator.stats()["assets_created"] == 1


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (uri(picture()), "Active"),
        (uri(picture(form="jpeg"), "IMAGE/JPEG"), "Active"),
        (base64.b64encode(picture()).decode(), "Active"),
        (base64.b64encode(picture(form="jpeg")).decode(), "Failed"),
        (uri(picture(form="jpeg"), "image/png"), "Failed"),
        (uri(picture(200, 400)), "Failed"),
    ],
)
def test_image_comes_as_data_uri_or_as_base64_of_a_png(assets: AssetClient, url: str, status: int) -> None:
    assert assets.get(assets.asset(assets.group(), url=url))["Status"] == status


def upload(assets: AssetClient, data: bytes, **fields: str) -> requests.Response:
    return assets.ask("CreateAsset", data=fields, files={"file": ("x.bin", data)})


def test_image_comes_as_a_form_without_type_and_model(assets: AssetClient) -> None:
    answer = upload(assets, picture(form="jpeg"), GroupId=assets.group(), Name="höhe")
    item = assets.get(answer.json()["Id"])
    assert (item["Status"], item["AssetType"], item["Name"]) == ("Active", "Image", "höhe")


@pytest.mark.parametrize(
    ("make", "asset_type", "model"), [(clip, "Video", "volc-asset-video"), (sound, "Audio", "volc-asset-audio")]
)
def test_video_and_audio_come_as_a_form(assets: AssetClient, make: Any, asset_type: str, model: str) -> None:
    answer = upload(assets, make(), GroupId=assets.group(), AssetType=asset_type, model=model)
    assert assets.get(answer.json()["Id"])["Status"] == "Active"


def test_form_without_file_or_group_is_refused(assets: AssetClient) -> None:
    parts = {"GroupId": (None, assets.group()), "Name": (None, "n")}
    assert refusal(assets.ask("CreateAsset", files=parts))[:2] == (400, "MissingParameter.file")
    assert refusal(upload(assets, picture(), Name="n"))[:2] == (400, "MissingParameter.GroupId")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_broken_form_is_refused(assets: AssetClient, kind: str) -> None:
    answer = assets.ask("CreateAsset", data=b"nonsense", headers={**assets.headers, "Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_body_over_the_limit_is_413_in_both_forms(assets: AssetClient) -> None:
    group_id = assets.group()
    too_much = bytes(BODY_LIMIT + 1)
    assert upload(assets, too_much, GroupId=group_id, Name="n").status_code == 413
    body = {"GroupId": group_id, "Name": "n", "AssetType": "Image", "URL": uri(too_much[: BODY_LIMIT * 3 // 4])}
    assert assets.ask("CreateAsset", body).status_code == 413
    assert assets.emulator.stats()["assets_created"] == 0
