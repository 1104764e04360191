from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.connection import get_async_connection

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceTransportError,
)
from airflow_provider_seedance.hooks.async_client import ENDPOINT_LIFE, AsyncClient
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger
from tests.clock import QuickClock

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4}


def is_open(client: AsyncClient) -> bool:
    session = vars(client)["_session"]
    return session is not None and not session.closed


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connection lookups made."""
    made: list[str] = []

    async def counted(conn_id: str, *args: Any) -> Any:
        made.append(conn_id)
        await asyncio.sleep(0.01)  # as long as a supervisor takes
        return await get_async_connection(conn_id, *args)

    monkeypatch.setattr("airflow_provider_seedance.hooks.async_client.get_async_connection", counted)
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
        assert is_open(first)
    assert not is_open(first)
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
        assert {type(outcome) for outcome in outcomes} == {SeedanceTransportError}
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


async def test_many_triggers_whose_key_is_refused_cause_one_more_lookup(
    emulator: Emulator, lookups: list[str], connect: Callable[..., None]
) -> None:
    connect(host=emulator.url, password="sk-wrong")
    async with SeedanceHook().shared_client() as client:

        async def ask_again_and_again() -> None:
            for _ in range(3):
                with pytest.raises(SeedanceAuthError):
                    await client.get_generation("asyntask_x")
                client.refresh()

        await asyncio.gather(*(ask_again_and_again() for _ in range(50)))
    assert len(lookups) == 2


async def test_connection_is_read_again_every_few_minutes(
    emulator: Emulator, lookups: list[str], connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    now = time.monotonic()
    monkeypatch.setattr("airflow_provider_seedance.hooks.async_client.time", SimpleNamespace(monotonic=lambda: now))
    async with SeedanceHook().shared_client() as client:
        await client.get_generation(generation_id)
        now += ENDPOINT_LIFE - 1
        await client.get_generation(generation_id)
        assert len(lookups) == 1
        with Emulator(speed=300) as moved:
            connect(host=moved.url)
            now += 2
            with pytest.raises(SeedanceNotFoundError):
                await client.get_generation(generation_id)
            assert len(lookups) == 2
            assert moved.stats()["queries"] == 1


async def test_connection_that_cannot_be_read_again_stays_in_use_unless_it_is_in_doubt(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    now = time.monotonic()
    monkeypatch.setattr("airflow_provider_seedance.hooks.async_client.time", SimpleNamespace(monotonic=lambda: now))
    async with SeedanceHook().shared_client() as client:
        await client.get_generation(generation_id)
        monkeypatch.delenv("AIRFLOW_CONN_SEEDANCE_DEFAULT")
        now += ENDPOINT_LIFE + 1
        assert (await client.get_generation(generation_id)).generation_id == generation_id
        client.refresh()
        with pytest.raises(SeedanceTransportError, match="is not defined"):
            await client.get_generation(generation_id)


async def test_host_that_was_edited_to_a_wrong_one_and_back_ends_no_wait_as_not_found(
    emulator: Emulator, connect: Callable[..., None]
) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    emulator.finish()
    with Emulator(speed=300) as wrong:
        connect(host=wrong.url)
        async with SeedanceHook().shared_client() as client:
            with pytest.raises(SeedanceNotFoundError):
                await client.get_generation(generation_id)
            connect(host=emulator.url)  # while triggers overlap, so that the client stays
            trigger = SeedanceGenerationTrigger(
                seedance_conn_id="seedance_default",
                generation_id=generation_id,
                deadline=time.time() + 3600,
                submitted_at=time.time() - 600,
                poll_interval=0.1,
            )
            trigger.clock = QuickClock()
            event = await anext(aiter(trigger.run()))
    assert event.payload["outcome"] == "succeeded"


def test_worker_reads_the_connection_again_and_waits_out_a_backend_that_is_away(
    emulator: Emulator, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = SeedanceHook()
    generation_id = ours.create_generation(BODY)
    ours.refresh()
    monkeypatch.delenv("AIRFLOW_CONN_SEEDANCE_DEFAULT")
    for _ in range(2):
        with pytest.raises(SeedanceTransportError, match="cannot be looked up"):
            ours.get_generation(generation_id, attempts=1)
    with Emulator(speed=300) as moved:
        connect(host=moved.url)
        with pytest.raises(SeedanceNotFoundError):
            ours.get_generation(generation_id)


async def test_missing_connection_is_an_outage_that_is_logged_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", raising=False)
    trigger = SeedanceGenerationTrigger(
        seedance_conn_id="nowhere", generation_id="asyntask_x", deadline=2e9, submitted_at=1.0, poll_interval=0.1
    )
    trigger.clock = QuickClock()
    trigger.deadline = trigger.clock.now() + 20
    event = await anext(aiter(trigger.run()))
    assert event.payload["outcome"] == "timeout"
    assert "'nowhere' is not defined where the triggerer can see it" in caplog.text


async def test_secrets_backend_that_is_away_for_a_moment_ends_no_wait(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [RuntimeError("https://vault.example?token=beef")] * 3

    async def flaky(conn_id: str, *args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await get_async_connection(conn_id, *args)

    monkeypatch.setattr("airflow_provider_seedance.hooks.async_client.get_async_connection", flaky)
    generation_id = SeedanceHook().create_generation(BODY)
    trigger = SeedanceGenerationTrigger(
        seedance_conn_id="seedance_default",
        generation_id=generation_id,
        deadline=time.time() + 3600,
        submitted_at=time.time(),
        poll_interval=0.1,
    )
    trigger.clock = QuickClock()
    event = await anext(aiter(trigger.run()))
    assert event.payload["outcome"] == "succeeded"
    assert failures == []
    assert "beef" not in caplog.text


async def test_cancelled_trigger_leaves_no_session_behind(emulator: Emulator) -> None:
    generation_id = SeedanceHook().create_generation(BODY)
    emulator.fault(route="generation", stuck=True, generation_id=generation_id)
    trigger = SeedanceGenerationTrigger(
        seedance_conn_id="seedance_default",
        generation_id=generation_id,
        deadline=2e9,
        submitted_at=1.0,
        poll_interval=0.05,
    )
    polled = asyncio.Event()

    class NotingClock(QuickClock):
        """Notes that a poll was made: between two of them the trigger sleeps."""

        async def sleep_async(self, seconds: float) -> None:
            if emulator.stats()["queries"]:
                polled.set()
            await super().sleep_async(seconds)

    trigger.clock = NotingClock()

    async def run() -> None:
        async for _ in trigger.run():
            pass

    running = asyncio.create_task(run())
    async with SeedanceHook().shared_client() as client:
        await asyncio.wait_for(polled.wait(), 10)
        assert is_open(client)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert client.users == 1
    assert not is_open(client)
