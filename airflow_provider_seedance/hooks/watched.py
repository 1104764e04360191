"""
urllib3 connections that know two things ``requests`` does not report.

Whether a byte of the request was written: the one fact that matters after a paid call (decisions.md#paying-once). And a
deadline for the whole exchange: the timeouts of ``requests`` are per ``recv``, so that headers, ``100 Continue``, the
answer to a CONNECT or a body that trickle would hold a worker for ever. So a socket's timeout is set to what is left
before each ``recv`` and each ``send``.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter

#: Bytes written at a time: what TLS sends as one record.
PIECE = 16 * 1024
#: Bytes of a body within which a paced peer must arrive in each of its periods.
PACE = 1024 * 1024

#: Seconds: for requests of others on our session that set no timeout.
UNLIMITED = 1e7


class Exchange:
    """
    One request and its response, as the connection sees them.

    :param seconds: How long the peer may take for all of it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        #: Whether a byte of the request has been written.
        self.written = False
        self._deadline = time.monotonic() + seconds
        self._idle_since: float | None = None
        self._received = 0

    def left(self) -> float:
        """
        Return the seconds that are left.

        :raises TimeoutError: None are.
        """
        now = time.monotonic()
        if self._idle_since is not None:
            self._deadline += now - self._idle_since
            self._idle_since = now
        if now >= self._deadline:
            raise TimeoutError("timed out")
        return self._deadline - now

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[float]:
        """Allow a part of the exchange no more than its own time; yield what it has."""
        deadline = self._deadline
        if seconds is not None:
            self._deadline = min(deadline, time.monotonic() + seconds)
        try:
            yield self.left()
        finally:
            self._deadline = deadline

    def pace(self) -> None:
        """From here on ask for a MiB in each period instead. What the reader does in between is not the peer's time."""
        self._idle_since = time.monotonic()
        self._deadline = self._idle_since + self.seconds

    def received(self, count: int) -> None:
        """Note that bytes arrived."""
        if self._idle_since is None:
            return
        self._idle_since = time.monotonic()
        self._received += count
        if self._received >= PACE:
            self._received, self._deadline = 0, self._idle_since + self.seconds


class _Thread(threading.local):
    """The exchange of the request that a thread is sending."""

    exchange = Exchange(UNLIMITED)


_thread = _Thread()


class _Received(io.RawIOBase):
    """What a socket receives, in time."""

    def __init__(self, sock: Any, exchange: Exchange) -> None:
        super().__init__()
        self._sock = sock
        self._exchange = exchange
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive some bytes."""
        self._sock.settimeout(self._exchange.left())
        count: int | None = self._raw.readinto(buffer)
        self._exchange.received(count or 0)
        return count

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


class _Socket:
    """As much of a socket as a response needs."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what it receives."""
        return io.BufferedReader(_Received(self._sock, _thread.exchange))


class _Response(http.client.HTTPResponse):
    """Reads headers, those of a CONNECT too, and the body in time."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_Socket(sock), *args, **kwargs)  # type: ignore[arg-type]

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status of the response itself: http.client knows 100 and no other interim response."""
        line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
        while 102 <= line[1] < 200:
            http.client.parse_headers(self.fp)
            line = super()._read_status()  # type: ignore[misc]
        return line


class _WatchedConnection:
    """Mixed into a connection of urllib3. A handshake or a CONNECT is no byte of the request."""

    response_class = _Response
    timeout: float | None
    _connecting = False

    def connect(self) -> None:
        """Connect, through a proxy's tunnel if there is one."""
        self._connecting = True
        try:
            with _thread.exchange.within(self.timeout) as self.timeout:
                super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        """Write a part of the request."""
        if self.sock is None and self.auto_open:  # type: ignore[attr-defined]
            self.connect()
        exchange = _thread.exchange
        for start in range(0, len(data), PIECE):
            self.sock.settimeout(exchange.left())  # type: ignore[attr-defined]
            exchange.written = exchange.written or not self._connecting
            super().send(data[start : start + PIECE])  # type: ignore[misc]


class WatchedAdapter(HTTPAdapter):
    """Makes watched connections, whatever proxy they go through."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, and report to its attribute ``exchange``; the timeout is that of the whole exchange."""
        outer, _thread.exchange = _thread.exchange, getattr(request, "exchange", None) or _exchange(**kwargs)
        try:
            return super().send(request, *args, **kwargs)
        finally:  # a body may be read from another exchange meanwhile
            _thread.exchange = outer

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the manager of connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            _watch(manager)
        return manager


def _exchange(timeout: Any = None, **_: Any) -> Exchange:
    seconds = timeout[-1] if isinstance(timeout, tuple) else timeout
    return Exchange(seconds if isinstance(seconds, int | float) else UNLIMITED)


def _watch(manager: Any) -> None:
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = type("WatchedConnection", (_WatchedConnection, pool.ConnectionCls), {})
        pools[scheme] = type("WatchedPool", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = pools
