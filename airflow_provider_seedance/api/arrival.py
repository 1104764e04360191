"""
What arrives over a result's link, judged as its bytes come by: the answer's head, and the file's structure.

A broken transfer, an error page and a truncated file must not pass for a video that was paid for (contract 13).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_seedance.api.media import sniff_format
from airflow_provider_seedance.exceptions import SeedanceServiceError

#: Bytes of the ``moov`` box that are kept to look for the duration. That of a 15 s clip has some 10 KB.
_MOOV_KEPT = 1024 * 1024
_PNG_END = b"IEND\xaeB`\x82"


class LinkRefusedError(SeedanceServiceError):
    """A link is refused or answers with an error: a fresh one may do."""


@dataclass(frozen=True)
class LinkAnswer:
    """
    How a storage answers a request for a file from some byte on.

    :param size: Bytes of the whole file; None where it does not say.
    :param skip: Bytes to pass over: it sends the file from its beginning, whatever was asked for.
    :param etag: Its name for these very bytes.
    """

    size: int | None
    skip: int
    etag: str | None


def read_link_answer(status: int, headers: Mapping[str, str], *, start: int) -> LinkAnswer:
    """
    Read the head of a storage's answer.

    :param headers: Looked up in any case.
    :param start: The byte that was asked for.
    :raises LinkRefusedError: where it sends no file.
    """
    if status == 200:
        length = headers.get("Content-Length", "")
        return LinkAnswer(int(length) if length.isdigit() else None, start, headers.get("ETag"))
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
        if found and int(found[1]) == start:
            return LinkAnswer(int(found[2]) if found[2] != "*" else None, 0, headers.get("ETag"))
        raise LinkRefusedError("The storage sends another part of the file than was asked for.", status=status)
    if status in (403, 404, 410):
        raise LinkRefusedError(f"The link is refused (HTTP {status}).", status=status)
    raise LinkRefusedError(f"The storage answers HTTP {status}.", status=status)


class Mp4Check:
    """
    Follows the boxes of an mp4 as its bytes come by, in constant memory.

    A whole one begins with ``ftyp``, ends where a box ends, and has ``moov`` and ``mdat`` (ISO 14496-12, 4.2).
    """

    noun = "mp4"
    content_type = "video/mp4"

    def __init__(self) -> None:
        self._seen: list[bytes] = []
        self._header = bytearray()
        self._left: float = 0
        self._moov = bytearray()

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes.

        :raises ValueError: where they cannot be an mp4's.
        """
        at = 0
        while at < len(data):
            if self._left:
                end = int(min(at + self._left, len(data)))
                if self._seen[-1] == b"moov" and len(self._moov) < _MOOV_KEPT:
                    self._moov += data[at:end]
                self._left -= end - at
            else:
                end = min(at + self._header_size() - len(self._header), len(data))
                self._header += data[at:end]
                if len(self._header) == self._header_size():
                    self._open_box()
            at = end

    def finish(self) -> float | None:
        """
        Judge the whole.

        :returns: Its duration in seconds, where it says one.
        :raises ValueError: where it is not a whole mp4.
        """
        if not self._seen:
            raise ValueError("it is empty" if not self._header else "it does not begin as one")
        if self._header or self._left not in (0, math.inf):
            raise ValueError("it ends in the middle of a box")
        for name in (b"moov", b"mdat"):
            if name not in self._seen:
                raise ValueError(f"it has no {name.decode()} box")
        return _duration(bytes(self._moov))

    def _header_size(self) -> int:
        """Bytes of the header at hand: it is longer where it says so in its first four."""
        return 16 if self._header[:4] == b"\0\0\0\1" else 8

    def _open_box(self) -> None:
        header = bytes(self._header)
        self._header.clear()
        if not self._seen and header[4:8] != b"ftyp":
            raise ValueError("it does not begin as one")
        size = int.from_bytes(header[8:] or header[:4], "big")
        if size and size < len(header):
            raise ValueError("it holds a box of an impossible size")
        self._seen.append(header[4:8])
        self._left = size - len(header) if size else math.inf  # a box of size 0 goes on to the end


def _duration(moov: bytes) -> float | None:
    """Read the movie header among the boxes in ``moov``."""
    at = 0
    while at + 8 <= len(moov):
        size, name = int.from_bytes(moov[at : at + 4], "big"), moov[at + 4 : at + 8]
        if name == b"mvhd":
            box = moov[at + 8 : at + size]
            times, wide = (20, 8) if box[:1] == b"\1" else (12, 4)
            scale = int.from_bytes(box[times : times + 4], "big")
            length = int.from_bytes(box[times + 4 : times + 4 + wide], "big")
            return round(length / scale, 3) if scale and length else None
        if size < 8:
            break
        at += size
    return None


class ImageCheck:
    """Follows an image as its bytes come by: a PNG (contract 7, ``return_last_frame``), or another if it comes so."""

    noun = "image"

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._format: str | None = None

    @property
    def content_type(self) -> str:
        """The type that the bytes have."""
        return f"image/{self._format}"

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes.

        :raises ValueError: where they cannot be an image's.
        """
        if len(self._head) < 32:
            self._head += data[:32]
            self._format = sniff_format(self._head)
            if len(self._head) >= 32 and self._format not in ("png", "jpeg", "webp"):
                raise ValueError("it does not begin as one")
        self._tail = (self._tail + data[-len(_PNG_END) :])[-len(_PNG_END) :]

    def finish(self) -> float | None:
        """
        Judge the whole.

        :returns: None: an image has no duration.
        :raises ValueError: where it is not a whole image.
        """
        if self._format not in ("png", "jpeg", "webp"):
            raise ValueError("it does not begin as one" if self._head else "it is empty")
        if self._format == "png" and self._tail != _PNG_END:
            raise ValueError("it ends before its end mark")
        return None
