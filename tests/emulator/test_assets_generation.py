from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import av
import pytest
import requests
from PIL import Image

from airflow_provider_seedance.emulator import Emulator
from tests.emulator.asset_client import AssetClient, clip, picture, sound, uri
from tests.emulator.conftest import Client


@pytest.fixture
def slow() -> Iterator[Emulator]:
    with Emulator(speed=1e-6) as running:
        yield running


def item(asset_id: str, kind: str = "image") -> dict[str, Any]:
    return {"type": f"{kind}_url", f"{kind}_url": {"url": f"asset://{asset_id}"}, "role": f"reference_{kind}"}


def order(*content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    text = {"type": "text", "text": "a cat"}
    return {"model": "seedance-2.0", "content": [text, *content], "resolution": "480p", "duration": 4, **fields}


def refused(answer: requests.Response) -> str:
    """Return the message of an E3 refusal as contract.md#asset-not-ready describes it."""
    body = answer.json()
    assert (answer.status_code, body["code"], body["data"]) == (400, "fail_to_fetch_task", None)
    error = json.loads(body["message"])["error"]
    assert error["code"] == "InvalidParameter"
    return str(error["message"])


def color(mp4: bytes) -> tuple[int, int, int]:
    """Return the mean color of the first frame of a clip."""
    with av.open(io.BytesIO(mp4), "r") as container:
        frame: Any = next(container.decode(video=0))
        image: Image.Image = frame.to_image()
    pixel = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def downloaded(client: Client, body: dict[str, Any]) -> bytes:
    answer = client.create(body)
    assert answer.status_code == 200, answer.text
    return requests.get(client.task(answer.json()["id"])["result_url"], timeout=60).content


@pytest.mark.parametrize("form", ["data", "multipart"])
def test_clip_shows_the_stored_image(assets: AssetClient, client: Client, form: str) -> None:
    group_id = assets.group()
    if form == "data":
        asset_id = assets.asset(group_id, url=uri(picture()))
    else:
        fields = {"GroupId": group_id, "Name": "hero"}
        asset_id = assets.ask("CreateAsset", data=fields, files={"file": picture()}).json()["Id"]
    red, green, blue = color(downloaded(client, order(item(asset_id))))
    assert red > 2 * green
    assert red > 2 * blue


def test_clip_still_shows_an_image_that_was_deleted_after_the_create(assets: AssetClient, client: Client) -> None:
    asset_id = assets.asset(assets.group(), url=uri(picture()))
    generation_id = client.create(order(item(asset_id))).json()["id"]
    assets.result("DeleteAsset", {"Id": asset_id})
    red, green, _ = color(requests.get(client.task(generation_id)["result_url"], timeout=60).content)
    assert red > 2 * green


def test_adaptive_ratio_follows_the_stored_image(assets: AssetClient, client: Client) -> None:
    asset_id = assets.asset(assets.group(), url=uri(picture(400, 700)))
    answer = client.create(order(item(asset_id)))
    assert client.task(answer.json()["id"])["data"]["ratio"] == "9:16"


def test_asset_made_from_a_link_is_used_unseen(assets: AssetClient, client: Client) -> None:
    asset_id = assets.asset(assets.group())
    assert client.create(order(item(asset_id))).status_code == 200


def test_video_and_audio_assets_are_used(assets: AssetClient, client: Client) -> None:
    group_id = assets.group()
    ids = {}
    for kind, data in (("video", clip()), ("audio", sound())):
        fields = {"GroupId": group_id, "AssetType": kind.title(), "model": f"volc-asset-{kind}"}
        ids[kind] = assets.ask("CreateAsset", data=fields, files={"file": data}).json()["Id"]
    assert client.create(order(item(ids["video"], "video"), item(ids["audio"], "audio"))).status_code == 200
    assert ids["video"] in refused(client.create(order(item(ids["video"]))))


def test_stored_audio_counts_towards_fifteen_seconds(assets: AssetClient, client: Client) -> None:
    group_id = assets.group()
    picture_id = assets.asset(group_id)
    ids = []
    for name in ("one", "two"):
        fields = {"GroupId": group_id, "Name": name, "AssetType": "Audio", "model": "volc-asset-audio"}
        ids.append(assets.ask("CreateAsset", data=fields, files={"file": sound(8)}).json()["Id"])
    one, two = (item(asset_id, "audio") for asset_id in ids)
    assert client.create(order(item(picture_id), one)).status_code == 200
    assert "15 s" in refused(client.create(order(item(picture_id), one, two)))


def test_unknown_deleted_and_foreign_assets_are_not_found(assets: AssetClient, client: Client) -> None:
    deleted, foreign = (assets.asset(assets.group()) for _ in range(2))
    assets.result("DeleteAsset", {"Id": deleted})
    assets.emulator.set_api_keys(assets.emulator.api_key, "sk-other")
    stranger = {"Authorization": "Bearer sk-other"}
    for asset_id, headers in (("asset-1", client.headers), (deleted, client.headers), (foreign, stranger)):
        answer = client.create(order(item(asset_id)), headers=headers)
        assert refused(answer) == f"The specified asset {asset_id} is not found."
    assert client.create(order(item(foreign))).status_code == 200
    assert assets.emulator.stats()["created"] == 1


def test_asset_in_processing_is_not_available_yet(slow: Emulator) -> None:
    assets, client = AssetClient(slow), Client(slow)
    asset_id = assets.asset(assets.group())
    assert "asset is still processing and is not available yet" in refused(client.create(order(item(asset_id))))
    slow.finish()
    assert client.create(order(item(asset_id))).status_code == 200


@pytest.mark.parametrize("fate", [{"fail": {"code": "FaceMismatch"}}, {"inactive": True}, {"lose": True}])
def test_asset_that_never_becomes_active_is_not_found(
    assets: AssetClient, client: Client, fate: dict[str, Any]
) -> None:
    assets.emulator.fault(route="asset_fate", **fate)
    asset_id = assets.asset(assets.group())
    assert refused(client.create(order(item(asset_id)))) == f"The specified asset {asset_id} is not found."


def test_unknown_assets_can_be_accepted(emulator: Emulator, client: Client) -> None:
    emulator.asset_options(unknown="accept")
    assert client.create(order(item("asset-1"))).status_code == 200
    with Emulator(unknown_assets="accept") as accepting:
        assert Client(accepting).create(order(item("asset-1"))).status_code == 200


def test_asset_in_a_large_request_is_looked_up_too(assets: AssetClient, client: Client) -> None:
    content = [item("asset-1")]
    answer = client.create(order(*content, some_future_field="x" * 100_000))
    assert "is not found" in refused(answer)
