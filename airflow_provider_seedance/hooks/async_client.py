"""
The asynchronous client of the triggerer: one per event loop and connection, shared by all triggers.

A session, a TLS context or a connection lookup per trigger is what makes a triggerer slow: the lookup alone takes
13 ms and they are served one at a time (decisions.md#shared-client). So the first trigger of a connection opens the
client, the others join it, and the last one to leave closes it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceTransportError
from airflow_provider_seedance.hooks.endpoint import (
    CONNECT_TIMEOUT,
    MAX_RESPONSE,
    USER_AGENT,
    Endpoint,
    warn_if_unencrypted,
)

T = TypeVar("T")

#: Seconds that an idle connection is kept: longer than any sensible poll interval; aiohttp's default is 15 s.
KEEP_ALIVE = 120.0
#: Connections at once. With polls of 200 ms this carries 1280 polls a second.
MAX_CONNECTIONS = 256


class AsyncClient:
    """
    Sends calls over one session. Obtained from :meth:`SeedanceHook.shared_client`.

    :param conn_id: The connection, resolved at the first call and after :meth:`refresh`.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.users = 0
        self._endpoint: Endpoint | None = None
        self._refused: Endpoint | None = None
        self._session: aiohttp.ClientSession | None = None
        self._options: dict[str, Any] = {}
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
        endpoint = await self._open()
        assert self._session is not None
        url = self._base.with_path(self._base_path + call.path, encoded=True)
        headers = {"Content-Type": "application/json"} if call.body is not None else None
        try:
            async with self._session.request(
                call.method, url, data=call.body, headers=headers, **self._options
            ) as response:
                raw = await _read(response)
        except OverflowError:
            raise SeedanceTransportError(f"The response from {endpoint.base_url} was too large.") from None
        except Exception as e:
            # the type alone: the texts of aiohttp can contain an address
            raise SeedanceTransportError(f"{endpoint.base_url} did not answer ({type(e).__name__}).") from None
        kept = {} if response.status == 200 else response.headers
        if response.status in (401, 403):
            self._refused = endpoint
        return Response.of(response.status, raw, kept, conn_id=endpoint.conn_id, key=endpoint.api_key)

    def refresh(self) -> None:
        """Read the connection again if its key was refused: once, however many triggers were."""
        if self._endpoint is self._refused:
            self._endpoint = None

    @property
    def is_open(self) -> bool:
        """Whether it has an open session."""
        return self._session is not None and not self._session.closed

    async def aclose(self) -> None:
        """Close the session."""
        session, self._session, self._endpoint = self._session, None, None
        if session is not None:
            await session.close()

    async def _open(self) -> Endpoint:
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
                self._endpoint = await self._resolve()
            except Exception as e:
                self._failure = e
                self._failures += 1
                raise
            return self._endpoint

    def _current(self) -> Endpoint | None:
        return self._endpoint

    async def _resolve(self) -> Endpoint:
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
            endpoint = Endpoint.from_connection(conn, await get_async_extra_dejson(conn))
            tls = await asyncio.to_thread(_tls, endpoint.verify) if endpoint.base_url.startswith("https") else False
            base = URL(endpoint.base_url)
        except SeedanceError:
            raise
        except Exception as e:  # edited while tasks wait, into something that cannot be used
            raise SeedanceTransportError(
                f"Connection {self.conn_id!r} cannot be used ({type(e).__name__}).", sent=False
            ) from None
        warn_if_unencrypted(endpoint)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "User-Agent": USER_AGENT},
            )
        self._base = base
        self._base_path = self._base.raw_path.rstrip("/")
        self._session.headers["Authorization"] = f"Bearer {endpoint.api_key}"
        self._options = {
            "allow_redirects": False,
            "timeout": aiohttp.ClientTimeout(total=endpoint.timeout, connect=min(CONNECT_TIMEOUT, endpoint.timeout)),
            "ssl": tls,
            "proxy": endpoint.proxy or _environment_proxy(endpoint.base_url),
        }
        return endpoint


def _tls(verify: bool | str) -> ssl.SSLContext | bool:
    """Make the one TLS context, trusting what the synchronous client trusts. Slow, so not on the event loop."""
    if verify is False:
        return False
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context()
    bundle = verify if isinstance(verify, str) else _environment_bundle() or DEFAULT_CA_BUNDLE_PATH
    if Path(bundle).is_dir():
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


def _environment_bundle() -> str | None:
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """
    Read a body.

    :raises OverflowError: It is larger than any response of the service.
    """
    if "Content-Encoding" not in response.headers and (response.content_length or MAX_RESPONSE + 1) <= MAX_RESPONSE:
        return await response.read()
    raw = bytearray()
    async for part in response.content.iter_any():
        raw += part
        if len(raw) > MAX_RESPONSE:
            raise OverflowError
    return bytes(raw)


def _environment_proxy(url: str) -> str | None:
    """Return the proxy that requests would use; aiohttp's own ``trust_env`` reads a netrc file at every request."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy: str | None = select_proxy(url, get_environ_proxies(url))
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


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
