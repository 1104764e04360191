"""A file upload as the service takes it: ``multipart/form-data``, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO, Protocol

_CHUNK = 1024 * 1024


class Upload(Protocol):
    """
    A file to upload.

    :param digest: SHA-256 of its content, in hexadecimal.
    :param size: Bytes.
    :param filename: The name that it is uploaded under.
    """

    @property
    def digest(self) -> str:
        """The hash of its content."""

    @property
    def size(self) -> int:
        """Its length."""

    @property
    def filename(self) -> str:
        """Its name."""

    def open(self) -> AbstractContextManager[IO[bytes]]:
        """Open it for reading."""


class Multipart:
    """
    A body that streams its file; ``requests`` would hold the file in memory.

    :param fields: The text fields.
    :param upload: The file.
    """

    def __init__(self, fields: Mapping[str, str], upload: Upload) -> None:
        self._upload = upload
        boundary = upload.digest[:32]
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{upload.filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        """Return the bytes to send, for the ``Content-Length`` header."""
        return len(self._head) + self._upload.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body; each iteration opens the file again."""
        yield self._head
        with self._upload.open() as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield self._tail
