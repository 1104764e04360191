"""A peer that misbehaves: plain sockets in threads, and one scripted behaviour for each connection."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

#: What is done with a connection whose request has been read. The event says that the test is over.
Behaviour = Callable[[socket.socket, threading.Event], None]

GENERATION_ID = "asyntask_0123456789abcdef"


@dataclass
class HostilePeer:
    """
    One running peer.

    :param url: Its address.
    :param requests: The requests that it has read.
    :param connections: The connections that it has taken, with or without a request.
    """

    url: str
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def hostile_peer(*behaviours: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[HostilePeer]:
    """
    Run a peer on loopback.

    :param behaviours: What it does with each connection in turn; the last is repeated.
    :param context: Its TLS; None for plain HTTP.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "https" if context else "http"
        peer = HostilePeer(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=_accept, args=(listener, peer, behaviours, context), daemon=True).start()
        yield peer
        peer.over.set()
        listener.shutdown(socket.SHUT_RDWR)


def _accept(
    listener: socket.socket, peer: HostilePeer, behaviours: tuple[Behaviour, ...], context: ssl.SSLContext | None
) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            behaviour = behaviours[min(peer.connections, len(behaviours) - 1)]
            peer.connections += 1
            threading.Thread(target=_serve, args=(client, peer, behaviour, context), daemon=True).start()


def _serve(client: socket.socket, peer: HostilePeer, behaviour: Behaviour, context: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        if getattr(behaviour, "before_the_request", False):
            with client:
                behaviour(client, peer.over)
            return
        with context.wrap_socket(client, server_side=True) if context else client as talking:
            if request := _read_request(talking):
                peer.requests.append(request)
                behaviour(talking, peer.over)


def _read_request(client: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        if not (data := client.recv(65536)):
            return b""
        request += data
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length and (data := client.recv(65536)):
        body += data
    return head + b"\r\n\r\n" + body


# -- what it can do


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = -1) -> bytes:
    """
    Make a response.

    :param length: Its ``Content-Length``; -1 for the true one, None for none: the connection's end is the body's.
    """
    said = [] if length is None else [f"Content-Length: {len(body) if length < 0 else length}"]
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers, *said, "", ""]
    return "\r\n".join(lines).encode() + body


def accepted() -> bytes:
    """Make the body of a paid answer."""
    return json.dumps({"id": GENERATION_ID, "status": "queued"}).encode()


def gzip_bomb(size: int) -> bytes:
    """Make gzip of so many zeros."""
    deflating = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(2**20)
    return b"".join(deflating.compress(zeros) for _ in range(size // len(zeros))) + deflating.flush()


def closes_after(data: bytes) -> Behaviour:
    """Say this and close the connection in order."""

    def behave(client: socket.socket, over: threading.Event) -> None:
        client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        client.settimeout(5)
        client.recv(1)

    return behave


def resets_after(data: bytes) -> Behaviour:
    """Say this and reset the connection, once it has been received."""

    def behave(client: socket.socket, over: threading.Event) -> None:
        client.sendall(data)
        over.wait(0.005)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    return behave


def trickles(data: bytes, drip: bytes = b"x", every: float = 0.02) -> Behaviour:
    """Say this, and then a little more again and again, for as long as anybody listens."""

    def behave(client: socket.socket, over: threading.Event) -> None:
        client.sendall(data)
        while not over.wait(every):
            client.sendall(drip)

    return behave


def breaks_the_handshake(data: bytes = b"", *, reset: bool = False) -> Behaviour:
    """Say this in place of a handshake's answer and hang up."""

    def behave(client: socket.socket, over: threading.Event) -> None:
        client.recv(1)
        client.sendall(data)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            client.shutdown(socket.SHUT_WR)
            client.settimeout(0.2)
            with suppress(OSError):
                while client.recv(65536):
                    pass

    behave.before_the_request = True  # type: ignore[attr-defined]
    return behave


def answers(*responses: bytes) -> Behaviour:
    """Answer the requests of one connection in turn, and keep it open."""

    def behave(client: socket.socket, over: threading.Event) -> None:
        for number, response in enumerate(responses):
            if number and not _read_request(client):
                return
            client.sendall(response)
        over.wait(60)

    return behave
