"""The contestants of poll_cost.py: each waits for one generation over TLS, in its own way."""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from benchmarks.poll_server import EXISTS_PATH, GENERATION_PATH, generation_id

#: The connections, which all but the hand-written client resolve through Airflow, from the environment.
SEEDANCE, DBT_CLOUD, HTTP = "poll_cost_seedance", "poll_cost_dbt_cloud", "poll_cost_http"
KEY = "sk-benchmark"
#: Seconds until a deadline that is never reached.
NEVER = 86400.0
#: Seconds that the hand-written client gives a request, as the provider does.
REQUEST_TIMEOUT = 60.0


class Trigger(Protocol):
    """What the triggerer needs from a trigger."""

    def run(self) -> AsyncIterator[object]:
        """Yield an event when the wait is over."""


#: Makes the trigger of one generation, by its index.
Maker = Callable[[int], Trigger]


def set_environment(port: int, ca_file: str, home: str) -> None:
    """
    Prepare this process. Call it before Airflow or aiohttp is imported.

    :param port: The server's.
    :param ca_file: Verifies the server's certificate. This provider reads it from the connection. The others have no
        such setting, so OpenSSL is made to trust it.
    :param home: A scratch directory for Airflow.
    """
    address = f"127.0.0.1:{port}"
    connections: dict[str, dict[str, Any]] = {
        SEEDANCE: {"conn_type": "seedance", "host": f"https://{address}", "extra": {"verify": ca_file}},
        DBT_CLOUD: {"conn_type": "dbt_cloud", "host": address, "login": "1"},
        HTTP: {"conn_type": "http", "host": f"https://{address}"},
    }
    os.environ |= {
        "AIRFLOW_HOME": home,
        "SSL_CERT_FILE": ca_file,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps({"password": KEY} | conn) for name, conn in connections.items()},
    }


def ours(interval: float, port: int, ca_file: str) -> Maker:
    """Return this provider's trigger."""
    from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger

    return lambda index: SeedanceGenerationTrigger(
        seedance_conn_id=SEEDANCE,
        generation_id=generation_id(index),
        deadline=time.time() + NEVER,
        submitted_at=time.time(),
        poll_interval=interval,
    )


def dbt_cloud(interval: float, port: int, ca_file: str) -> Maker:
    """Return dbt Cloud's trigger."""
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    return lambda index: DbtCloudRunJobTrigger(
        conn_id=DBT_CLOUD,
        run_id=index,
        end_time=time.time() + NEVER,
        poll_interval=interval,
        account_id=1,
    )


def http_event(interval: float, port: int, ca_file: str) -> Maker:
    """Return the http provider's event trigger, sending the same request as ours."""
    from airflow.providers.http.triggers.http import HttpEventTrigger

    return lambda index: HttpEventTrigger(
        response_check_path="benchmarks.poll_check.is_done",
        http_conn_id=HTTP,
        headers={"Authorization": f"Bearer {KEY}"},
        endpoint=GENERATION_PATH.format(generation_id(index)),
        poll_interval=interval,
    )


def http_sensor(interval: float, port: int, ca_file: str) -> Maker:
    """Return the http provider's sensor trigger, to which 404 means "not yet"."""
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    return lambda index: HttpSensorTrigger(
        http_conn_id=HTTP,
        headers={"Authorization": f"Bearer {KEY}"},
        endpoint=EXISTS_PATH.format(generation_id(index)),
        poke_interval=interval,
    )


def raw(interval: float, port: int, ca_file: str) -> Maker:
    """Return a client written by hand for this one request: the lower bound."""
    pool = _RawPool(port, ssl.create_default_context(cafile=ca_file))
    return lambda index: _RawTrigger(pool, index, interval)


class _RawTrigger:
    def __init__(self, pool: _RawPool, index: int, interval: float) -> None:
        self._pool = pool
        self._index = index
        self._interval = interval

    async def run(self) -> AsyncIterator[object]:
        request = (
            f"GET {GENERATION_PATH.format(generation_id(self._index))} HTTP/1.1\r\n"
            f"Host: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nAccept: application/json\r\n\r\n"
        ).encode()
        while True:
            await asyncio.sleep(self._interval * random.uniform(0.9, 1.1))
            async with asyncio.timeout(REQUEST_TIMEOUT):
                body = await self._pool.ask(request)
            if json.loads(body)["data"]["status"] == "SUCCESS":
                yield "succeeded"
                return


class _RawPool:
    """Keeps connections alive and uses the most recent one first."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self._idle: list[_RawConnection] = []

    async def ask(self, request: bytes) -> bytes:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                break
        else:
            _, connection = await asyncio.get_running_loop().create_connection(
                _RawConnection, "127.0.0.1", self._port, ssl=self._context
            )
        body = await connection.ask(request)
        self._idle.append(connection)
        return body


class _RawConnection(asyncio.Protocol):
    """One request at a time; understands only responses with a Content-Length, which is all the server sends."""

    def __init__(self) -> None:
        self.lost = False
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    async def ask(self, request: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._received = b""
        assert self._answer is not None
        if head.startswith(b"HTTP/1.1 200 "):
            self._answer.set_result(body)
        else:
            self._answer.set_exception(RuntimeError(head.decode()))


#: By the name that ``--only`` takes.
CONTESTANTS: dict[str, Callable[[float, int, str], Maker]] = {
    "ours": ours,
    "raw": raw,
    "dbt-cloud": dbt_cloud,
    "http-event": http_event,
    "http-sensor": http_sensor,
}
