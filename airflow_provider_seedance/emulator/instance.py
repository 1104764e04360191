"""An emulator inside the calling process, and the control of one wherever it runs."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import urllib.error
import urllib.request
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class EmulatorControl:
    """Asks an emulator for faults and reads its counters, through its control routes.

    :param url: base URL of an emulator, in this process or another
    :param api_key: a key that it takes
    """

    def __init__(self, url: str, api_key: str = "sk-emulator") -> None:
        self.url = url
        self.api_key = api_key

    def connection_json(self) -> str:
        """Return an Airflow connection to the emulator, for ``AIRFLOW_CONN_SEEDANCE_DEFAULT``, as JSON."""
        return json.dumps({"conn_type": "seedance", "host": self.url, "password": self.api_key})

    def connection_uri(self) -> str:
        """Return the same connection as a URI."""
        parts = urlsplit(self.url)
        return f"seedance://:{quote(self.api_key, safe='')}@{parts.netloc}/{parts.scheme}"

    def fault(self, **fields: Any) -> None:
        """Ask for a fault.

        :param fields: those of :class:`~airflow_provider_seedance.emulator.faults.Fault`, for instance
            ``route="create", status=429, headers={"Retry-After": "2"}``
        :raises ValueError: contradictory or unknown fields
        """
        self._call("POST", "faults", fields)

    def clear_faults(self) -> None:
        """Forget the faults that have not struck yet."""
        self._call("DELETE", "faults")

    def reset(self) -> None:
        """Forget generations, faults, counters and remembered requests."""
        self._call("POST", "reset")

    def finish(self) -> None:
        """Bring every running generation, and the processing of every asset, to its end now, whatever the speed."""
        self._call("POST", "finish")

    def expire_links(self) -> None:
        """Make every download link given so far expire; the next query gives a fresh one."""
        self._call("POST", "expire_links")

    def set_api_keys(self, *keys: str) -> None:
        """Make these the only valid keys, as when a key is rotated."""
        self._call("POST", "api_keys", list(keys))

    def stats(self) -> dict[str, Any]:
        """Return the counters.

        :returns: ``posts``, ``queries``, ``models``, ``downloads`` (requests received), ``requests`` (by route),
            ``created`` (generations made), ``refunded`` (of these, failed), ``billed`` (the others), ``billed_tokens``,
            ``refunded_tokens``, ``asset_groups_created`` and ``assets_created`` (deleted ones, too), and
            ``asset_calls_billed``
        """
        return dict(self._call("GET", "stats"))

    def generations(self) -> list[dict[str, Any]]:
        """Return what was generated, in order: id, status, model, mode, times, tokens, counters, the request's body."""
        return list(self._call("GET", "generations"))

    def assets(self) -> list[dict[str, Any]]:
        """Return the assets of all keys, in order.

        :returns: id, group_id, name, type, model, status, error_code, token (number of the key), created_at, ready_at,
            url (where it was made from one), sha256 (of its bytes, where it was not)
        """
        return list(self._call("GET", "assets"))

    def asset_groups(self) -> list[dict[str, Any]]:
        """Return the groups of all keys, in order.

        :returns: id, name (as sent), listed_name, description, token (number of the key), created_at, assets (ids)
        """
        return list(self._call("GET", "asset_groups"))

    def asset_options(self, **fields: Any) -> None:
        """Change how the asset routes behave from now on.

        :param fields: those of :class:`~airflow_provider_seedance.emulator.assets.AssetOptions`: ``shape``,
            ``unknown``, ``count_error``
        :raises ValueError: an unknown field or value
        """
        self._call("POST", "asset_options", fields)

    def requests(self) -> list[dict[str, Any]]:
        """Return the latest requests: route, method, path (without query), headers (names in lower case), time."""
        return list(self._call("GET", "requests"))

    def _call(self, method: str, name: str, value: Any = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(f"{self.url}/_emulator/{name}", data, method=method)
        request.add_header("Content-Type", "application/json")
        unverified = ssl._create_unverified_context()  # the emulator's certificate may be wrong on purpose
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
        )
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]) from None


class Emulator(EmulatorControl):
    """A running emulator: a server in a thread of its own, on a free port of the loopback interface.

    Used as a context manager, or with :meth:`start` and :meth:`stop`::

        with Emulator(speed=100) as emulator:
            os.environ["AIRFLOW_CONN_SEEDANCE_DEFAULT"] = emulator.connection_json()

    :param speed: how many times faster than the service; a generation takes 90 s divided by it
    :param api_keys: the valid keys
    :param link_ttl: life of a download link in seconds, real time whatever the speed
    :param body_limit: bytes of the largest create request; a larger one is answered 413
    :param moderate_input_words: a prompt that contains one is refused at create
    :param moderate_output_words: a prompt that contains one fails at its end
    :param state: a file that keeps generations, assets, counters, keys and links for an emulator started later, whose
        keys then are those of the file
    :param asset_shape: ``flat`` or ``wrapped`` (under ``Result``): how the asset routes answer
    :param unknown_assets: ``refuse`` or ``accept``: what a generation that names an asset that is not there gets
    :param host: address to listen on
    :param port: 0 takes any free one
    :param ssl_context: serves https instead of http
    """

    def __init__(
        self,
        speed: float = 1.0,
        api_keys: Sequence[str] = ("sk-emulator",),
        link_ttl: int = 12 * 3600,
        *,
        body_limit: int = 64 * 1024 * 1024,
        moderate_input_words: Sequence[str] = ("emulator:moderate-input",),
        moderate_output_words: Sequence[str] = ("emulator:moderate-output",),
        state: Path | None = None,
        asset_shape: str = "flat",
        unknown_assets: str = "refuse",
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        from airflow_provider_seedance.emulator.assets import AssetOptions
        from airflow_provider_seedance.emulator.world import Settings

        self._settings = Settings(
            speed=speed,
            api_keys=tuple(api_keys),
            link_ttl=link_ttl,
            body_limit=body_limit,
            moderate_input_words=tuple(moderate_input_words),
            moderate_output_words=tuple(moderate_output_words),
            state=state,
            assets=AssetOptions(asset_shape, unknown_assets),
        )
        super().__init__("", self._settings.api_keys[0])
        self._address = (host, port)
        self._ssl_context = ssl_context
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self) -> Self:
        """Start the server and wait until it listens.

        :raises RuntimeError: PyAV or Pillow is not installed
        :raises OSError: the port is taken
        :raises ValueError: the state file is something else
        """
        from airflow_provider_seedance.emulator.server import require_codecs

        require_codecs()
        started: list[BaseException | None] = []
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started, ready)), name="seedance-emulator", daemon=True
        )
        self._thread.start()
        ready.wait()
        if started[0] is not None:
            self._thread.join()
            raise started[0]
        return self

    async def _serve(self, started: list[BaseException | None], ready: threading.Event) -> None:
        from airflow_provider_seedance.emulator.server import serve
        from airflow_provider_seedance.emulator.world import World

        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            world = World(self._settings)
            runner, self.url = await serve(world, *self._address, self._ssl_context)
        except Exception as error:
            started.append(error)
            ready.set()
            return
        started.append(None)
        ready.set()
        try:
            await self._stopping.wait()
        finally:
            await runner.cleanup()
            world.close()

    def stop(self) -> None:
        """Stop the server; requests under way are cut off."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
