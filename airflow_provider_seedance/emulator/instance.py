"""An emulator inside the calling process, and the control of one wherever it runs."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

#: Seconds that a control request may take.
_CONTROL_TIMEOUT = 30


class EmulatorControl:
    """
    Requests faults from an emulator and reads its counters, through its control route.

    :param url: Base URL of an emulator, in this process or another.
    :param api_key: A key that it accepts, for the connection.
    """

    def __init__(self, url: str, api_key: str = "sk-emulator") -> None:
        self.url = url
        self.api_key = api_key
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the emulator's certificate may be wrong on purpose
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
        )

    def connection_json(self) -> str:
        """Return an Airflow connection to the emulator as JSON, for ``AIRFLOW_CONN_SEEDANCE_DEFAULT``."""
        return json.dumps({"conn_type": "seedance", "host": self.url, "password": self.api_key})

    def connection_uri(self) -> str:
        """Return the same connection as a URI."""
        parts = urlsplit(self.url)
        return f"seedance://:{quote(self.api_key, safe='')}@{parts.netloc}/{parts.scheme}"

    def fault(self, **fields: Any) -> None:
        """
        Request a fault.

        :param fields: Those of :class:`~airflow_provider_seedance.emulator.faults.Fault`, for example
            ``route="create", status=429, headers={"Retry-After": "2"}``.
        :raises ValueError: If the fields are unknown, wrong or contradictory.
        """
        self._call("POST", "faults", fields)

    def clear_faults(self) -> None:
        """Remove the faults that are still pending."""
        self._call("DELETE", "faults")

    def reset(self) -> None:
        """Forget generations, assets, faults, counters and remembered requests."""
        self._call("POST", "reset")

    def finish(self) -> None:
        """End every running generation and the processing of every asset now, whatever the speed."""
        self._call("POST", "finish")

    def expire_links(self) -> None:
        """Make every download link given so far expire; the next query gives a new one."""
        self._call("POST", "expire_links")

    def set_api_keys(self, *keys: str) -> None:
        """
        Replace the valid keys, as when a key is rotated.

        :param keys: The only valid keys from now on.
        :raises ValueError: If there is none.
        """
        self._call("POST", "api_keys", list(keys))

    def stats(self) -> dict[str, Any]:
        """
        Return the counters.

        :returns: ``posts``, ``queries``, ``models``, ``downloads`` (requests received), ``requests`` (by route),
            ``created`` (generations made, each charged in advance), ``refunded`` (those that failed), ``billed`` (the
            others), ``billed_tokens``, ``refunded_tokens``, ``asset_groups_created`` and ``assets_created`` (including
            deleted ones), and ``asset_calls_billed`` (both).
        """
        return dict(self._call("GET", "stats"))

    def generations(self) -> list[dict[str, Any]]:
        """
        Return the generations in order of creation.

        :returns: For each: ``id``, ``status``, ``model``, ``mode``, ``created_at``, ``ends_at``, ``total_tokens``,
            ``queries``, ``downloads``, and ``request``, the JSON body as it came.
        """
        return list(self._call("GET", "generations"))

    def assets(self) -> list[dict[str, Any]]:
        """
        Return the assets of all keys in order of creation.

        :returns: For each: ``id``, ``group_id``, ``name``, ``type``, ``model``, ``status``, ``error_code``, ``token``
            (number of the key), ``created_at``, ``ready_at``, and ``url`` if it was created from one.
        """
        return list(self._call("GET", "assets"))

    def asset_groups(self) -> list[dict[str, Any]]:
        """
        Return the groups of all keys in order of creation.

        :returns: For each: ``id``, ``name`` (as sent), ``listed_name``, ``description``, ``token`` (number of the
            key), ``created_at``, and ``assets`` (their ids).
        """
        return list(self._call("GET", "asset_groups"))

    def asset_options(self, **fields: Any) -> None:
        """
        Change how the asset routes behave from now on.

        :param fields: Those of :class:`~airflow_provider_seedance.emulator.asset_library.AssetOptions`, for example
            ``page_cap=10`` or ``missing=["ListAssets"]``.
        :raises ValueError: If a field or value is unknown.
        """
        self._call("POST", "asset_options", fields)

    def requests(self) -> list[dict[str, Any]]:
        """
        Return the latest requests.

        :returns: For each: ``route``, ``method``, ``path`` (without the query), ``headers`` (names in lower case,
            without the key), and ``at`` in Unix seconds.
        """
        return list(self._call("GET", "requests"))

    def _call(self, method: str, name: str, value: Any = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(f"{self.url}/_emulator/{name}", data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=_CONTROL_TIMEOUT) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]) from None


class Emulator(EmulatorControl):
    """
    A running emulator: a server in a thread of its own.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`::

        with Emulator(speed=100) as emulator:
            os.environ["AIRFLOW_CONN_SEEDANCE_DEFAULT"] = emulator.connection_json()

    :param speed: How many times faster than the service. A generation takes 90 s divided by it. Default: 1.
    :param api_keys: The valid keys. Default: ``sk-emulator``.
    :param link_ttl: Life of a download link in seconds of real time, whatever the speed. Default: 12 hours.
    :param moderate_input_words: A prompt that contains one is refused when a generation is created.
    :param moderate_output_words: A generation whose prompt contains one fails at its end.
    :param state: A file that keeps generations, assets, counters, keys and links for an emulator started later, whose
        keys then are those of the file. Default: None, nothing is kept.
    :param asset_shape: How the asset routes respond: ``flat``, or ``wrapped`` under ``Result``. Default: ``flat``.
    :param unknown_assets: What happens to a generation that names an unknown asset: ``refuse`` (default) or ``accept``.
    :param host: Address to listen on. Default: 127.0.0.1.
    :param port: Port to listen on. Default: 0, a free one.
    :param ssl_context: Serves https instead of http.
    :raises ValueError: If a value is not usable.
    """

    def __init__(
        self,
        speed: float = 1.0,
        api_keys: Sequence[str] = ("sk-emulator",),
        link_ttl: int = 12 * 3600,
        *,
        moderate_input_words: Sequence[str] = ("emulator:moderate-input",),
        moderate_output_words: Sequence[str] = ("emulator:moderate-output",),
        state: Path | None = None,
        asset_shape: str = "flat",
        unknown_assets: str = "refuse",
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        from airflow_provider_seedance.emulator.asset_library import AssetOptions
        from airflow_provider_seedance.emulator.world import Settings

        self._settings = Settings(
            speed=speed,
            api_keys=tuple(api_keys),
            link_ttl=link_ttl,
            moderate_input_words=tuple(moderate_input_words),
            moderate_output_words=tuple(moderate_output_words),
            assets=AssetOptions(asset_shape, unknown_assets),
            state=state,
        )
        super().__init__("", self._settings.api_keys[0])
        self._address = (host, port)
        self._ssl_context = ssl_context
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self) -> Self:
        """
        Start the server and wait until it listens.

        :returns: The emulator itself.
        :raises RuntimeError: If PyAV or Pillow is not installed.
        :raises OSError: If the port is taken.
        :raises ValueError: If the state file is of another kind.
        """
        from airflow_provider_seedance.emulator.server import require_codecs

        require_codecs()
        started: Future[str] = Future()
        thread = threading.Thread(target=self._run, args=(started,), name="seedance-emulator", daemon=True)
        thread.start()
        try:
            self.url = started.result()
        except Exception:
            thread.join()
            raise
        self._thread = thread
        return self

    def _run(self, started: Future[str]) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: Future[str]) -> None:
        from airflow_provider_seedance.emulator.server import serve
        from airflow_provider_seedance.emulator.world import World

        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            world = World(self._settings)
            runner, url = await serve(world, *self._address, self._ssl_context)
        except Exception as error:
            started.set_exception(error)
            return
        started.set_result(url)
        try:
            await self._stopping.wait()
        finally:
            await runner.cleanup()
            world.close()

    def stop(self) -> None:
        """Stop the server; requests under way are cut off. Does nothing if it is not running."""
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
