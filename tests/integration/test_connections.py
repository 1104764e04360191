"""Which connections the two clients make, keep and give away, against a server that sees each of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider_seedance.api.limits import DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.exceptions import SeedanceError
from airflow_provider_seedance.hooks.seedance import SeedanceHook

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4}
RUNNING = {"code": "success", "data": {"task_id": "asyntask_1", "status": "IN_PROGRESS"}}


class Peer(ThreadingHTTPServer):
    """
    A service that notes of each request its method, path, connection and headers, and keeps connections open.

    :attr extra: Headers of its responses.
    :attr status: Status of its responses.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, int, dict[str, str]]] = []
        self.extra: dict[str, str] = {}
        self.status = 200

    @property
    def connections(self) -> list[int]:
        """The client's port of each request."""
        return [port for _, _, port, _ in self.seen]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, self.client_address[1], headers))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"data": []} if self.path == "/v1/models" else RUNNING).encode()
        self.send_response(self.server.status)
        for name, value in {**self.server.extra, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def peer(connect: Callable[..., None]) -> Iterator[Peer]:
    """A peer, which ``seedance_default`` points to by a name, because cookies are kept for names only."""
    with Peer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connect(host=f"http://localhost:{server.server_port}")
        yield server
        server.shutdown()
        thread.join()


def test_paid_call_gets_a_connection_of_its_own_and_reads_share_one(peer: Peer) -> None:
    hook = SeedanceHook()
    hook.list_models()
    hook.list_models()
    hook.create_generation(BODY)
    first, second, paid = peer.connections
    assert first == second != paid


async def test_shared_client_keeps_its_connection_between_polls(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: time.monotonic() + passed[0])
    async with SeedanceHook().shared_client() as client:
        for _ in range(3):
            await client.get_generation("asyntask_1")
            passed[0] += DEFAULT_POLL_INTERVAL * 1.1
    assert len(set(peer.connections)) == 1
    assert len(peer.seen) == 3


async def test_shared_client_follows_no_redirect(peer: Peer) -> None:
    peer.status, peer.extra = 302, {"Location": "/elsewhere"}
    async with SeedanceHook().shared_client() as client:
        with pytest.raises(SeedanceError):
            await client.get_generation("asyntask_1")
    assert [path for _, path, _, _ in peer.seen] == ["/v1/video/generations/asyntask_1"]


async def test_shared_client_keeps_no_cookies(peer: Peer) -> None:
    peer.extra = {"Set-Cookie": "route=node7; Path=/"}
    async with SeedanceHook().shared_client() as client:
        await client.get_generation("asyntask_1")
        await client.get_generation("asyntask_1")
    assert ["cookie" in headers for *_, headers in peer.seen] == [False, False]
