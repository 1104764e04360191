from __future__ import annotations

import base64
from pathlib import Path

import pytest

from airflow_provider_seedance.emulator import Emulator
from tests.emulator.asset_client import AssetClient, picture
from tests.emulator.conftest import Client

RED = f"data:image/png;base64,{base64.b64encode(picture(400, 700)).decode()}"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "emulator.state"


def test_groups_assets_and_what_they_cost_outlive_a_restart(state: Path) -> None:
    with Emulator(speed=1e-6, state=state) as first:
        client = AssetClient(first)
        group_id = client.group("kept")
        asset_id = client.asset(group_id, "hero", url=RED)
        client.asset(group_id, "other")
        client.result("DeleteAsset", {"Id": client.asset(group_id, "gone")})
        before = first.asset_groups(), first.assets(), first.stats()
    with Emulator(speed=1e-6, state=state) as second:
        assert (second.asset_groups(), second.assets(), second.stats()) == before
        assert second.stats()["asset_calls_billed"] == 4
        assert AssetClient(second).get(asset_id)["Status"] == "Processing"
        second.finish()
    with Emulator(speed=1e-6, state=state) as third:
        assert AssetClient(third).get(asset_id)["Status"] == "Active"


def test_fate_of_an_asset_outlives_a_restart(state: Path) -> None:
    with Emulator(state=state) as first:
        client = AssetClient(first)
        first.fault(route="asset_fate", lose=True)
        asset_id = client.asset(client.group())
    with Emulator(state=state) as second:
        assert AssetClient(second).ask("GetAsset", {"Id": asset_id}).status_code == 404
        assert [asset["id"] for asset in second.assets()] == [asset_id]


def test_generation_of_a_deleted_asset_is_the_same_after_a_restart(state: Path) -> None:
    with Emulator(speed=float("inf"), state=state) as first:
        assets, client = AssetClient(first), Client(first)
        asset_id = assets.asset(assets.group(), url=RED)
        reference = {"type": "image_url", "image_url": {"url": f"asset://{asset_id}"}, "role": "reference_image"}
        generation_id = client.generate(content=[reference])
        assets.result("DeleteAsset", {"Id": asset_id})
    with Emulator(speed=float("inf"), state=state) as second:
        assert Client(second).task(generation_id)["data"]["ratio"] == "9:16"


def test_reset_forgets_the_assets_that_the_file_holds(state: Path) -> None:
    with Emulator(state=state) as first:
        client = AssetClient(first)
        client.asset(client.group())
        first.reset()
    with Emulator(state=state) as second:
        assert (second.asset_groups(), second.assets(), second.stats()["asset_calls_billed"]) == ([], [], 0)
