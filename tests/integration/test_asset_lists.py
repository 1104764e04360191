"""Groups and assets on services whose asset routes differ: short pages, demands, lags, no lists at all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceNotFoundError,
    SeedanceRequestError,
)
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.assets import SeedanceDeleteAssetOperator
from tests.asset_tasks import asset_task, group_task, picture, uri
from tests.harness import Task

STREAM = "https://example.com/stream"
NO_LISTS = ["ListAssets", "ListAssetGroups"]
DOCUMENTED_ONLY = [*NO_LISTS, "GetAsset", "DeleteAsset"]
EMPTY = {"PageNumber": 1, "PageSize": 100, "TotalCount": 0, "Items": []}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"page_cap": 3},
        {"demand_group_type": True},
        {"filters": "ignore"},
        {"shape": "wrapped"},
        {"shape": "wrapped", "page_cap": 1, "demand_group_type": True, "filters": "ignore"},
    ],
)
def test_every_day_finds_what_the_first_created(emulator: Emulator, options: dict[str, Any]) -> None:
    hook = SeedanceHook()
    emulator.asset_options(**options)
    target = group_task("film").run()
    for number in range(7):  # newer ones come first, and fill the first pages
        other = hook.create_asset_group(f"film-{number}")
    made = asset_task(target).run()
    for number in range(7):
        asset_task(target, name=f"hero-{number}").run()
    asset_task(other).run()
    before = emulator.stats()["asset_calls_billed"]
    for day in ("day_2", "day_3"):
        assert group_task("film", run_id=day).run() == target
        assert asset_task(target, run_id=day).run() == made
    assert emulator.stats()["asset_calls_billed"] == before


def test_first_group_of_all_is_created_although_the_channel_demands_the_type(emulator: Emulator) -> None:
    emulator.asset_options(demand_group_type=True)
    target = group_task().run()
    assert asset_task(target).run()["group_id"] == target


def test_group_that_the_type_hides_is_found_although_others_are_shown(emulator: Emulator) -> None:
    old = SeedanceHook().create_asset_group("film")
    shown = {**EMPTY, "TotalCount": 1, "Items": [{"Id": "group-1", "Name": "film-new", "GroupType": "AIGC"}]}
    emulator.fault(route="ListAssetGroups", status=200, json=shown)
    assert group_task("film").run() == old


def test_list_that_fails_is_not_taken_for_an_empty_one(emulator: Emulator) -> None:
    emulator.fault(route="ListAssetGroups", status=400, json={"code": "invalid_request", "message": "x", "data": None})
    with pytest.raises(SeedanceRequestError):
        group_task().run()
    assert emulator.stats()["asset_groups_created"] == 0


def test_proxys_word_about_a_group_is_not_taken_for_an_empty_list(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="ListAssets", status=404, json={"message": "consumer group not found"}, count=0)
    with pytest.raises(SeedanceNotFoundError):
        asset_task(group_id).run()
    assert emulator.stats()["assets_created"] == 0


def test_asset_of_another_group_is_not_handed_out(emulator: Emulator, group_id: str) -> None:
    emulator.asset_options(filters="ignore")
    other = group_task("other").run()
    assert asset_task(group_id).run()["asset_id"] != asset_task(other).run()["asset_id"]
    assert {asset["group_id"] for asset in emulator.assets()} == {group_id, other}


def test_list_obeys_name_and_type_where_the_service_does_not(emulator: Emulator, group_id: str) -> None:
    emulator.asset_options(filters="ignore")
    asset_task(group_id, STREAM, asset_type="Video", name="one").run()
    asset_task(group_id, STREAM, asset_type="Audio", name="two").run()
    hook = SeedanceHook()
    assert [asset.asset_type for asset in hook.list_assets(asset_type="Audio")] == ["Audio"]
    assert [asset.asset_type for asset in hook.list_assets(name="ONE")] == ["Video"]
    assert list(hook.list_assets(group_id="group-other")) == []
    assert list(hook.list_asset_groups("nothing")) == []


def test_oldest_is_told_by_the_time_of_its_creation(emulator: Emulator) -> None:
    items = [
        {"Id": "group-a", "Name": "film", "CreateTime": "2026-01-01T00:00:00Z"},
        {"Id": "group-b", "Name": "film", "CreateTime": "2024-01-01T00:00:00Z"},
    ]
    emulator.fault(route="ListAssetGroups", status=200, json={**EMPTY, "TotalCount": 2, "Items": items}, count=0)
    assert group_task("film").run() == "group-b"


def test_types_of_one_link_are_two_assets_and_each_is_found_again(emulator: Emulator, group_id: str) -> None:
    ids: dict[str, str] = {}
    for day in ("day_1", "day_2"):
        for kind in ("Video", "Audio"):
            made = asset_task(group_id, STREAM, asset_type=kind, run_id=day).run()["asset_id"]
            assert ids.setdefault(kind, made) == made
    assert {asset["id"]: asset["type"] for asset in emulator.assets()} == {ids["Video"]: "Video", ids["Audio"]: "Audio"}


def test_failed_asset_does_not_block_its_name(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", fail={"code": "DownloadFailed", "message": "HTTP 503"}, count=2)
    for day in ("day_1", "day_2"):
        with pytest.raises(SeedanceRequestError, match="DownloadFailed"):
            asset_task(group_id, run_id=day).run()
    mended = asset_task(group_id, run_id="day_3").run()
    assert asset_task(group_id, run_id="day_4").run() == mended
    assert emulator.stats()["assets_created"] == 3


def test_bytes_that_were_measured_and_refused_are_not_paid_for_again(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", fail={"code": "PixelCountTooLarge", "message": "x"})
    for day in ("day_1", "day_2"):
        with pytest.raises(SeedanceRequestError, match="PixelCountTooLarge"):
            asset_task(group_id, uri(picture()), run_id=day).run()
    assert emulator.stats()["assets_created"] == 1
    assert asset_task(group_id, uri(picture()), run_id="day_3", if_exists="create").run()["status"] == "Active"


def test_link_whose_file_was_refused_is_tried_again_since_the_file_may_be_another(
    emulator: Emulator, group_id: str
) -> None:
    emulator.fault(route="asset_fate", fail={"code": "PixelCountTooLarge", "message": "x"})
    with pytest.raises(SeedanceRequestError, match="PixelCountTooLarge"):
        asset_task(group_id, run_id="day_1").run()
    assert asset_task(group_id, run_id="day_2").run()["status"] == "Active"


@pytest.mark.parametrize("if_exists", ["reuse", "create"])
def test_long_name_of_a_second_asset_is_found_again(emulator: Emulator, group_id: str, if_exists: str) -> None:
    emulator.fault(route="asset_fate", fail={"code": "DownloadFailed", "message": "HTTP 503"})
    name = "n" * 51
    with pytest.raises(SeedanceRequestError):
        asset_task(group_id, name=name).run()
    made = asset_task(group_id, name=name, if_exists=if_exists, run_id="day_2").run()
    assert asset_task(group_id, name=name, run_id="day_3").run() == made


# -- two runs at once


def test_run_that_comes_second_takes_the_asset_of_the_first(emulator: Emulator, group_id: str) -> None:
    first = asset_task(group_id).run()
    emulator.fault(route="ListAssets", status=200, json=EMPTY, count=6)  # what the second run sees first: nothing
    assert asset_task(group_id, run_id="other").run() == first
    assert emulator.stats()["assets_created"] == 1


def test_run_that_comes_second_may_be_retried_until_the_list_shows_the_first(emulator: Emulator, group_id: str) -> None:
    first = asset_task(group_id).run()
    emulator.asset_options(list_lag=3600)
    second = asset_task(group_id, run_id="other")
    with pytest.raises(SeedanceNotFoundError, match="taken"):
        second.run()
    assert second.store is not None
    assert second.store.values == {}
    emulator.asset_options(list_lag=0)
    assert second.run() == first
    assert emulator.stats()["assets_created"] == 1


def test_runs_at_once_end_with_one_asset(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="ListAssets", delay=0.05, count=8)
    results: list[Any] = []

    def run(number: int) -> None:
        results.append(asset_task(group_id, run_id=f"run_{number}", deferrable=False).run())

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len({result["asset_id"] for result in results}) == 1
    assert emulator.stats()["assets_created"] == 1


def test_groups_at_once_do_not_fail_and_the_next_run_takes_one_of_them(emulator: Emulator) -> None:
    emulator.fault(route="ListAssetGroups", status=200, json=EMPTY, count=4)
    made = {group_task(run_id=f"run_{number}").run() for number in range(2)}
    assert len(made) == 2
    assert group_task(run_id="day_2").run() == group_task(run_id="day_3").run() in made
    assert emulator.stats()["asset_groups_created"] == 2


def test_create_in_two_tasks_of_a_run_and_after_clearing_is_another_each_time(
    emulator: Emulator, group_id: str
) -> None:
    first = asset_task(group_id, if_exists="create")
    second = asset_task(group_id, if_exists="create", task_id="second")
    ids = {first.run()["asset_id"], second.run()["asset_id"]}
    first.clear()
    ids.add(first.run()["asset_id"])
    assert len(ids) == 3
    assert emulator.stats()["assets_created"] == 3


# -- lags


@pytest.mark.parametrize("fault", [{"route": "asset_fate", "visible_after": 600}, {"route": "GetAsset", "status": 503}])
def test_id_alone_is_returned_if_nothing_else_is_known_yet(
    emulator: Emulator, group_id: str, fault: dict[str, Any]
) -> None:
    emulator.asset_options(list_lag=3600)
    emulator.fault(**fault, **({} if fault["route"] == "asset_fate" else {"count": 0}))
    task = asset_task(group_id, wait_until_active=False)
    made = task.run()
    assert made["asset_id"] == emulator.assets()[0]["id"]
    assert made["group_id"] == group_id
    assert emulator.stats()["assets_created"] == 1


def test_group_that_is_too_new_to_list_in_is_waited_out(emulator: Emulator, group_id: str) -> None:
    lag = {"code": "fail_to_fetch_task", "message": f"group {group_id} not found", "data": None}
    emulator.fault(route="ListAssets", status=400, json=lag, count=2)
    emulator.fault(route="CreateAsset", status=400, json=lag, count=2)
    assert asset_task(group_id).run()["status"] == "Active"


def test_new_group_is_given_the_time_to_settle(emulator: Emulator) -> None:
    task = group_task()
    task.run()
    waited = task.clock.skipped  # type: ignore[attr-defined]
    assert waited > 2
    again = group_task()
    again.run()
    assert again.clock.skipped == 0  # type: ignore[attr-defined]


# -- missing routes


@pytest.mark.parametrize("missing", [NO_LISTS, DOCUMENTED_ONLY])
@pytest.mark.parametrize("deferrable", [True, False])
def test_service_without_lists_can_still_create_each_day(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, missing: list[str], deferrable: bool
) -> None:
    emulator.asset_options(missing=missing)
    for day in ("day_1", "day_2"):
        target = group_task(run_id=day).run()
        asset_task(target, run_id=day, deferrable=deferrable).run()
        made = asset_task(target, name="again", run_id=f"{day}_again", deferrable=deferrable).run()
        assert made["asset_id"] in {asset["id"] for asset in emulator.assets()}
        assert made["status"] == ("Active" if missing == NO_LISTS else "")
    assert emulator.stats()["asset_calls_billed"] == 6
    assert "has no list of groups named 'my-project'" in caplog.text
    assert "has no list of assets named 'hero'" in caplog.text
    assert ("can neither get nor list asset" in caplog.text) == (missing == DOCUMENTED_ONLY)


def test_service_without_lists_takes_the_same_content_in_the_same_group_again(
    emulator: Emulator, group_id: str
) -> None:
    emulator.asset_options(missing=DOCUMENTED_ONLY)
    ids = {asset_task(group_id, run_id=f"day_{day}").run()["asset_id"] for day in range(3)}
    assert len(ids) == 3


def test_route_that_is_not_implemented_is_a_missing_one(emulator: Emulator) -> None:
    body = {"code": "not_implemented", "message": "not implemented", "data": None}
    emulator.fault(route="ListAssetGroups", status=501, json=body, count=0)
    assert group_task().run()


@pytest.mark.parametrize("choice", [{"if_exists": "fail"}, {"if_changed": "fail"}])
def test_without_lists_what_depends_on_them_is_refused_before_it_is_paid_for(
    emulator: Emulator, group_id: str, choice: dict[str, str]
) -> None:
    emulator.asset_options(missing=NO_LISTS)
    with pytest.raises(SeedanceRequestError, match="has no list") as caught:
        asset_task(group_id, **choice).run()
    assert caught.value.field in choice
    if "if_exists" in choice:
        with pytest.raises(SeedanceRequestError, match="has no list"):
            group_task(**choice).run()
    assert emulator.stats()["asset_calls_billed"] == 1


@pytest.mark.parametrize("what", ["asset", "group"])
def test_without_lists_a_lost_response_waits_for_a_person(emulator: Emulator, group_id: str, what: str) -> None:
    emulator.asset_options(missing=DOCUMENTED_ONLY)
    emulator.fault(route="asset", drop="after_body", skip=1)
    task = asset_task(group_id) if what == "asset" else group_task("another")
    for _ in range(3):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match="Starrise console"):
            task.run()
    assert emulator.stats()["asset_calls_billed"] == 2
    task.clear()
    assert task.run()
    assert emulator.stats()["asset_calls_billed"] == 3


@pytest.mark.parametrize("deferrable", [True, False])
def test_asset_that_can_be_listed_alone_is_waited_for_by_listing(
    emulator: Emulator, group_id: str, deferrable: bool
) -> None:
    emulator.asset_options(missing=["GetAsset"])
    assert asset_task(group_id, deferrable=deferrable).run()["status"] == "Active"
    emulator.fault(route="asset_fate", fail={"code": "DownloadFailed", "message": "x"})
    with pytest.raises(SeedanceRequestError, match="DownloadFailed"):
        asset_task(group_id, name="other", deferrable=deferrable).run()


@pytest.mark.parametrize("deferrable", [True, False])
def test_asset_that_is_lost_to_queries_is_waited_for_by_listing(
    emulator: Emulator, group_id: str, deferrable: bool
) -> None:
    emulator.fault(route="asset_fate", lose=True)
    assert asset_task(group_id, deferrable=deferrable, poll_interval=5).run()["status"] == "Active"


# -- deletion


def test_group_is_not_taken_for_an_asset_that_is_gone(emulator: Emulator, group_id: str) -> None:
    task = Task(lambda: SeedanceDeleteAssetOperator(task_id="delete", asset=group_id))
    with pytest.raises(SeedanceRequestError, match="the id of an asset group"):
        task.run()


def test_source_of_a_changed_file_is_another_asset(emulator: Emulator, group_id: str, tmp_path: Path) -> None:
    path = tmp_path / "hero.png"
    ids = []
    for colour in ("red", "blue", "red"):
        path.write_bytes(picture(colour=colour))
        ids.append(asset_task(group_id, str(path)).run()["asset_id"])
    assert ids[0] == ids[2] != ids[1]
