from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceSensorTimeoutError,
    SeedanceTimeoutError,
)
from airflow_provider_seedance.files.inputs import MAX_INLINE_IMAGE, read_source
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.assets import (
    SeedanceCreateAssetOperator,
    SeedanceDeleteAssetOperator,
)
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.asset import SeedanceAssetSensor
from tests.asset_tasks import LINK, asset_task, group_task, picture, uri
from tests.harness import Task

# -- groups


def test_group_is_created_once_and_then_reused(emulator: Emulator) -> None:
    first, second = group_task().run(), group_task().run()
    assert first == second
    assert emulator.stats()["asset_groups_created"] == 1


def test_group_of_another_name_is_another_group(emulator: Emulator) -> None:
    assert group_task("one").run() != group_task("one-more").run()
    assert group_task("one").run() == group_task("one").run()


def test_several_groups_of_one_name_are_told_and_the_oldest_taken(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    made = [SeedanceHook().create_asset_group("twice") for _ in range(2)]
    assert group_task("twice").run() == min(made)
    assert "2 groups are named 'twice'" in caplog.text


def test_group_that_exists_can_be_refused_or_created_again(emulator: Emulator, group_id: str) -> None:
    with pytest.raises(SeedanceRequestError, match="if_exists='reuse'"):
        group_task(if_exists="fail").run()
    assert group_task(if_exists="create").run() != group_id


@pytest.mark.parametrize(("arguments", "field"), [({"name": ""}, "name"), ({"description": "x" * 301}, "description")])
def test_bad_group_is_refused_before_it_is_paid_for(emulator: Emulator, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(SeedanceRequestError) as caught:
        group_task(**arguments).run()
    assert caught.value.field == field
    assert emulator.stats()["asset_calls_billed"] == 0


# -- assets


@pytest.mark.parametrize("deferrable", [True, False])
def test_asset_is_created_waited_for_and_then_reused(emulator: Emulator, group_id: str, deferrable: bool) -> None:
    task = asset_task(group_id, deferrable=deferrable)
    first = task.run()
    assert set(first) == {"asset_id", "asset_uri", "status", "group_id"}
    assert first["asset_uri"] == f"asset://{first['asset_id']}"
    assert first["status"] == "Active"
    assert asset_task(group_id).run() == first
    assert emulator.stats()["assets_created"] == 1


def test_same_content_is_found_whatever_form_it_comes_in(emulator: Emulator, group_id: str, tmp_path: Path) -> None:
    (tmp_path / "hero.png").write_bytes(picture())
    by_path = asset_task(group_id, str(tmp_path / "hero.png")).run()
    assert asset_task(group_id, uri(picture())).run() == by_path


def test_changed_content_under_an_old_name_is_noticed(emulator: Emulator, group_id: str) -> None:
    first = asset_task(group_id, uri(picture(colour="red"))).run()
    changed = uri(picture(colour="blue"))
    with pytest.raises(SeedanceRequestError, match="other content"):
        asset_task(group_id, changed, if_changed="fail").run()
    assert asset_task(group_id, changed).run()["asset_id"] != first["asset_id"]
    assert emulator.stats()["assets_created"] == 2


def test_signature_of_a_link_is_not_its_content(emulator: Emulator, group_id: str) -> None:
    first = asset_task(group_id, f"{LINK}?X-Amz-Signature=one&X-Amz-Date=1").run()
    assert asset_task(group_id, f"{LINK}?X-Amz-Signature=two&X-Amz-Date=2").run() == first


@pytest.mark.parametrize(("choice", "created"), [("fail", 1), ("create", 2)])
def test_asset_that_exists_can_be_refused_or_created_again(
    emulator: Emulator, group_id: str, choice: str, created: int
) -> None:
    asset_task(group_id).run()
    again = asset_task(group_id, if_exists=choice)
    again.run_id = "manual__2"
    if choice == "fail":
        with pytest.raises(SeedanceRequestError, match="if_exists='reuse'"):
            again.run()
    else:
        again.run()
    assert emulator.stats()["assets_created"] == created


def test_large_file_is_uploaded_in_a_stream(emulator: Emulator, group_id: str, tmp_path: Path) -> None:
    noise = Image.effect_noise((2400, 2400), 100)
    noise.save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size > MAX_INLINE_IMAGE
    assert read_source(str(tmp_path / "large.png")).url is None
    assert asset_task(group_id, str(tmp_path / "large.png")).run()["status"] == "Active"


def make_video(path: Path, *, seconds: int = 3, size: tuple[int, int] = (864, 496), rate: int = 24) -> str:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for number in range(seconds * rate):
            frame = av.VideoFrame(*size, "yuv420p")
            frame.pts = number
            for plane in frame.planes:  # a new frame holds whatever was in memory
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def test_video_becomes_an_asset_billed_as_one(emulator: Emulator, group_id: str, tmp_path: Path) -> None:
    asset_task(group_id, make_video(tmp_path / "clip.mp4")).run()
    assert emulator.assets()[0]["type"] == "Video"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": 1}, "plays"),
        ({"seconds": 17}, "plays"),
        ({"size": (320, 320)}, "frame"),
        ({"rate": 12}, "frames per second"),
    ],
)
def test_video_out_of_bounds_is_refused_before_it_is_paid_for(
    emulator: Emulator, group_id: str, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SeedanceRequestError, match=said) as caught:
        asset_task(group_id, make_video(tmp_path / "clip.mp4", **changes)).run()
    assert caught.value.field == "source"
    assert emulator.stats()["assets_created"] == 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"source": ""}, "source"),
        ({"source": "/no/such/file.png"}, "source"),
        ({"source": "asset://asset-1"}, "source"),
        ({"source": "https://example.com/unknown"}, "asset_type"),
        ({"source": LINK, "asset_type": "Picture"}, "asset_type"),
        ({"source": uri(picture()), "asset_type": "Video"}, "asset_type"),
        ({"source": uri(picture(100, 100))}, "source"),
        ({"name": "x" * 52}, "name"),
        ({"name": ""}, "name"),
        ({"group_id": ""}, "group_id"),
    ],
)
def test_bad_asset_is_refused_before_it_is_paid_for(
    emulator: Emulator, group_id: str, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(SeedanceRequestError) as caught:
        asset_task(**{"group_id": group_id, **arguments}).run()
    assert caught.value.field == field
    assert emulator.stats()["assets_created"] == 0


@pytest.mark.parametrize("deferrable", [True, False])
def test_asset_that_fails_is_a_typed_error_with_a_remedy_and_is_not_paid_again(
    emulator: Emulator, group_id: str, deferrable: bool
) -> None:
    emulator.fault(route="asset_fate", fail={"code": "DownloadFailed", "message": "x"})
    task = asset_task(group_id, deferrable=deferrable)
    for _ in range(2):
        with pytest.raises(SeedanceRequestError, match=r"DownloadFailed.*reachable"):
            task.run()
    assert emulator.stats()["assets_created"] == 1


def test_asset_that_is_never_ready_times_out_and_a_retry_waits_on(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", stuck=True)
    task = asset_task(group_id, timeout=0.3)
    for _ in range(2):
        with pytest.raises(SeedanceTimeoutError, match=r"queries asset \S+ again before anything is paid"):
            task.run()
    assert emulator.stats()["assets_created"] == 1


def test_lag_right_after_creation_is_tolerated(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", visible_after=0.4)
    assert asset_task(group_id).run()["status"] == "Active"


def test_group_just_created_that_is_not_known_yet_is_waited_out(emulator: Emulator, group_id: str) -> None:
    lag = {"code": "fail_to_fetch_task", "message": f"group {group_id} not found", "data": None}
    emulator.fault(route="CreateAsset", status=400, json=lag, count=2)
    assert asset_task(group_id).run()["status"] == "Active"
    assert emulator.stats()["assets_created"] == 1


@pytest.mark.parametrize("field", ["timeout", "poll_interval"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), 1e300, "soon"])
def test_bad_wait_is_refused_when_the_dag_is_parsed(field: str, value: Any) -> None:
    with pytest.raises(SeedanceRequestError, match=field):
        SeedanceCreateAssetOperator(task_id="asset", group_id="group-1", name="hero", source=LINK, **{field: value})


def test_base64_of_a_source_is_in_no_message(emulator: Emulator, group_id: str) -> None:
    content = base64.b64encode(picture()).decode()
    task = asset_task(group_id, source=content)
    with pytest.raises(SeedanceRequestError) as caught:
        task.run()
    assert content[:60] not in str(caught.value)


def test_link_that_has_expired_finds_its_asset_and_pays_for_no_other(emulator: Emulator, group_id: str) -> None:
    dated = f"{LINK}?X-Amz-Expires=60&X-Amz-Signature=x&X-Amz-Date="
    first = asset_task(group_id, f"{dated}29990101T000000Z").run()
    assert asset_task(group_id, f"{dated}20260101T000000Z").run() == first
    paid = emulator.stats()["asset_calls_billed"]
    with pytest.raises(SeedanceRequestError, match="expired at 2026-01-01T00:01:00") as caught:
        asset_task(group_id, f"{dated}20260101T000000Z", name="another").run()
    assert caught.value.field == "source"
    assert emulator.stats()["asset_calls_billed"] == paid


# -- hook


def test_everything_can_be_listed_and_deleted(emulator: Emulator, group_id: str) -> None:
    hook = SeedanceHook()
    source = read_source(LINK)
    ids = {hook.create_asset(group_id, f"hero-{number}", source) for number in range(3)}
    assert {asset.asset_id for asset in hook.list_assets(group_id=group_id)} == ids
    assert [asset.name for asset in hook.list_assets(group_id=group_id, name="hero-1")] == ["hero-1"]
    assert [group.name for group in hook.list_asset_groups()] == ["my-project"]
    hook.delete_asset(min(ids))
    with pytest.raises(SeedanceNotFoundError):
        hook.get_asset(min(ids))
    assert {asset.asset_id for asset in hook.list_assets(group_id=group_id)} == ids - {min(ids)}


def test_more_assets_than_a_page_holds_are_all_listed(emulator: Emulator, group_id: str) -> None:
    hook = SeedanceHook()
    ids = {hook.create_asset(group_id, f"hero-{number}", read_source(LINK)) for number in range(5)}
    assert {asset.asset_id for asset in hook.list_assets(group_id=group_id, page_size=2)} == ids


def test_missing_route_says_what_to_do_instead(emulator: Emulator, group_id: str) -> None:
    missing = {"error": {"message": "Invalid URL (POST /volc/asset/DeleteAsset)", "type": "x", "code": ""}}
    emulator.fault(route="DeleteAsset", status=404, json=missing)
    with pytest.raises(SeedanceRequestError, match=r"lacks this route.*console"):
        SeedanceHook().delete_asset("asset-1")


def test_error_that_comes_with_http_200_is_an_error(emulator: Emulator) -> None:
    body = {"ResponseMetadata": {"RequestId": "r-12345", "Error": {"Code": "NotFound.asset_id", "Message": "gone"}}}
    emulator.fault(route="GetAsset", status=200, json=body)
    with pytest.raises(SeedanceNotFoundError):
        SeedanceHook().get_asset("asset-1")


def test_another_key_sees_none_of_it(emulator: Emulator, group_id: str, connect: Callable[..., None]) -> None:
    made = asset_task(group_id).run()
    emulator.set_api_keys("sk-emulator", "sk-other-team")
    connect(host=emulator.url, password="sk-other-team")
    hook = SeedanceHook()
    assert list(hook.list_asset_groups()) == []
    assert list(hook.list_assets()) == []
    with pytest.raises(SeedanceNotFoundError):
        hook.get_asset(made["asset_id"])
    with pytest.raises(SeedanceError):
        Task(
            lambda: SeedanceGenerateVideoOperator(
                task_id="g", prompt="@image1", reference_images=[made["asset_uri"]], resolution="480p", duration=4
            )
        ).run()


# -- use


def test_asset_is_used_in_a_generation(emulator: Emulator, group_id: str) -> None:
    made = asset_task(group_id, uri(picture())).run()
    task = Task(
        lambda: SeedanceGenerateVideoOperator(
            task_id="g",
            prompt="@image1 walks",
            reference_images=[made["asset_uri"]],
            resolution="480p",
            duration=4,
            poll_interval=0.1,
        )
    )
    assert task.run()["video_url"]


@pytest.mark.parametrize("way", [{"deferrable": True}, {"deferrable": False}])
def test_sensor_waits_for_an_asset_created_elsewhere(emulator: Emulator, group_id: str, way: dict[str, Any]) -> None:
    made = asset_task(group_id, wait_until_active=False).run()
    sensor = Task(lambda: SeedanceAssetSensor(task_id="wait", asset=made, poke_interval=0.05, **way))
    assert sensor.run() == {**made, "status": "Active"}


@pytest.mark.parametrize("way", [{"deferrable": True}, {"deferrable": False}])
def test_sensor_times_out_as_sensors_do(emulator: Emulator, group_id: str, way: dict[str, Any]) -> None:
    emulator.fault(route="asset_fate", stuck=True)
    made = asset_task(group_id, wait_until_active=False).run()
    sensor = Task(lambda: SeedanceAssetSensor(task_id="wait", asset=made, poke_interval=0.05, timeout=0.2, **way))
    with pytest.raises(SeedanceSensorTimeoutError, match=made["asset_id"]) as caught:
        sensor.run()
    assert "billed" not in str(caught.value)


def test_delete_is_fit_for_a_teardown(emulator: Emulator, group_id: str) -> None:
    made = asset_task(group_id).run()
    for _ in range(2):  # gone already is no error
        Task(lambda: SeedanceDeleteAssetOperator(task_id="delete", asset=made)).run()
    assert emulator.assets() == []


def test_nothing_of_a_source_is_remembered_or_deferred(emulator: Emulator, group_id: str) -> None:
    task = asset_task(group_id, uri(picture()))
    task.run()
    assert task.store is not None
    stored = str([task.store.values, [deferred.trigger.serialize() for deferred in task.deferrals], task.events])
    assert "base64" not in stored
    assert uri(picture())[40:80] not in stored


def test_list_that_repeats_its_page_is_read_no_further(emulator: Emulator, group_id: str) -> None:
    page = {"Items": [{"Id": "asset-1", "GroupId": group_id, "AssetType": "Image"}], "TotalCount": 999}
    emulator.fault(route="ListAssets", status=200, json=page, count=0)
    assert [asset.asset_id for asset in SeedanceHook().list_assets(page_size=1)] == ["asset-1"]
    assert emulator.stats()["requests"]["ListAssets"] == 2 * 2  # two pages, with the group's type and without it
