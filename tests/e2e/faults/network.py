"""A connection that can be cut: a TCP relay to a server on this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Wire:
    """
    A relay that listens on its own port and passes everything on to a server, both ways.

    :param url: The server's base URL.

    ``url`` is the relay's own base URL, which does not change.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (str(parts.hostname), int(parts.port or 80))
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._silent = False
        self._address = ("127.0.0.1", 0)
        self._listener: socket.socket | None = None
        self._listen()
        self.url = "http://{}:{}".format(*self._address)

    def cut(self, *, silently: bool) -> None:
        """
        Let nothing through.

        :param silently: Nothing answers any more, as when packets are dropped. Otherwise connections end and are
            refused.
        """
        self._silent = silently
        if not silently:
            self.close()

    def mend(self) -> None:
        """Let connections through again; earlier ones are lost."""
        self.close()
        self._silent = False
        self._listen()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _end(listener)
        with self._lock:
            for end in self._ends:
                _end(end)
            self._ends.clear()

    def _listen(self) -> None:
        self._listener = socket.create_server(self._address)
        self._address = self._listener.getsockname()
        threading.Thread(target=self._accept, args=(self._listener,), name="wire", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._server)
            with self._lock:
                self._ends |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, target), name="wire", daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._silent:
                    target.sendall(data)
        _end(target)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
