"""An HTTP proxy in this process, with the ways in which real ones fail."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

#: ``forward`` works. ``reset`` and ``close`` hang up while the answer is awaited, ``drop`` does when the tunnel stands,
#: ``hang`` never answers, and a number is the status with which a CONNECT is refused.
Way = Literal["forward", "reset", "close", "drop", "hang"] | int


@dataclass
class Proxy:
    """
    One running proxy.

    :param url: Its address.
    :param targets: What it was asked to pass on to, in order.
    """

    url: str
    targets: list[str] = field(default_factory=list)


@contextmanager
def proxy(way: Way, until: Callable[[], bool] = lambda: False) -> Iterator[Proxy]:
    """
    Run a proxy on loopback.

    :param way: What it does with each request, plain or by CONNECT.
    :param until: For ``reset`` and ``close``: says that the service has read the request, whereupon it hangs up.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=_accept, args=(listener, running, way, until), daemon=True).start()
        yield running
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, running: Proxy, way: Way, until: Callable[[], bool]) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, running, way, until), daemon=True).start()


def _serve(client: socket.socket, running: Proxy, way: Way, until: Callable[[], bool]) -> None:
    with client, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536) or b"\r\n\r\n"
        method, target, _ = head.split(b" ", 2)
        running.targets.append(target.decode())
        if isinstance(way, int):
            client.sendall(f"HTTP/1.1 {way} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        if way == "hang":
            client.recv(1)
            return
        if way == "drop":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return
        authority = target if method == b"CONNECT" else target.split(b"/")[2]
        host, _, port = authority.decode().rpartition(":")
        with socket.create_connection((host, int(port))) as service:
            if method == b"CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                service.sendall(head.replace(target, b"/" + target.split(b"/", 3)[3], 1))
            back = threading.Thread(target=_pump, args=(service, client), daemon=True)
            back.start()
            forth = threading.Thread(target=_pump, args=(client, service), daemon=True)
            forth.start()
            while back.is_alive() and not (way in ("reset", "close") and until()):
                time.sleep(0.005)
            if way == "reset":
                client.shutdown(socket.SHUT_RD)  # no thread may hold the socket when it is closed
                forth.join()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                client.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
