"""After payment, each message says how to go on without paying again, and says what is true of this very task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from airflow.sdk.module_loading import import_string

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceAuthError,
    SeedanceError,
    SeedanceEventError,
    SeedanceNotFoundError,
    SeedanceSensorTimeoutError,
    SeedanceServiceError,
    SeedanceTimeoutError,
)
from airflow_provider_seedance.operators.assets import SeedanceCreateAssetOperator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.asset import SeedanceAssetSensor
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from tests.harness import Task

UNKNOWN = {"status": 400, "json": {"code": "task_not_exist", "message": "task_not_exist", "data": None}}
REFUSED = {"status": 401, "json": {"error": {"message": "no", "type": "x", "code": "invalid_api_key"}}}
OUTAGE = {"status": 500, "json": {"code": "get_task_failed", "message": "boom", "data": None}}

#: How Airflow resumes a task whose deferral nobody picked up, and one whose trigger failed.
TIMED_OUT = {"error": "Trigger timeout"}
TRIGGER_FAILED = {"error": "Trigger failure", "traceback": ["boom"]}


def video(**arguments: Any) -> SeedanceGenerateVideoOperator:
    given = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 20, **arguments}
    return SeedanceGenerateVideoOperator(task_id="generate", **given)


@pytest.fixture(params=["durable", "not durable", "no store"])
def task(request: pytest.FixtureRequest) -> Callable[..., Task]:
    """Make the operator's task: with a record, without one, and where Airflow has no store for one."""

    def make(**arguments: Any) -> Task:
        made = Task(lambda: video(durable=request.param != "not durable", **arguments))
        if request.param == "no store":
            made.store = None
        made.remembers = request.param == "durable"  # type: ignore[attr-defined]
        return made

    return make


def check(task: Any, emulator: Emulator, message: str) -> None:
    """Check that a message names the id, and the way on that this task really has."""
    generation_id = emulator.generations()[0]["id"]
    assert generation_id in message
    sentence = f"A retry, or clearing the task, queries generation {generation_id} again before anything is paid."
    named = (f"SeedanceGenerationSensor(generation='{generation_id}')", "SeedanceToObjectStorageOperator(")
    assert (sentence in message) is task.remembers
    assert all((name in message) is not task.remembers for name in named)
    assert "re-attach" not in message
    # a retry does what the message says
    posts = emulator.stats()["posts"]
    emulator.clear_faults()
    durable = task.start()[0].durable
    task.make = lambda: video(durable=durable, wait_for_completion=False)
    task.run()
    assert emulator.stats()["posts"] == posts + (0 if task.remembers else 1)


def deferred(task: Task) -> TaskDeferred:
    operator, context = task.start()
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    return caught.value


def resumed(task: Task, method: str, kwargs: Any) -> Any:
    operator, context = task.start()
    return operator.resume_execution(method, kwargs, context)


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    ("fault", "arguments", "expected"),
    [
        ({"route": "generation", "stuck": True}, {"timeout": 100}, SeedanceTimeoutError),
        ({"route": "query", "count": 0, **OUTAGE}, {"timeout": 100}, SeedanceTimeoutError),
        ({"route": "query", "count": 0, **UNKNOWN}, {}, SeedanceNotFoundError),
        ({"route": "query", "count": 0, **REFUSED}, {}, SeedanceAuthError),
        ({"route": "generation", "no_link": 1000}, {}, SeedanceServiceError),
    ],
    ids=["time-out", "outage", "not found", "key refused", "no link"],
)
def test_waits_that_end_without_a_video(
    emulator: Emulator,
    task: Callable[..., Task],
    deferrable: bool,
    fault: dict[str, Any],
    arguments: dict[str, Any],
    expected: type[SeedanceError],
) -> None:
    emulator.fault(**fault)
    made = task(deferrable=deferrable, **arguments)
    with pytest.raises(expected) as caught:
        made.run()
    check(made, emulator, str(caught.value))


@pytest.mark.parametrize("event", [None, {"version": 99}, {"version": 1, "generation_id": "asyntask_x"}], ids=str)
def test_unreadable_events(slow_emulator: Emulator, task: Callable[..., Task], event: Any) -> None:
    made = task()
    deferred(made)
    with pytest.raises(SeedanceEventError) as caught:
        resumed(made, "execute_complete", {"event": event})
    if event != {"version": 1, "generation_id": "asyntask_x"}:  # which names another
        check(made, slow_emulator, str(caught.value))


def test_video_that_cannot_be_fetched_after_the_event(
    emulator: Emulator, task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task()
    event = made.trigger(deferred(made))
    emulator.fault(route="query", count=0, **OUTAGE)
    with pytest.raises(SeedanceServiceError) as caught:
        resumed(made, "execute_complete", {"event": event})
    check(made, emulator, str(caught.value))


@pytest.mark.parametrize("kwargs", [TIMED_OUT, TRIGGER_FAILED], ids=["timed out", "trigger failed"])
def test_deferral_that_failed_in_airflow_itself(
    slow_emulator: Emulator, task: Callable[..., Task], kwargs: dict[str, Any]
) -> None:
    made = task()
    deferred(made)
    expected = SeedanceTimeoutError if kwargs is TIMED_OUT else SeedanceServiceError
    with pytest.raises(expected, match="triggerer") as caught:
        resumed(made, "__fail__", kwargs)
    check(made, slow_emulator, str(caught.value))


def test_killed_worker(slow_emulator: Emulator, task: Callable[..., Task], capsys: pytest.CaptureFixture[str]) -> None:
    made = task()
    operator, context = made.start()
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    capsys.readouterr()
    operator.on_kill()
    check(made, slow_emulator, capsys.readouterr().out)


def test_killed_trigger(slow_emulator: Emulator, task: Callable[..., Task], caplog: pytest.LogCaptureFixture) -> None:
    made = task()
    path, kwargs = deferred(made).trigger.serialize()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        asyncio.run(import_string(path)(**kwargs).on_kill())
    check(made, slow_emulator, caplog.text)


def test_lost_response_that_names_the_generation(emulator: Emulator, task: Callable[..., Task]) -> None:
    emulator.fault(route="create", status=500, json={"code": "x", "message": "late", "data": {"task_id": "asyntask_a"}})
    made = task()
    with pytest.raises(SeedanceAmbiguousSubmissionError, match="asyntask_a") as caught:
        made.run()
    remembers = made.remembers  # type: ignore[attr-defined]
    assert ("Clearing the task queries it again" in str(caught.value)) is remembers
    assert ("SeedanceGenerationSensor(generation='asyntask_a')" in str(caught.value)) is not remembers


@pytest.mark.parametrize("kwargs", [TIMED_OUT, TRIGGER_FAILED], ids=["timed out", "trigger failed"])
@pytest.mark.parametrize("asset", [True, False], ids=["asset", "generation"])
def test_sensor_whose_deferral_failed_in_airflow_itself_names_the_id(asset: bool, kwargs: dict[str, Any]) -> None:
    expected = SeedanceSensorTimeoutError if kwargs is TIMED_OUT else SeedanceServiceError

    def sensor(**arguments: Any) -> Any:
        if asset:
            return SeedanceAssetSensor(task_id="wait", asset="asset-1", **arguments)
        return SeedanceGenerationSensor(task_id="wait", generation="asyntask_1", **arguments)

    with pytest.raises(expected, match=r"(asset asset-1|generation asyntask_1).*triggerer"):
        resumed(Task(sensor), "__fail__", kwargs)
    with pytest.raises(AirflowSkipException):
        resumed(Task(lambda: sensor(soft_fail=True)), "__fail__", kwargs)


@pytest.mark.parametrize("has_store", [True, False])
def test_asset_names_its_sensor_where_no_record_is_kept(emulator: Emulator, has_store: bool, png: str) -> None:
    group = "group-1"
    emulator.fault(route="asset_fate", stuck=True)
    made = Task(
        lambda: SeedanceCreateAssetOperator(task_id="asset", group_id=group, name="hero", source=png, timeout=30)
    )
    made.store = made.store if has_store else None
    from airflow_provider_seedance.hooks.seedance import SeedanceHook

    group = SeedanceHook().create_asset_group("heroes")
    with pytest.raises(SeedanceTimeoutError) as caught:
        made.run()
    asset_id = emulator.assets()[0]["id"]
    assert (f"SeedanceAssetSensor(asset='{asset_id}')" in str(caught.value)) is not has_store
    assert (f"queries asset {asset_id} again before anything is paid" in str(caught.value)) is has_store


@pytest.fixture
def png(tmp_path: Any) -> str:
    """A picture that the service takes."""
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("RGB", (320, 320)).save(path)
    return str(path)
