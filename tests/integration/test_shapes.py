"""
The main paths in every shape that a response may have (contract.md#create-response, #query-response, #error-envelopes).

Submitting, deferring and completing, a retry that attaches, failures, the sensor and the transfer: each runs once in
every shape of the response to a create request, and of the responses to queries; refusals come in every envelope.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.envelopes import ENVELOPES
from airflow_provider_seedance.emulator.shapes import CREATE_SHAPES, QUERY_SHAPES
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceAuthError,
    SeedanceError,
    SeedanceGenerationFailedError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceServiceError,
)
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator
from tests.clock import VirtualClock
from tests.harness import Task, WorkerCrash

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4, "resolution": "480p"}
#: Shapes whose id is not of the form that ids have, so that no query is made for it.
ODD = ("odd",)
PLAIN = tuple(shape for shape in CREATE_SHAPES if shape not in ODD)
#: The envelope that anything on the way could have written, so that it proves nothing after a paid call.
ANYBODYS = "E4_text"
SHAPES = [*({"create_shape": shape} for shape in PLAIN), *({"query_shape": shape} for shape in QUERY_SHAPES)]
WAYS = [{"deferrable": True}, {"deferrable": False}]


def name_of(value: Any) -> str | None:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else None


def video_task(**arguments: Any) -> Task:
    given = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 0.1, **arguments}
    return Task(lambda: SeedanceGenerateVideoOperator(task_id="generate", **given))


def die_after(task: Task, phase: str) -> None:
    """Have the worker die once this phase is stored."""
    assert task.store is not None
    store = task.store

    def crash(value: Any) -> None:
        if value.get("phase") == phase:
            store.after_set = lambda value: None
            raise WorkerCrash(phase)

    store.after_set = crash


@pytest.mark.parametrize("way", WAYS, ids=name_of)
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_prompt_becomes_a_video_that_is_paid_once(
    emulator: Emulator, shape: dict[str, str], way: dict[str, Any]
) -> None:
    emulator.fault(route="generation", **shape)
    task = video_task(**way)
    result = task.run()
    made = emulator.generations()[0]
    assert result["generation_id"] == task.xcom["generation_id"] == made["id"]
    assert result["video_url"].partition("?")[0] == f"{emulator.url}/files/{made['id']}/video.mp4"
    assert result["video_url_expires_at"] is not None
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_retry_attaches_to_what_was_paid_for(emulator: Emulator, shape: dict[str, str]) -> None:
    emulator.fault(route="generation", **shape)
    task = video_task()
    die_after(task, "submitted")
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.run()["generation_id"] == emulator.generations()[0]["id"]
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_moderated_video_is_classified_and_refunded(emulator: Emulator, shape: dict[str, str]) -> None:
    failure = {"code": "OutputVideoSensitiveContentDetected", "message": "The output video may be sensitive."}
    emulator.fault(route="generation", fail=failure, **shape)
    with pytest.raises(SeedanceModerationError, match="may be sensitive") as caught:
        video_task().run()
    assert (caught.value.stage, caught.value.code) == ("output", failure["code"])
    assert (emulator.stats()["posts"], emulator.stats()["refunded"]) == (1, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_retry_submits_again_after_a_failure(emulator: Emulator, shape: dict[str, str]) -> None:
    failure = {"code": "InternalServiceError", "message": "it broke"}
    emulator.fault(route="generation", fail=failure, **shape)
    emulator.fault(route="generation", **shape)
    task = video_task()
    with pytest.raises(SeedanceGenerationFailedError, match="it broke"):
        task.run()
    assert task.run()["generation_id"] == emulator.generations()[1]["id"]
    assert (emulator.stats()["posts"], emulator.stats()["billed"]) == (2, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_sensor_waits_and_transfer_saves(emulator: Emulator, shape: dict[str, str], tmp_path: Path) -> None:
    emulator.fault(route="generation", **shape)
    generation_id = SeedanceHook().create_generation(BODY)
    sensor = Task(lambda: SeedanceGenerationSensor(task_id="wait", generation=generation_id, poke_interval=0.1))
    found = sensor.run()
    operator = SeedanceToObjectStorageOperator(task_id="save", generation=found, path=f"{tmp_path}/{{generation_id}}")
    operator.hook = SeedanceHook(clock=VirtualClock())
    saved = Path(Task(lambda: operator).run()["path"].removeprefix("file://"))
    assert saved.read_bytes()[4:8] == b"ftyp"
    assert generation_id == emulator.generations()[0]["id"]
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("shape", ODD)
def test_id_of_odd_form_is_named_and_never_paid_for_again(emulator: Emulator, shape: str) -> None:
    emulator.fault(route="generation", create_shape=shape)
    task = video_task()
    for _ in range(3):
        with pytest.raises(SeedanceAmbiguousSubmissionError) as caught:
            task.run()
        assert emulator.generations()[0]["id"] in str(caught.value)
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_refused_prompt_is_classified_and_not_billed(emulator: Emulator, envelope: str) -> None:
    emulator.fault(route="create", envelope=envelope)
    task = video_task(prompt="emulator:moderate-input")
    expected = SeedanceAmbiguousSubmissionError if envelope == ANYBODYS else SeedanceInputModerationError
    with pytest.raises(expected, match="InputTextSensitiveContentDetected"):
        task.run()
    assert task.store is not None
    assert (task.store.record is None) is (envelope != ANYBODYS)
    assert emulator.stats()["created"] == 0


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_wrong_key_is_classified(emulator: Emulator, envelope: str) -> None:
    emulator.set_api_keys("sk-another")
    emulator.fault(route="any", envelope=envelope, count=0)
    expected = SeedanceAmbiguousSubmissionError if envelope == ANYBODYS else SeedanceAuthError
    with pytest.raises(expected, match="key"):
        video_task().run()
    assert emulator.stats()["created"] == 0


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("way", WAYS, ids=name_of)
def test_denied_generation_is_not_found_and_not_paid_for_again(
    emulator: Emulator, envelope: str, way: dict[str, Any]
) -> None:
    emulator.fault(route="generation", lose=True)
    emulator.fault(route="query", envelope=envelope, count=0)
    task = video_task(**way, poll_interval=15)
    task.clock = VirtualClock(step=10)
    with pytest.raises(SeedanceNotFoundError if envelope != ANYBODYS else SeedanceError):
        task.run()
    task.clock.sleep(60)
    with pytest.raises(SeedanceAmbiguousSubmissionError if envelope != ANYBODYS else SeedanceServiceError):
        task.run()
    assert emulator.stats()["posts"] == 1
