from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceRequestError
from airflow_provider_seedance.hooks import shared_client as module
from airflow_provider_seedance.hooks import waiting
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4}


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connection lookups made."""
    made: list[str] = []
    look_up = module.get_async_connection

    async def counted(conn_id: str, *args: Any) -> Any:
        made.append(conn_id)
        await asyncio.sleep(0.01)  # as long as a supervisor takes
        return await look_up(conn_id, *args)

    monkeypatch.setattr(module, "get_async_connection", counted)
    return made


async def test_many_triggers_share_one_client_one_lookup_and_few_connections(
    emulator: Emulator, lookups: list[str]
) -> None:
    hook = SeedanceHook()
    ids = [hook.create_generation(BODY) for _ in range(50)]
    emulator.finish()
    sessions: set[int] = set()

    async def ask(generation_id: str) -> str:
        async with hook.shared_client() as client:
            generation = await client.get_generation(generation_id)
            sessions.add(id(client))
            await asyncio.sleep(0.05)
            return generation.state

    assert await asyncio.gather(*map(ask, ids)) == ["succeeded"] * 50
    assert len(sessions) == 1
    assert lookups == ["seedance_default"]


async def test_last_to_leave_closes_the_client(emulator: Emulator) -> None:
    hook = SeedanceHook()
    async with hook.shared_client() as first:
        async with hook.shared_client() as second:
            assert second is first
            with pytest.raises(SeedanceError):
                await second.get_generation("asyntask_x")
        session = first._session
        assert session is not None
        assert not session.closed
    assert session.closed
    async with hook.shared_client() as later:
        assert later is not first


async def test_failed_lookup_is_shared_by_those_who_waited_and_not_remembered(
    emulator: Emulator, lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = json.dumps({"conn_type": "seedance", "host": emulator.url, "password": "sk-emulator"})
    monkeypatch.delenv("AIRFLOW_CONN_SEEDANCE_DEFAULT")
    async with SeedanceHook().shared_client() as client:
        outcomes = await asyncio.gather(
            *(client.get_generation("asyntask_x") for _ in range(20)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {SeedanceRequestError}
        assert len(lookups) == 1
        monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", definition)
        with pytest.raises(SeedanceError, match="does not know"):
            await client.get_generation("asyntask_x")


async def test_refused_key_is_read_afresh_once_for_all(
    emulator: Emulator, lookups: list[str], connect: Callable[..., None]
) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    async with SeedanceHook().shared_client() as client:
        await client.get_generation(generation_id)
        emulator.set_api_keys("sk-new")
        connect(host=emulator.url, password="sk-new")

        async def ask_twice() -> str:
            with pytest.raises(SeedanceError):
                await client.get_generation(generation_id)
            client.refresh()
            return (await client.get_generation(generation_id)).generation_id or ""

        assert set(await asyncio.gather(*(ask_twice() for _ in range(20)))) == {generation_id}
    assert len(lookups) == 2


async def test_missing_connection_ends_a_trigger_with_a_clear_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", raising=False)
    trigger = SeedanceGenerationTrigger(
        seedance_conn_id="nowhere", generation_id="asyntask_x", deadline=2e9, submitted_at=1.0, poll_interval=0.1
    )
    event = await anext(aiter(trigger.run()))
    assert event.payload["outcome"] == "error"
    assert "nowhere" in event.payload["message"]


async def test_cancelled_trigger_leaves_no_session_behind(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    emulator.fault(route="generation", stuck=True, generation_id=generation_id)
    trigger = SeedanceGenerationTrigger(
        seedance_conn_id="seedance_default",
        generation_id=generation_id,
        deadline=2e9,
        submitted_at=1.0,
        poll_interval=0.05,
    )

    async def run() -> None:
        async for _ in trigger.run():
            pass

    looked = asyncio.Event()
    look_async = waiting.look_async

    async def looking(*args: Any) -> Any:
        looked.set()
        return await look_async(*args)

    monkeypatch.setattr(waiting, "look_async", looking)
    running = asyncio.create_task(run())
    await asyncio.wait_for(looked.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not module._clients.get(asyncio.get_running_loop())
