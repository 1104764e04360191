"""Groups and assets are paid for once: lost responses, dead workers, retries and clearing, lists that lag."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance.api.assets import content_name
from airflow_provider_seedance.api.fingerprint import digest
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTimeoutError,
)
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from tests.asset_tasks import LINK, asset_task, group_task, picture
from tests.harness import Task, WorkerCrash


@pytest.mark.parametrize("fault", [{"drop": "after_body"}, {"status": 502, "body": "<html>", "accept": True}])
def test_create_whose_answer_was_lost_is_found_by_listing(
    emulator: Emulator, group_id: str, fault: dict[str, Any]
) -> None:
    emulator.fault(route="CreateAsset", **fault)
    assert asset_task(group_id).run()["status"] == "Active"
    emulator.fault(route="CreateAssetGroup", **fault)
    assert group_task("another").run()
    stats = emulator.stats()
    assert (stats["assets_created"], stats["asset_groups_created"]) == (1, 2)


def die_at(task: Task, point: str) -> None:
    """Have the worker die at one of its writes: before or after the intent, before or after the id."""
    store = task.store
    assert store is not None

    def crash_on(intent: bool) -> Callable[[Any], None]:
        def crash(value: Any) -> None:
            if (value["id"] is None) == intent:
                store.before_set = store.after_set = lambda value: None
                raise WorkerCrash

        return crash

    match point:
        case "before":
            store.before_set = crash_on(intent=True)
        case "after_intent":
            store.after_set = crash_on(intent=True)
        case "after_create":
            store.before_set = crash_on(intent=False)
        case "after_id":
            store.after_set = crash_on(intent=False)


#: Points at which a worker dies without leaving doubt: nothing was created, or it can be listed.
POINTS = ["before", "after_create", "after_id"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("if_exists", ["reuse", "create"])
def test_worker_that_dies_is_followed_by_one_that_pays_nothing_again(
    emulator: Emulator, group_id: str, point: str, if_exists: str
) -> None:
    task = asset_task(group_id, if_exists=if_exists)
    die_at(task, point)
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.run()["status"] == "Active"
    assert emulator.stats()["assets_created"] == 1


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("if_exists", ["reuse", "create"])
def test_worker_that_dies_over_a_group_is_followed_by_one_that_pays_nothing_again(
    emulator: Emulator, point: str, if_exists: str
) -> None:
    task = group_task(if_exists=if_exists)
    die_at(task, point)
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.run() == emulator.asset_groups()[0]["id"]
    assert emulator.stats()["asset_groups_created"] == 1


@pytest.mark.parametrize("what", ["asset", "group"])
def test_worker_that_dies_before_anything_can_be_listed_stops_until_a_person_clears(
    emulator: Emulator, group_id: str, what: str
) -> None:
    task = asset_task(group_id) if what == "asset" else group_task("another")
    die_at(task, "after_intent")
    with pytest.raises(WorkerCrash):
        task.run()
    for _ in range(2):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match=rf"{what} may exist.*Clearing the task looks again"):
            task.run()
    assert emulator.stats()["asset_calls_billed"] == 1
    task.clear()
    assert task.run()
    assert emulator.stats()["asset_calls_billed"] == 2


def test_creation_that_is_listed_late_is_found_by_the_next_try(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="ListAssetGroups", status=200, json={"Items": [], "TotalCount": 0}, count=0)
    emulator.fault(route="CreateAssetGroup", drop="after_body")
    task = group_task("another")
    with pytest.raises(SeedanceAmbiguousSubmissionError):
        task.run()
    emulator.clear_faults()
    assert task.run() in {group["id"] for group in emulator.asset_groups()}
    assert emulator.stats()["asset_groups_created"] == 2


@pytest.mark.parametrize("cleared", [True, False])
def test_neither_a_retry_nor_clearing_pays_for_what_was_not_delivered(
    emulator: Emulator, group_id: str, cleared: bool
) -> None:
    emulator.fault(route="asset_fate", stuck=True)
    task = asset_task(group_id, if_exists="create", timeout=1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    emulator.finish()
    if cleared:
        task.clear()
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    assert emulator.stats()["assets_created"] == 1


def test_clearing_creates_an_asset_that_is_gone_again(emulator: Emulator, group_id: str) -> None:
    task = asset_task(group_id)
    first = task.run()
    SeedanceHook().delete_asset(first["asset_id"])
    task.clear()
    assert task.run()["asset_id"] != first["asset_id"]
    assert emulator.stats()["assets_created"] == 2


def test_refused_create_leaves_no_memory(emulator: Emulator, group_id: str) -> None:
    emulator.fault(
        route="CreateAsset", status=403, json={"code": "insufficient_user_quota", "message": "x", "data": None}
    )
    task = asset_task(group_id)
    with pytest.raises(SeedanceError):
        task.run()
    assert task.store is not None
    assert task.store.values == {}
    assert task.run()["status"] == "Active"


def created(emulator: Emulator, what: str) -> int:
    stats = emulator.stats()
    return int(stats["assets_created"] if what == "asset" else stats["asset_groups_created"] - 1)


def the_task(what: str, group_id: str, **arguments: Any) -> Task:
    return asset_task(group_id, **arguments) if what == "asset" else group_task("another", **arguments)


def the_id(result: Any) -> str:
    return str(result["asset_id"] if isinstance(result, dict) else result)


def die_at_write(task: Task, number: int, when: str) -> None:
    """Have the worker die before or after its write of this number, from 1."""
    store = task.store
    assert store is not None
    left = [number]

    def count(value: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise WorkerCrash

    setattr(store, when, count)


@pytest.mark.parametrize("what", ["asset", "group"])
@pytest.mark.parametrize("if_exists", ["reuse", "create"])
@pytest.mark.parametrize("lag", [0, 3600])
@pytest.mark.parametrize("when", ["before_set", "after_set"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("person", ["retries", "clears"])
def test_no_death_of_a_worker_makes_a_try_pay_twice(
    emulator: Emulator, group_id: str, what: str, if_exists: str, lag: int, when: str, number: int, person: str
) -> None:
    emulator.asset_options(list_lag=lag)
    task = the_task(what, group_id, if_exists=if_exists)
    die_at_write(task, number, when)
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.store is not None
    task.store.before_set = task.store.after_set = lambda value: None
    is_delivered = (task.store.get("seedance_asset") or {}).get("phase") == "delivered"
    if person == "clears":
        task.clear()
    for _ in range(2):
        with contextlib.suppress(SeedanceAmbiguousSubmissionError, SeedanceNotFoundError):
            task.run()
    wants_another = is_delivered and person == "clears" and (if_exists == "create" or (what == "group" and lag))
    assert created(emulator, what) <= 1 + wants_another
    emulator.asset_options(list_lag=0)
    task.clear()  # whoever reads the message of a lost response and clears gets what was created, or a first one
    assert the_id(task.run()) in {made["id"] for made in (*emulator.assets(), *emulator.asset_groups())}
    assert created(emulator, what) <= 1 + wants_another + (if_exists == "create")


@pytest.mark.parametrize("what", ["asset", "group"])
@pytest.mark.parametrize("if_exists", ["reuse", "create"])
def test_lost_response_and_a_lagging_list_are_not_paid_for_again(
    emulator: Emulator, group_id: str, what: str, if_exists: str
) -> None:
    emulator.asset_options(list_lag=3600)
    emulator.fault(route="CreateAsset" if what == "asset" else "CreateAssetGroup", drop="after_body")
    task = the_task(what, group_id, if_exists=if_exists)
    for _ in range(3):
        with pytest.raises(SeedanceAmbiguousSubmissionError):
            task.run()
    assert created(emulator, what) == 1
    emulator.asset_options(list_lag=0)
    assert the_id(task.run()) in {made["id"] for made in (*emulator.assets(), *emulator.asset_groups())}
    assert created(emulator, what) == 1


@pytest.mark.parametrize("what", ["asset", "group"])
@pytest.mark.parametrize("missing", [[], ["ListAssets", "ListAssetGroups", "GetAsset"]])
def test_id_that_a_failed_response_names_is_looked_up_and_clearing_alone_pays(
    emulator: Emulator, group_id: str, what: str, missing: list[str]
) -> None:
    emulator.asset_options(missing=missing)
    body = {"error": {"message": "no", "type": "x", "code": "do_request_failed"}, "Id": f"{what}-unknown"}
    emulator.fault(route="CreateAsset" if what == "asset" else "CreateAssetGroup", status=500, json=body)
    task = the_task(what, group_id)
    for _ in range(3):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match=f"{what}-unknown"):
            task.run()
    assert created(emulator, what) == 0
    task.clear()
    assert task.run()
    assert created(emulator, what) == 1


@pytest.mark.parametrize("what", ["asset", "group"])
def test_id_that_a_failed_response_names_is_taken_if_the_service_has_it(
    emulator: Emulator, group_id: str, what: str
) -> None:
    emulator.asset_options(list_lag=3600)
    hook = SeedanceHook()
    made = the_id(the_task(what, group_id).run())
    body = {"error": {"message": "no", "type": "x", "code": "do_request_failed"}, "Id": made}
    emulator.fault(route="CreateAsset" if what == "asset" else "CreateAssetGroup", status=500, json=body)
    task = the_task(what, group_id)
    with pytest.raises(SeedanceAmbiguousSubmissionError, match=made):
        task.run()
    emulator.asset_options(list_lag=0)
    assert the_id(task.run()) == made
    assert created(emulator, what) == 1
    hook.close()


@pytest.mark.parametrize("if_exists", ["reuse", "create"])
def test_without_a_record_the_name_keeps_an_asset_from_being_paid_twice(
    emulator: Emulator, group_id: str, if_exists: str
) -> None:
    task = asset_task(group_id, if_exists=if_exists)
    task.store = None  # as before Airflow 3.3
    first = task.run()
    assert task.run() == first
    assert emulator.stats()["assets_created"] == 1


@pytest.mark.parametrize("waits", [True, False])
def test_delivered_asset_that_is_gone_is_not_handed_out_by_a_retry(
    emulator: Emulator, group_id: str, waits: bool
) -> None:
    task = asset_task(group_id, wait_until_active=waits)
    first = task.run()
    SeedanceHook().delete_asset(first["asset_id"])
    task.clock = type(task.clock)()
    task.clock.sleep(30)  # beyond the lag that a new asset may have
    with pytest.raises(SeedanceNotFoundError, match=rf"{first['asset_id']}.*Clearing the task"):
        task.run()
    assert emulator.stats()["assets_created"] == 1
    task.clear()
    assert task.run()["asset_id"] != first["asset_id"]


def test_paid_asset_that_the_service_denies_is_paid_for_again_by_a_person_alone(
    emulator: Emulator, group_id: str
) -> None:
    emulator.fault(route="asset_fate", stuck=True)
    task = asset_task(group_id, timeout=40, poll_interval=5)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    [made] = [asset["id"] for asset in emulator.assets()]
    SeedanceHook().delete_asset(made)
    task.clock.sleep(30)
    with pytest.raises(SeedanceNotFoundError):  # a retry
        task.run()
    task.clear()
    for _ in range(2):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match=made):
            task.run()
    assert emulator.stats()["assets_created"] == 1
    task.clear()
    assert task.run()["asset_id"] != made
    assert emulator.stats()["assets_created"] == 2


def test_failed_asset_is_paid_for_again_by_a_person_alone(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", fail={"code": "DownloadFailed", "message": "x"})
    task = asset_task(group_id)
    for _ in range(2):
        with pytest.raises(SeedanceRequestError, match="DownloadFailed"):
            task.run()
    assert emulator.stats()["assets_created"] == 1
    task.clear()
    assert task.run()["status"] == "Active"
    assert emulator.stats()["assets_created"] == 2


def test_clearing_after_the_type_was_edited_does_not_hand_out_the_other_type(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", stuck=True)
    link = "https://example.com/stream"
    task = asset_task(group_id, link, asset_type="Video", timeout=1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    edited = asset_task(group_id, link, asset_type="Audio")
    task.make = edited.make
    task.clear()
    made = task.run()["asset_id"]
    assert {asset["id"]: asset["type"] for asset in emulator.assets()}[made] == "Audio"


def test_source_that_is_gone_does_not_lose_what_was_paid_for(emulator: Emulator, group_id: str, tmp_path: Path) -> None:
    path = tmp_path / "hero.png"
    path.write_bytes(picture())
    emulator.fault(route="asset_fate", stuck=True)
    task = asset_task(group_id, str(path), timeout=1)
    with pytest.raises(SeedanceTimeoutError) as caught:
        task.run()
    path.unlink()
    [made] = [asset["id"] for asset in emulator.assets()]
    assert made in str(caught.value)
    with pytest.raises(SeedanceTimeoutError, match=made):
        task.run()
    task.clear()
    with pytest.raises(SeedanceRequestError, match="source"):
        task.run()
    assert emulator.stats()["assets_created"] == 1


@pytest.mark.parametrize("what", ["asset", "group"])
def test_list_that_fails_after_a_lost_response_says_what_may_be_billed_and_a_retry_lists_again(
    emulator: Emulator, group_id: str, what: str
) -> None:
    create, listing = ("CreateAsset", "ListAssets") if what == "asset" else ("CreateAssetGroup", "ListAssetGroups")
    emulator.fault(route=create, drop="after_body")
    emulator.fault(route=listing, status=503, body="<html>", count=0, skip=2)
    task = the_task(what, group_id)
    for _ in range(2):
        with pytest.raises(SeedanceServiceError, match=rf"its response was lost: the .*{what} may exist and be billed"):
            task.run()
    emulator.clear_faults()
    assert task.run()
    assert created(emulator, what) == 1


def test_list_that_is_refused_after_a_lost_response_leaves_it_to_a_person(emulator: Emulator, group_id: str) -> None:
    refusal = {"error": {"message": "no", "type": "x", "code": "access_denied"}}
    emulator.fault(route="CreateAsset", drop="after_body")
    emulator.fault(route="ListAssets", status=403, json=refusal, count=0, skip=2)
    task = asset_task(group_id)
    for _ in range(2):
        with pytest.raises(SeedanceAmbiguousSubmissionError):
            task.run()
    emulator.clear_faults()
    task.clear()
    assert task.run()
    assert emulator.stats()["assets_created"] == 1


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_asset_that_finished_is_not_lost_to_a_failed_query(emulator: Emulator, group_id: str, outcome: str) -> None:
    made = asset_task(group_id).run()["asset_id"]
    emulator.fault(route="GetAsset", status=503, count=0)
    event = {
        "version": 1,
        "asset_id": made,
        "outcome": outcome,
        "reason": "x",
        "message": f"Asset {made}: DownloadFailed",
    }
    operator, context = asset_task(group_id).start()
    if outcome == "succeeded":
        assert operator.execute_complete(context, event)["asset_id"] == made  # type: ignore[attr-defined]
    else:
        with pytest.raises(SeedanceRequestError, match="DownloadFailed"):
            operator.execute_complete(context, event)  # type: ignore[attr-defined]


def test_asset_that_failed_after_it_was_delivered_is_not_paid_for_by_a_retry(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", fail={"code": "DownloadFailed", "message": "x"})
    task = asset_task(group_id, wait_until_active=False)
    first = task.run()
    emulator.finish()
    assert task.run()["asset_id"] == first["asset_id"]
    assert emulator.stats()["assets_created"] == 1


@pytest.mark.parametrize("what", ["asset", "group"])
def test_what_existed_before_a_lost_call_is_not_taken_for_what_it_created(
    emulator: Emulator, group_id: str, what: str
) -> None:
    the_task(what, group_id).run()
    route = "CreateAsset" if what == "asset" else "CreateAssetGroup"
    emulator.fault(route=route, drop="after_body", accept=False)
    with pytest.raises(SeedanceAmbiguousSubmissionError):
        the_task(what, group_id, if_exists="create", run_id="other").run()
    assert created(emulator, what) == 1


def test_clearing_goes_on_with_a_paid_asset_that_the_service_has_no_route_to_ask_for(
    emulator: Emulator, group_id: str
) -> None:
    emulator.asset_options(missing=["ListAssets", "GetAsset"])
    task = asset_task(group_id)
    die_at_write(task, 2, "after_set")
    with pytest.raises(WorkerCrash):
        task.run()
    task.clear()
    assert task.run()["asset_id"] == emulator.assets()[0]["id"]
    assert emulator.stats()["assets_created"] == 1


def test_id_that_a_failed_response_names_outlives_a_worker_that_dies_while_it_lists(
    emulator: Emulator, group_id: str
) -> None:
    body = {"error": {"message": "no", "type": "x", "code": "do_request_failed"}, "Id": "asset-unknown"}
    emulator.fault(route="CreateAsset", status=500, json=body)
    task = asset_task(group_id)
    die_at_write(task, 3, "before_set")
    with pytest.raises(WorkerCrash):
        task.run()
    with pytest.raises(SeedanceAmbiguousSubmissionError, match="asset-unknown"):
        task.run()


def test_one_clearing_does_not_let_the_retries_after_it_pay(slow_emulator: Emulator) -> None:
    group = SeedanceHook().create_asset_group("my-project")
    slow_emulator.fault(route="asset_fate", fail={"code": "DownloadFailed", "message": "x"})
    task = asset_task(group, timeout=1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    task.clear()
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    slow_emulator.finish()
    with pytest.raises(SeedanceRequestError, match="DownloadFailed"):
        task.run()
    assert slow_emulator.stats()["assets_created"] == 1


def test_somebody_elses_not_found_is_not_the_services(emulator: Emulator, group_id: str) -> None:
    emulator.fault(route="asset_fate", stuck=True)
    task = asset_task(group_id, timeout=1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    emulator.asset_options(list_lag=3600)
    emulator.fault(route="GetAsset", status=404, json={"detail": "Not Found"}, count=0)
    task.clear()
    task.clock.sleep(30)
    with pytest.raises(SeedanceNotFoundError):
        task.run()
    assert task.store is not None
    assert task.store.get("seedance_asset")["phase"] == "submitted"
    assert emulator.stats()["assets_created"] == 1


def test_only_a_person_has_an_asset_that_went_missing_before_it_was_delivered_created_again(
    emulator: Emulator, group_id: str
) -> None:
    emulator.fault(route="asset_fate", stuck=True, count=0)
    task = asset_task(group_id, if_exists="create", timeout=1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    task.clear()
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    SeedanceHook().delete_asset(emulator.assets()[0]["id"])
    emulator.clear_faults()
    with pytest.raises(SeedanceError):
        task.run()
    task.clock.sleep(30)
    task.clear()
    with pytest.raises(SeedanceAmbiguousSubmissionError):
        task.run()
    assert emulator.stats()["assets_created"] == 1
    task.clear()
    task.make = asset_task(group_id, if_exists="create").make
    assert task.run()["asset_id"] == emulator.assets()[0]["id"]
    assert emulator.stats()["assets_created"] == 2


@pytest.mark.parametrize("point", ["after_intent", "after_id"])
def test_record_of_0_1_0_whose_fingerprint_had_no_type_is_of_the_same_asset(
    emulator: Emulator, group_id: str, point: str
) -> None:
    task = asset_task(group_id)
    die_at(task, point)
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.store is not None
    name = content_name("hero", hashlib.sha256(LINK.encode()).hexdigest())
    stored = task.store.get("seedance_asset")
    task.store.set("seedance_asset", {**stored, "fingerprint": digest(["seedance_default", "asset", group_id, name])})
    emulator.asset_options(missing=["ListAssets"])
    task.clear()
    if point == "after_id":
        assert task.run()["asset_id"] == stored["id"]
    else:
        with pytest.raises(SeedanceAmbiguousSubmissionError):
            task.run()
    assert emulator.stats()["assets_created"] == (1 if point == "after_id" else 0)


def test_refusal_after_a_lost_call_names_it_and_keeps_its_record(emulator: Emulator, group_id: str) -> None:
    task = asset_task(group_id)
    emulator.fault(route="CreateAsset", status=504, body="")
    for _ in range(2):
        with pytest.raises(SeedanceAmbiguousSubmissionError):
            task.run()
    task.clear()
    emulator.fault(route="CreateAsset", status=400, json={"code": "invalid_request", "message": "x", "data": None})
    with pytest.raises(SeedanceRequestError, match=r"An earlier paid call was sent at .* may be billed"):
        task.run()
    assert task.store is not None
    assert task.store.get("seedance_asset")["phase"] == "reported"
