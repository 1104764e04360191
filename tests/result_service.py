"""A service with one finished generation, whose file a test makes, spoils and breaks off as it likes."""

from __future__ import annotations

import json
import random
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

GENERATION_ID = "asyntask_x"
MIB = 2**20

_Body = TypeVar("_Body", bytes, memoryview)


def mp4(size: int) -> bytes:
    """Make the smallest whole mp4 of so many bytes, no two parts of which are the same."""
    head = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08moov" + (size - 24).to_bytes(4, "big") + b"mdat"
    return head + random.Random(size).randbytes(size - len(head))


class ResultService(ThreadingHTTPServer):
    """
    The service and its storage in one.

    :param data: The file's bytes, as video and as last frame. May be replaced at any time.
    :attr breaks: After how many bytes of its body each of the next downloads breaks off.
    :attr pause_at: Byte at which downloads stop, until ``resume`` is set.
    :attr response: Sent to a query instead of the generation.
    :attr takes_ranges: Whether it heeds ``Range``.
    :attr ranges: The ``Range`` of each download so far.
    """

    daemon_threads = True

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data
        self.breaks: list[int] = []
        self.pause_at: int | None = None
        self.resume = threading.Event()
        self.takes_ranges = True
        self.response: bytes | None = None
        self.ranges: list[str | None] = []
        self.links = self.expired = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def expire_links(self) -> None:
        """Let all links die that were given out."""
        self.expired = self.links

    def generation(self, generation_id: str = GENERATION_ID) -> bytes:
        """Make the response to a query, with a link of its own."""
        if self.response is not None:
            return self.response
        self.links += 1
        link = f"{self.url}/{self.links}/file"
        content = {"video_url": link, "last_frame_url": link}
        task = {"task_id": generation_id, "status": "SUCCESS", "result_url": link, "data": {"content": content}}
        return json.dumps({"data": task}).encode()


@contextmanager
def result_service(data: bytes) -> Iterator[ResultService]:
    """Run one."""
    with ResultService(data) as service:
        threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
        yield service
        service.resume.set()
        service.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: ResultService

    def do_GET(self) -> None:
        service = self.server
        if self.path.startswith("/v1/"):
            self.wfile.write(self._head(200, service.generation(self.path.rpartition("/")[2])))
        elif int(self.path.split("/")[1]) <= service.expired:
            self.wfile.write(self._head(403, b"<Error><Code>AccessDenied</Code></Error>"))
        else:
            self._download(service, self.headers.get("Range"))

    def _download(self, service: ResultService, asked: str | None) -> None:
        service.ranges.append(asked)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "")
        size = len(service.data)
        if wanted and service.takes_ranges:
            start, stop = int(wanted[1]), int(wanted[2] or size - 1) + 1
            body = self._head(206, memoryview(service.data)[start:stop], f"bytes {start}-{stop - 1}/{size}")
        else:
            body = self._head(200, memoryview(service.data))
        if service.breaks:
            body = body[: service.breaks.pop(0)]
        pause_at = service.pause_at
        if pause_at is not None:
            self.wfile.write(body[:pause_at])
            service.resume.wait(60)
            body = body[pause_at:]
        self.wfile.write(body)

    def _head(self, status: int, body: _Body, content_range: str | None = None) -> _Body:
        """Send all but the body, and give it back."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{zlib.crc32(self.server.data)}"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        return body

    def log_message(self, *args: object) -> None:
        """Say nothing."""
