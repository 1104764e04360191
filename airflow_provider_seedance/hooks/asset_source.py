"""The body that uploads an asset's file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

from airflow_provider_seedance.files.inputs import AssetSource

_CHUNK = 1024 * 1024


class Multipart:
    """
    A ``multipart/form-data`` body that streams its file; ``requests`` would hold the file whole.

    :param fields: The text fields.
    :param source: The file.
    """

    def __init__(self, fields: dict[str, str], source: AssetSource) -> None:
        self._source = source
        boundary = hashlib.sha256(source.digest.encode()).hexdigest()[:32]
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = io.BytesIO()
        for name, value in fields.items():
            head.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
        head.write(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{source.filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
        )
        self._head = head.getvalue()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        """Return the bytes to send, so that the request says them."""
        return len(self._head) + self._source.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body, opening the file anew."""
        yield self._head
        with self._source.open() as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield self._tail
