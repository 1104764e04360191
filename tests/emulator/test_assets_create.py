from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.assets import Asset
from tests.emulator.asset_client import LINK, AssetClient, clip, picture, refusal, sound


@pytest.fixture
def assets(emulator: Emulator) -> AssetClient:
    return AssetClient(emulator)


@pytest.fixture
def slow() -> Iterator[AssetClient]:
    """A client of an emulator whose assets are processed until it is told to finish."""
    with Emulator(speed=1e-6) as running:
        yield AssetClient(running)


def uri(data: bytes, declared: str = "image/png") -> str:
    return f"data:{declared};base64,{base64.b64encode(data).decode()}"


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
def test_asset_with_bad_fields_is_refused_and_not_billed(assets, fields, code):
    body = {"GroupId": assets.group(), "Name": "n", "AssetType": "Image", "URL": LINK, **fields}
    assert refusal(assets.ask("CreateAsset", body))[:2] == (400, code)
    assert assets.emulator.stats()["assets_created"] == 0


@pytest.mark.parametrize(
    ("asset_type", "model"), [("Image", "volc-asset"), ("Video", "volc-asset-video"), ("Audio", "volc-asset-audio")]
)
def test_each_type_goes_with_its_billing_model(assets, asset_type, model):
    assets.asset(assets.group(), AssetType=asset_type, model=model)
    [asset] = assets.emulator.assets()
    assert (asset["type"], asset["model"], asset["status"]) == (asset_type, model, "Active")


def test_video_needs_no_name_and_nameless_ones_do_not_clash(assets):
    group_id = assets.group()
    for _ in range(2):
        assets.asset(group_id, None, AssetType="Video", model="volc-asset-video")
    assert assets.listed()["TotalCount"] == 2


def test_taken_name_is_answered_as_if_there_were_no_such_group(assets):
    group_id, elsewhere = assets.group(), assets.group()
    first = assets.asset(group_id, "hero")
    body = {"GroupId": group_id, "Name": "hero", "AssetType": "Image", "URL": LINK}
    taken = refusal(assets.ask("CreateAsset", body))
    assert taken[:2] == (404, "NotFound.group_id")
    assert group_id in taken[2]
    assets.asset(elsewhere, "hero")
    assert assets.emulator.stats()["assets_created"] == 2
    assets.told("DeleteAsset", {"Id": first})
    assets.asset(group_id, "hero")


def test_name_stays_unique_under_concurrent_creates(assets):
    group_id = assets.group()
    body = {"GroupId": group_id, "Name": "hero", "AssetType": "Image", "URL": uri(picture())}
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: assets.ask("CreateAsset", body).status_code, range(8)))
    assert sorted(statuses) == [200] + [404] * 7


def test_asset_is_processed_for_ten_seconds():
    asset = Asset.create(1, "group-1", "n", "Image", "volc-asset", now=100.0, seconds=10)
    assert [asset.status(100.0 + second) for second in (0, 9.9, 10)] == ["Processing", "Processing", "Active"]
    assert asset.told(105.0, lambda _: "")["UpdateTime"] == asset.told(105.0, lambda _: "")["CreateTime"]
    assert asset.told(110.0, lambda _: "")["UpdateTime"].endswith("01:50Z")


def test_processing_takes_ten_seconds_through_speed():
    with Emulator(speed=20) as emulator:
        client = AssetClient(emulator)
        client.asset(client.group())
        [asset] = emulator.assets()
    assert asset["ready_at"] - asset["created_at"] == pytest.approx(0.5)


def test_finish_ends_processing(slow):
    asset_id = slow.asset(slow.group())
    assert slow.get(asset_id)["Status"] == "Processing"
    slow.emulator.finish()
    assert slow.get(asset_id)["Status"] == "Active"


def test_broken_file_is_taken_billed_and_fails_later(slow):
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
def test_image_comes_as_data_uri_or_as_base64_of_a_png(assets, url, status):
    assert assets.get(assets.asset(assets.group(), url=url))["Status"] == status


def upload(assets: AssetClient, data: bytes, **fields: str) -> requests.Response:
    return assets.ask("CreateAsset", data=fields, files={"file": ("x.bin", data)})


def test_image_comes_as_a_form_without_type_and_model(assets):
    answer = upload(assets, picture(form="jpeg"), GroupId=assets.group(), Name="höhe")
    item = assets.get(answer.json()["Id"])
    assert (item["Status"], item["AssetType"], item["Name"]) == ("Active", "Image", "höhe")


@pytest.mark.parametrize(
    ("make", "asset_type", "model"), [(clip, "Video", "volc-asset-video"), (sound, "Audio", "volc-asset-audio")]
)
def test_video_and_audio_come_as_a_form(assets, make, asset_type, model):
    answer = upload(assets, make(), GroupId=assets.group(), AssetType=asset_type, model=model)
    assert assets.get(answer.json()["Id"])["Status"] == "Active"


def test_form_without_file_or_group_is_refused(assets):
    parts = {"GroupId": (None, assets.group()), "Name": (None, "n")}
    assert refusal(assets.ask("CreateAsset", files=parts))[:2] == (400, "MissingParameter.file")
    assert refusal(upload(assets, picture(), Name="n"))[:2] == (400, "MissingParameter.GroupId")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_broken_form_is_refused(assets, kind):
    answer = assets.ask("CreateAsset", data=b"nonsense", headers={**assets.headers, "Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_body_over_the_limit_is_413_in_both_forms(assets):
    group_id = assets.group()
    too_much = bytes(1_000_001)
    assert upload(assets, too_much, GroupId=group_id, Name="n").status_code == 413
    body = {"GroupId": group_id, "Name": "n", "AssetType": "Image", "URL": uri(too_much)}
    assert assets.ask("CreateAsset", body).status_code == 413
    assert assets.emulator.stats()["assets_created"] == 0
