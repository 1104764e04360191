from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, timezone
from airflow.sdk.exceptions import AirflowRescheduleException

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceSensorTimeoutError,
)
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from tests.clock import VirtualClock
from tests.harness import Task

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4, "resolution": "480p"}
WAYS = [{"deferrable": True}, {"deferrable": False, "mode": "poke"}, {"deferrable": False, "mode": "reschedule"}]


def sensor_task(generation: Any, **arguments: Any) -> Task:
    given = {"poke_interval": 0.1, "timeout": 20, **arguments}
    return Task(lambda: SeedanceGenerationSensor(task_id="wait", generation=generation, **given))


def run(task: Task) -> Any:
    """Run a sensor as Airflow does: again whenever it was rescheduled, with what its store kept."""
    for _ in range(200):
        try:
            return task.run()
        except AirflowRescheduleException as rescheduled:
            task.note_reschedule()
            time.sleep(max((rescheduled.reschedule_date - timezone.utcnow()).total_seconds(), 0))
    raise AssertionError("it was rescheduled for ever")


@pytest.mark.parametrize("way", WAYS)
def test_sensor_returns_what_the_operator_would(emulator: Emulator, way: dict[str, Any]) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    by_sensor = run(sensor_task(generation_id, **way))
    operator = Task(
        lambda: SeedanceGenerateVideoOperator(
            task_id="g", prompt="a cat", duration=4, resolution="480p", poll_interval=0.1
        )
    )
    by_operator = operator.run()
    assert set(by_sensor) == set(by_operator)
    assert by_sensor["generation_id"] == generation_id
    same = ("duration", "resolution", "ratio", "total_tokens", "model")
    assert {k: by_sensor[k] for k in same} == {k: by_operator[k] for k in same}


def test_sensor_takes_a_result_dictionary(emulator: Emulator) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    result = run(sensor_task({"generation_id": generation_id, "expected_tokens": 5}))
    assert (result["generation_id"], result["expected_tokens"]) == (generation_id, 5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ({"fail": {"code": "OutputVideoSensitiveContentDetected", "message": "x"}}, SeedanceModerationError),
        ({"inner": "cancelled"}, SeedanceError),
        ({"no_link": 100}, SeedanceError),
    ],
)
def test_bad_ends_are_typed_errors_in_every_mode(
    emulator: Emulator, way: dict[str, Any], fate: dict[str, Any], expected: type[SeedanceError]
) -> None:
    emulator.fault(route="generation", **fate)
    with pytest.raises(expected):
        run(sensor_task(SeedanceHook().create_generation(BODY), **way))


@pytest.mark.parametrize("way", WAYS)
def test_time_out_is_the_sensors_own_in_every_mode(emulator: Emulator, way: dict[str, Any]) -> None:
    emulator.fault(route="generation", stuck=True)
    generation_id = SeedanceHook().create_generation(BODY)
    # a rescheduled sensor counts from its first reschedule, which only Airflow's database knows
    timeout = 0.001 if way.get("mode") == "reschedule" else 0.5
    with pytest.raises(SeedanceSensorTimeoutError, match="keeps running and is billed") as caught:
        run(sensor_task(generation_id, **{**way, "timeout": timeout}))
    assert isinstance(caught.value, AirflowSensorTimeout)
    assert generation_id in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("skip", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("end", ["time-out", "failure", "earlier failure"])
def test_sensor_that_may_skip_skips_in_every_mode_and_says_why(
    emulator: Emulator, way: dict[str, Any], skip: str, end: str
) -> None:
    stuck = end == "time-out"
    fail = {"code": "OutputVideoSensitiveContentDetected", "message": "x"}
    emulator.fault(route="generation", **({"stuck": True} if stuck else {"fail": fail}))
    timeout = 20 if not stuck else 0.001 if way.get("mode") == "reschedule" else 0.5
    generation_id = SeedanceHook().create_generation(BODY)
    if end == "earlier failure":
        emulator.finish()
    said = "timeout" if stuck else "SensitiveContent"
    with pytest.raises(AirflowSkipException, match=f"{generation_id}.*{said}|{said}.*{generation_id}"):
        run(sensor_task(generation_id, **{**way, skip: True, "timeout": timeout}))


def failing_after_polls(task: Task) -> int:
    """Run a sensor of a generation without a link until it gives up, and return how often it polled."""
    polls = 0

    def poll_on() -> None:
        nonlocal polls
        while polls < 20:
            polls += 1
            with suppress(AirflowRescheduleException):
                task.run()

    with pytest.raises(SeedanceError, match="without a link"):
        poll_on()
    return polls


@pytest.fixture
def without_link(emulator: Emulator) -> list[str]:
    """Two generations that succeed without a link."""
    emulator.fault(route="generation", no_link=100, count=2)
    made = [SeedanceHook().create_generation(BODY) for _ in range(2)]
    emulator.finish()
    return made


def test_rescheduled_sensor_counts_from_nothing_in_each_try(without_link: list[str]) -> None:
    task = sensor_task(without_link[0], deferrable=False, mode="reschedule")
    first = failing_after_polls(task)
    assert first == failing_after_polls(task) == 6


def test_rescheduled_sensor_counts_from_nothing_for_each_generation(without_link: list[str]) -> None:
    waited_for = without_link[:1]
    task = Task(
        lambda: SeedanceGenerationSensor(
            task_id="wait", generation=waited_for[-1], deferrable=False, mode="reschedule", poke_interval=0.1
        )
    )
    for _ in range(4):
        with pytest.raises(AirflowRescheduleException):
            task.run()
    waited_for.append(without_link[1])
    assert failing_after_polls(task) == 6


@pytest.mark.parametrize("way", WAYS)
def test_unknown_generation_is_not_found(emulator: Emulator, way: dict[str, Any]) -> None:
    task = sensor_task("asyntask_unknown", **{**way, "timeout": 600})
    task.clock = VirtualClock(step=10)
    with pytest.raises(SeedanceNotFoundError):
        run(task)


@pytest.mark.parametrize("way", WAYS[1:])
def test_asked_for_patience_is_kept_between_pokes(emulator: Emulator, way: dict[str, Any]) -> None:
    emulator.fault(route="query", status=429, headers={"Retry-After": "2"}, body="{}")
    run(sensor_task(SeedanceHook().create_generation(BODY), **way))
    times = [request["at"] for request in emulator.requests() if request["route"] == "query"]
    assert times[1] - times[0] >= 2


@pytest.mark.parametrize("generation", ["", {}, {"generation_id": ""}, "a/b"])
def test_what_is_no_generation_is_refused_by_name(emulator: Emulator, generation: Any) -> None:
    with pytest.raises(SeedanceRequestError, match="generation"):
        run(sensor_task(generation))
    assert emulator.stats()["queries"] == 0


def test_sensor_never_submits(emulator: Emulator) -> None:
    task = sensor_task(SeedanceHook().create_generation(BODY))
    run(task)
    run(task)
    assert emulator.stats()["posts"] == 1
