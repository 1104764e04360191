"""
The asynchronous client of the triggerer: one per event loop and connection, shared by all triggers.

A session, a TLS context or a connection lookup per trigger is what makes a triggerer slow: the lookup alone takes
13 ms and they are served one at a time (decisions.md#shared-client). So the first trigger of a connection opens the
client, the others join it, and the last one to leave closes it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from yarl import URL

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.calls import Call, GetAsset, GetGeneration
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.ids import check_asset_id, check_generation_id
from airflow_provider_seedance.api.polling import REREAD_INTERVAL
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceTransportError
from airflow_provider_seedance.hooks.endpoint import (
    CONNECT_TIMEOUT,
    USER_AGENT,
    Endpoint,
    warn_if_unencrypted,
)
from airflow_provider_seedance.hooks.failures import Peer, transport_error
from airflow_provider_seedance.hooks.reading import ACCEPT_ENCODING, read_response
from airflow_provider_seedance.hooks.route import proxy_to, trusted

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that an idle connection is kept: longer than any sensible poll interval; aiohttp's default is 15 s.
KEEP_ALIVE = 120.0
#: Seconds after which the connection is read again, in case a person edited it.
ENDPOINT_LIFE = 300.0
#: Connections at once. With polls of 200 ms this carries 1280 polls a second.
MAX_CONNECTIONS = 256
#: Bytes of a response to a poll, a few KB usually: parsing 8 MiB of JSON can hold the event loop up for two seconds.
MAX_POLL = 1024 * 1024
#: What aiohttp raises before a request is sent.
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError, ValueError)


class AsyncClient:
    """
    Sends calls over one session. Obtained from :meth:`SeedanceHook.shared_client`.

    :param conn_id: The connection, resolved at the first call and after :meth:`refresh`.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.users = 0
        self._target: _Target | None = None
        self._read_at = self._reread_at = -math.inf
        self._doubted = False
        self._session: aiohttp.ClientSession | None = None
        self._lock = asyncio.Lock()
        self._failures = 0
        self._failure: Exception | None = None

    async def send(self, call: Call[T]) -> T:
        """
        Send a call to the service, once: the only place where a triggerer does so.

        :param call: One of :mod:`airflow_provider_seedance.api.calls`; a triggerer sends none that costs money.
        :returns: What the call reads from the response.
        :raises SeedanceError: The typed exception of any failure.
        """
        try:
            response = await self._exchange(call)
        except SeedanceError as e:
            return call.read_failure(e)
        return call.read(response)

    async def get_generation(self, generation_id: str) -> Generation:
        """Query a generation, once. Free."""
        return await self.send(GetGeneration(check_generation_id(generation_id)))

    async def get_asset(self, asset_id: str) -> Asset:
        """Query an asset, once. Free."""
        return await self.send(GetAsset(check_asset_id(asset_id)))

    async def _exchange(self, call: Call[Any]) -> Response:
        target = await self._open()
        assert self._session is not None
        url = target.base.with_path(target.prefix + call.path, encoded=True)
        headers = {"Content-Type": "application/json"} if call.body is not None else None
        try:
            async with self._session.request(
                call.method,
                url,
                data=call.body,
                headers=headers,
                allow_redirects=False,
                timeout=target.timeout,
                ssl=target.tls,
                proxy=target.peer.proxy,
            ) as response:
                raw = await _read(response)
        except Exception as e:
            raise transport_error(e, target.peer, sent=not isinstance(e, _NOT_SENT)) from None
        return read_response(response.status, response.headers, raw, target.endpoint, limit=MAX_POLL)

    def refresh(self) -> None:
        """Read the connection again before the next call: it may have been edited. Many may ask; few lookups follow."""
        self._doubted = True

    async def aclose(self) -> None:
        """Close the session."""
        session, self._session, self._target = self._session, None, None
        if session is not None:
            await session.close()

    async def _open(self) -> _Target:
        """Resolve the connection. Those who waited while it failed share the failure instead of trying one by one."""
        if (opened := self._current()) is not None:
            return opened
        before = self._failures
        async with self._lock:
            if (opened := self._current()) is not None:
                return opened
            if self._failures > before and self._failure is not None:
                raise self._failure
            try:
                self._target = await self._resolve()
            except Exception as e:
                if self._target is not None and not self._doubted:
                    self._read_at = time.monotonic()
                    log.warning("%s The earlier one stays in use.", e)
                    return self._target
                self._failure = e
                self._failures += 1
                raise
            self._read_at = time.monotonic()
            if self._doubted:
                self._doubted, self._reread_at = False, self._read_at
            return self._target

    def _current(self) -> _Target | None:
        """Return the target, unless it is old, or in doubt and not just read for that reason."""
        now = time.monotonic()
        is_old = now - self._read_at > ENDPOINT_LIFE
        is_doubtful = self._doubted and now - self._reread_at > REREAD_INTERVAL
        return None if is_old or is_doubtful else self._target

    async def _resolve(self) -> _Target:
        try:
            conn = await get_async_connection(self.conn_id)
        except AirflowNotFoundException:
            raise SeedanceTransportError(
                f"Connection {self.conn_id!r} is not defined where the triggerer can see it.", sent=False
            ) from None
        except Exception as e:  # a secrets backend that is away for a moment; its text may contain anything
            raise SeedanceTransportError(
                f"Connection {self.conn_id!r} cannot be looked up ({type(e).__name__}).", sent=False
            ) from None
        try:
            target = _target_of(Endpoint.from_connection(conn, await get_async_extra_dejson(conn)))
        except SeedanceError:
            raise
        except Exception as e:  # edited while tasks wait, into something that cannot be used
            raise SeedanceTransportError(
                f"Connection {self.conn_id!r} cannot be used ({type(e).__name__}).", sent=False
            ) from None
        if target == self._target:
            return self._target  # with the same TLS context, so that open connections stay in use
        endpoint = target.endpoint
        try:
            tls = await asyncio.to_thread(_tls, target.bundle) if endpoint.base_url.startswith("https") else False
        except Exception as e:
            raise transport_error(e, target.peer, sent=False) from None
        warn_if_unencrypted(endpoint)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": ACCEPT_ENCODING,
                    "User-Agent": USER_AGENT,
                },
                auto_decompress=False,
            )
        self._session.headers["Authorization"] = f"Bearer {endpoint.api_key}"
        return replace(target, tls=tls)


@dataclass(frozen=True, kw_only=True)
class _Target:
    """
    What every request needs to know, made from a connection once rather than at each poll.

    :param endpoint: The connection.
    :param peer: Who is to answer, for messages, and the proxy.
    :param bundle: The certificates to trust, as ``requests`` takes them.
    :param base: The base URL.
    :param prefix: Its path, without a trailing slash.
    :param timeout: The time limits of a call.
    :param tls: The TLS context; False for none. Made of the bundle last, since it is slow.
    """

    endpoint: Endpoint
    peer: Peer
    bundle: bool | str
    base: URL
    prefix: str
    timeout: aiohttp.ClientTimeout
    tls: ssl.SSLContext | bool = field(default=False, compare=False)


def _target_of(endpoint: Endpoint) -> _Target:
    proxy, base = proxy_to(endpoint.base_url, endpoint.proxy), URL(endpoint.base_url)
    return _Target(
        endpoint=endpoint,
        peer=Peer(name=endpoint.base_url, conn_id=endpoint.conn_id, proxy=proxy),
        bundle=trusted(endpoint.verify),
        base=base,
        prefix=base.raw_path.rstrip("/"),
        timeout=aiohttp.ClientTimeout(total=endpoint.timeout, connect=min(CONNECT_TIMEOUT, endpoint.timeout)),
    )


def _tls(bundle: bool | str) -> ssl.SSLContext | bool:
    """Make the one TLS context, as the synchronous client makes its own. Slow, so not on the event loop."""
    if bundle is False:
        return False
    from requests.utils import DEFAULT_CA_BUNDLE_PATH
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context()  # trusts nothing yet, unlike ssl.create_default_context
    context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
    path = bundle if isinstance(bundle, str) else DEFAULT_CA_BUNDLE_PATH
    if Path(path).is_dir():
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(cafile=path)
    return context


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read a body as it came, no longer than one can be."""
    if (response.content_length or MAX_POLL + 1) <= MAX_POLL:
        return await response.read()
    raw = bytearray()
    async for part in response.content.iter_any():
        raw += part
        if len(raw) > MAX_POLL:
            break
    return bytes(raw)


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncClient]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(conn_id: str) -> AsyncIterator[AsyncClient]:
    """Join the client of this event loop and connection; the last to leave closes it."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    client = clients.setdefault(conn_id, AsyncClient(conn_id))
    client.users += 1
    try:
        yield client
    finally:
        client.users -= 1
        if client.users == 0:
            del clients[conn_id]
            await client.aclose()
