"""
The structure of result files, checked while their bytes stream by.

An error page, a truncated file or a broken transfer must not pass for a video that was paid for
(contract.md#downloads).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from airflow_provider_seedance.api.media import sniff_format

#: Bytes of the ``moov`` box that are kept to read the duration from. That of a 15 s clip has some 10 KB.
_MOOV_KEPT = 1024 * 1024
#: Bytes that the format of an image is read from.
_HEAD = 32
_PNG_END = b"IEND\xaeB`\x82"


class Mp4Check:
    """
    Follow the boxes of an mp4 in constant memory.

    A whole mp4 begins with ``ftyp``, ends where a box ends, and has ``moov`` and ``mdat`` (ISO 14496-12, 4.2). If its
    last box extends to the end of the file, whatever that is, the sample tables say how far it must reach.
    """

    noun = "mp4"
    content_type = "video/mp4"

    def __init__(self) -> None:
        self._seen: list[bytes] = []
        self._header = bytearray()
        self._left: float = 0
        self._size = 0
        self._moov = bytearray()

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes, any number of them.

        :raises ValueError: If they cannot belong to an mp4.
        """
        at = 0
        self._size += len(data)
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
        Check the file as a whole.

        :returns: Its duration in seconds; None if it does not say.
        :raises ValueError: If it is not a whole mp4.
        """
        if not self._seen:
            raise ValueError("it does not begin like an mp4" if self._header else "it is empty")
        if self._header or self._left not in (0, math.inf):
            raise ValueError("it ends in the middle of a box")
        for name in (b"moov", b"mdat"):
            if name not in self._seen:
                raise ValueError(f"it has no {name.decode()} box")
        moov = bytes(self._moov)
        if self._left and self._size < _end_of_samples(moov):
            raise ValueError("it ends before its last sample")
        return _duration(moov)

    def _header_size(self) -> int:
        """Return the bytes of the current box's header: a size field of 1 announces a longer one."""
        return 16 if self._header[:4] == b"\0\0\0\1" else 8

    def _open_box(self) -> None:
        header = bytes(self._header)
        self._header.clear()
        if not self._seen and header[4:8] != b"ftyp":
            raise ValueError("it does not begin like an mp4")
        size = int.from_bytes(header[8:] or header[:4], "big")
        if size and size < len(header):
            raise ValueError("it has a box of an impossible size")
        self._seen.append(header[4:8])
        self._left = size - len(header) if size else math.inf  # a box of size 0 extends to the end of the file


def _boxes(data: bytes, name: bytes) -> Iterator[bytes]:
    """Yield the contents of the boxes of a name that ``data`` consists of; nothing after a box that is broken."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            return
        if data[at + 4 : at + 8] == name:
            yield data[at + 8 : at + size]
        at += size


def _numbers(box: bytes, at: int, width: int = 4) -> list[int]:
    """Return the numbers in a box from a byte on."""
    return [int.from_bytes(box[i : i + width], "big") for i in range(at, len(box) - width + 1, width)]


def _duration(moov: bytes) -> float | None:
    """Return the seconds in the movie header among the boxes in ``moov``."""
    for box in _boxes(moov, b"mvhd"):
        times, width = (20, 8) if box[:1] == b"\1" else (12, 4)
        scale = int.from_bytes(box[times : times + 4], "big")
        length = int.from_bytes(box[times + 4 : times + 4 + width], "big")
        return round(length / scale, 3) if scale and length else None
    return None


def _end_of_samples(moov: bytes) -> int:
    """Return the byte at which the tracks' last chunks end (ISO 14496-12, 8.7); 0 if the tables do not say."""
    tables = [moov]
    for name in (b"trak", b"mdia", b"minf", b"stbl"):
        tables = [box for table in tables for box in _boxes(table, name)]
    return max(map(_end_of_last_chunk, tables), default=0)


def _end_of_last_chunk(stbl: bytes) -> int:
    offsets = [n for box in _boxes(stbl, b"stco") for n in _numbers(box, 8)]
    offsets += [n for box in _boxes(stbl, b"co64") for n in _numbers(box, 8, 8)]
    runs = [n for box in _boxes(stbl, b"stsc") for n in _numbers(box, 8)]
    sizes = next(_boxes(stbl, b"stsz"), b"")
    count = runs[-2] if len(runs) >= 3 else 0  # the samples in each chunk of the last run
    if not offsets or not count or len(sizes) < 12:
        return 0
    same = int.from_bytes(sizes[4:8], "big")
    return offsets[-1] + (same * count if same else sum(_numbers(sizes, 12)[-count:]))


class ImageCheck:
    """Follow an image: a PNG, as the vendor documents for last frames, or a JPEG or WebP if the service sends one."""

    noun = "image"

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""

    @property
    def content_type(self) -> str:
        """The MIME type of the bytes seen."""
        return f"image/{sniff_format(self._head)}"

    def feed(self, data: bytes) -> None:
        """Take the next bytes, as :meth:`Mp4Check.feed` does."""
        self._head += data[: _HEAD - len(self._head)]
        self._tail = (self._tail + data[-len(_PNG_END) :])[-len(_PNG_END) :]
        if len(self._head) == _HEAD:
            self._check_head()

    def finish(self) -> float | None:
        """Check the file as a whole, as :meth:`Mp4Check.finish` does. Returns None: an image has no duration."""
        self._check_head()
        if self.content_type == "image/png" and self._tail != _PNG_END:
            raise ValueError("it ends before its end marker")
        return None

    def _check_head(self) -> None:
        if sniff_format(self._head) not in ("png", "jpeg", "webp"):
            raise ValueError("it does not begin like an image" if self._head else "it is empty")
