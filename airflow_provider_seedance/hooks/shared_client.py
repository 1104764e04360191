"""
The asynchronous client of the triggerer: one per event loop and connection, shared by all triggers.

A session, a TLS context or a connection lookup per trigger is what makes a triggerer slow: the lookup alone takes
13 ms and they are served one at a time. So the first trigger of a connection opens the client, the others join it, and
the last one to leave closes it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from yarl import URL

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.hooks.assets import ASSET_PATH, read_asset_answer
from airflow_provider_seedance.hooks.endpoint import Endpoint, warn_if_in_clear
from airflow_provider_seedance.hooks.seedance import GENERATIONS_PATH, read_generation
from airflow_provider_seedance.hooks.transport import CONNECT_TIMEOUT, Answer, TransportError, parse_body

#: Seconds that an idle connection is kept: longer than any sensible poll interval, where aiohttp's default is 15 s.
KEEP_ALIVE = 120.0
#: Connections at once. With polls of 200 ms it carries 1280 of them a second.
MAX_CONNECTIONS = 256


class SharedClient:
    """
    Asks for generations over one session. Got from :meth:`SeedanceHook.shared_client`.

    :param conn_id: The connection, resolved at the first question and after :meth:`refresh`.
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

    async def get_generation(self, generation_id: str) -> Generation:
        """
        Ask for a generation, once. Costs nothing.

        :raises SeedanceError: The typed exception of any failure.
        """
        endpoint = await self._open()
        answer = await self._ask(endpoint, "GET", f"{GENERATIONS_PATH}/{generation_id}")
        return read_generation(answer, generation_id, endpoint)

    async def get_asset(self, asset_id: str) -> Asset:
        """
        Ask for an asset, once. Costs nothing.

        :raises SeedanceError: The typed exception of any failure.
        """
        endpoint = await self._open()
        answer = await self._ask(endpoint, "POST", f"{ASSET_PATH}GetAsset", json={"Id": asset_id})
        return Asset.from_response(read_asset_answer("GetAsset", answer, endpoint), asset_id=asset_id)

    async def _ask(self, endpoint: Endpoint, method: str, path: str, **body: Any) -> Answer:
        assert self._session is not None
        url = self._base.with_path(self._base_path + path, encoded=True)
        try:
            async with self._session.request(method, url, **self._options, **body) as response:
                raw = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as e:
            # the type alone: the texts of aiohttp can hold an address
            raise TransportError(f"{endpoint.base_url} did not answer ({type(e).__name__}).") from None
        headers = {} if response.status == 200 else {name.lower(): text for name, text in response.headers.items()}
        if response.status in (401, 403):
            self._refused = endpoint
        return Answer(response.status, headers, parse_body(raw))

    def refresh(self) -> None:
        """Have a connection whose key was refused read afresh: once, however many triggers were refused with it."""
        if self._endpoint is self._refused:
            self._endpoint = None

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
        except AirflowNotFoundException as e:
            raise SeedanceRequestError(
                f"Connection {self.conn_id!r} is not defined where the triggerer can see it: {e}",
                field="seedance_conn_id",
            ) from None
        endpoint = Endpoint.from_connection(conn, await get_async_extra_dejson(conn))
        warn_if_in_clear(endpoint)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        self._base = URL(endpoint.base_url)
        self._base_path = self._base.raw_path.rstrip("/")
        self._session.headers.update({"Authorization": f"Bearer {endpoint.api_key}", "Accept": "application/json"})
        self._options = {
            "allow_redirects": False,
            "timeout": aiohttp.ClientTimeout(total=endpoint.timeout, connect=min(CONNECT_TIMEOUT, endpoint.timeout)),
            "ssl": await asyncio.to_thread(_tls, endpoint.verify) if endpoint.base_url.startswith("https") else False,
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


def _environment_proxy(url: str) -> str | None:
    """What requests would use; aiohttp's own ``trust_env`` reads a netrc file at every request."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy: str | None = select_proxy(url, get_environ_proxies(url))
    return proxy


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedClient]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(conn_id: str) -> AsyncIterator[SharedClient]:
    """Join the client of this event loop and connection; the last to leave closes it."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    client = clients.setdefault(conn_id, SharedClient(conn_id))
    client.users += 1
    try:
        yield client
    finally:
        client.users -= 1
        if client.users == 0:
            del clients[conn_id]
            await client.aclose()
