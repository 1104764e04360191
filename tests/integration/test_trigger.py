from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger
from tests.clock import QuickClock

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4}


def trigger_for(generation_id: str, **changes: Any) -> SeedanceGenerationTrigger:
    now = time.time()
    given = {
        "seedance_conn_id": "seedance_default",
        "generation_id": generation_id,
        "deadline": now + 30,
        "submitted_at": now,
        "poll_interval": 0.1,
    }
    trigger = SeedanceGenerationTrigger(**{**given, **changes})
    trigger.clock = QuickClock()
    return trigger


async def events_of(trigger: SeedanceGenerationTrigger) -> list[dict[str, Any]]:
    return [event.payload async for event in trigger.run()]


async def test_trigger_sends_exactly_one_event(emulator: Emulator) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    (event,) = await events_of(trigger_for(generation_id))
    assert event == {
        "version": 1,
        "generation_id": generation_id,
        "outcome": "succeeded",
        "reason": "succeeded",
        "message": f"Generation {generation_id} succeeded.",
    }


async def test_trigger_stored_as_json_is_the_same_trigger(emulator: Emulator) -> None:
    path, kwargs = trigger_for("asyntask_1").serialize()
    assert path == f"{SeedanceGenerationTrigger.__module__}.SeedanceGenerationTrigger"
    again = SeedanceGenerationTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (path, kwargs)


async def test_trigger_started_after_its_deadline_looks_once_and_times_out(emulator: Emulator) -> None:
    emulator.fault(route="generation", stuck=True)
    generation_id = SeedanceHook().create_generation(BODY)
    (event,) = await events_of(trigger_for(generation_id, deadline=time.time() - 100))
    assert event["outcome"] == "timeout"
    assert emulator.stats()["queries"] == 1


async def test_restarted_trigger_goes_on_where_its_arguments_say(emulator: Emulator) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    trigger = trigger_for(generation_id)
    first = asyncio.create_task(events_of(trigger))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    (event,) = await events_of(SeedanceGenerationTrigger(**trigger.serialize()[1]))
    assert event["outcome"] == "succeeded"


@pytest.mark.parametrize("query_word", ["Signature", "http", "sk-emulator", "a cat"])
async def test_event_of_a_failure_holds_no_text_of_the_service(emulator: Emulator, query_word: str) -> None:
    message = "refused 'a cat', see http://x.example/?Signature=1 with sk-emulator"
    emulator.fault(route="generation", fail={"code": "OutputVideoSensitiveContentDetected", "message": message})
    (event,) = await events_of(trigger_for(SeedanceHook().create_generation(BODY)))
    assert (event["outcome"], event["reason"]) == ("failed", "output_moderation")
    assert query_word not in json.dumps(event)


async def test_ordinary_looks_say_nothing(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    emulator.fault(route="generation", stuck=True)
    generation_id = SeedanceHook().create_generation(BODY)
    await events_of(trigger_for(generation_id, deadline=time.time() + 6))
    assert emulator.stats()["queries"] >= 5
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_seedance")]
    assert 1 <= len(ours) <= 3  # changes of the status only


async def test_kill_tells_the_truth_and_calls_nothing(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    await trigger_for("asyntask_1").on_kill()
    assert "asyntask_1 keeps running and is billed" in caplog.text
    assert emulator.requests() == []


def test_kill_of_a_waiting_worker_tells_the_truth(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    operator = SeedanceGenerateVideoOperator(task_id="g", prompt="a cat")
    operator.on_kill()
    assert "billed" not in capsys.readouterr().out
    operator.running_id = "asyntask_1"
    operator.on_kill()
    assert "asyntask_1 keeps running and is billed" in capsys.readouterr().out
