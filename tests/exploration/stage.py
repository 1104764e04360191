"""The bottom of both clients and the lookup of connections, replaced for as long as worlds are made."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

from airflow.providers.common.compat.sdk import BaseOperator, Connection
from airflow.sdk.bases.operator import ExecutorSafeguard

from airflow_provider_seedance.api.calls import Call
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.hooks import async_client
from airflow_provider_seedance.hooks.async_client import AsyncClient
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.hooks.transport import Transport

if TYPE_CHECKING:
    from tests.exploration.world import World


class Stage(logging.Handler):
    """Leads what is replaced to the present world, and to it what the provider warns of."""

    world: World
    loop: asyncio.AbstractEventLoop

    def emit(self, record: logging.LogRecord) -> None:
        self.world.warnings.append(record.getMessage())
        if record.levelno >= logging.ERROR:
            self.world.errors.append(record.getMessage())

    def connection(self, conn_id: str) -> Connection:
        return self.world.connect()

    def first_event(self, trigger: Any) -> Any:
        """Run a trigger, as a triggerer does, to its first event."""
        return self.loop.run_until_complete(_first_event(trigger))

    async def async_connection(self, conn_id: str) -> Connection:
        return self.world.connect("trigger connection")


current = Stage(logging.WARNING)


async def _first_event(trigger: Any) -> Any:
    events = trigger.run()
    event = await anext(events)
    with suppress(StopAsyncIteration):
        await anext(events)
    return event.payload


def _without_session(transport: Transport, endpoint: Any) -> None:
    """Make no session of requests: nothing is sent with it."""


def _exchange(transport: Transport, call: Call[Any]) -> Response:
    return current.world.respond(call, "seedance_default")


async def _exchange_async(client: AsyncClient, call: Call[Any]) -> Response:
    await vars(AsyncClient)["_open"](client)
    return current.world.respond(call, client.conn_id, "trigger query")


@contextmanager
def set_up() -> Iterator[None]:
    """Replace the bottom of both clients and the lookup of connections, and collect what the provider warns of."""
    log = logging.getLogger("airflow_provider_seedance")
    level, propagate = log.level, log.propagate
    log.addHandler(current)
    log.setLevel(logging.WARNING)
    log.propagate = False
    current.loop = asyncio.new_event_loop()
    gc.freeze()  # Airflow's own heap, which takes longer to go through than a schedule
    kept = {name: value for name, value in os.environ.items() if name.startswith(("AIRFLOW", "PATH", "HOME"))}
    try:
        with (
            mock.patch.dict(os.environ, kept, clear=True),
            mock.patch.object(Transport, "__init__", _without_session),
            mock.patch.object(Transport, "close"),
            mock.patch.object(Transport, "exchange", _exchange),
            mock.patch.object(AsyncClient, "_exchange", _exchange_async),
            mock.patch.object(SeedanceHook, "get_connection", current.connection),
            mock.patch.object(async_client, "get_async_connection", current.async_connection),
            mock.patch.object(BaseOperator, "log", log),
            mock.patch.object(ExecutorSafeguard, "test_mode", True),
        ):
            yield
    finally:
        gc.unfreeze()
        current.loop.close()
        log.removeHandler(current)
        log.setLevel(level)
        log.propagate = propagate
