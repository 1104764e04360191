"""
What the service accepts as media, judged by the bytes (contract.md#content-rules, contract.md#assets).

A generation's request carries images and audio as data URIs, which are checked at once. An asset's bytes are checked
while it is ``Processing``. The limits are the same.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_FORMATS = {
    "image": {"jpeg", "png", "gif", "webp", "bmp", "tiff", "heif"},
    "video": {"mp4", "mov"},
    "audio": {"mp3", "wav"},
}
#: Declared media type -> format that the bytes must have.
DECLARED = {
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/heic": "heif",
    "image/heif": "heif",
    "video/mp4": "mp4",
    "video/mov": "mov",
    "video/quicktime": "mov",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
}
_SIGNATURES = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"ID3": "mp3",
    # known, but not supported: Matroska, Ogg, FLAC, SVG
    b"\x1aE\xdf\xa3": "unsupported",
    b"OggS": "unsupported",
    b"fLaC": "unsupported",
    b"<svg": "unsupported",
    b"<?xml": "unsupported",
}
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"), "heif"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"avif", b"avis"), "unsupported"),
    b"qt  ": "mov",
}

_MIB = 1024 * 1024
#: MiB that a file must stay below.
_LARGEST = {"image": 30, "video": 50, "audio": 15}
_SIDES = (300, 6000)
_RATIO = (0.4, 2.5)
#: Pixels of the smallest 480p and the largest 720p frame: only 480p and 720p are accepted.
_VIDEO_PIXELS = (409_600, 927_408)
#: Seconds. Containers round; a sibling of the service refuses from 15.2 s on, not from 15.0 s.
_SECONDS = (2.0, 15.2)
#: Frames per second; the film rate of 24000/1001 counts as 24.
_FPS = (23.97, 60.0)

_DATA_URI = re.compile(r"data:(?P<type>[A-Za-z]+/[A-Za-z0-9.+-]+);base64,", re.IGNORECASE)


class BadMedia(Exception):  # noqa: N818 - a finding of the service, not an error in the emulator
    """
    Media that the service does not accept.

    :param code: ``Error.Code`` of an asset that fails (contract.md#get-asset).
    :param message: What is wrong, without a period.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Medium:
    """
    An image, a video or audio, as far as it is known; zeros and None stand for what is not.

    :param data: The bytes.
    :param width: Width in pixels.
    :param height: Height in pixels.
    :param seconds: Length in seconds.
    """

    data: bytes | None = None
    width: int = 0
    height: int = 0
    seconds: float = 0.0


#: What is known of media behind a URL.
NO_MEDIUM = Medium()


def decode_uri(uri: str) -> tuple[str, bytes]:
    """
    Split a data URI.

    :param uri: ``data:<type>/<format>;base64,<data>``.
    :returns: The declared media type as written, and the bytes.
    :raises BadMedia: If it has another form, or the data is broken or empty.
    """
    head = _DATA_URI.match(uri)
    if head is None:
        raise BadMedia("FormatUndetectable", "a data URI must have the form data:<type>/<format>;base64,<data>")
    return head["type"], decode_base64(uri[head.end() :])


def decode_base64(text: str) -> bytes:
    """
    Decode Base64.

    :param text: The encoded bytes.
    :returns: The bytes, at least one.
    :raises BadMedia: If the data is broken or empty.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadMedia("FormatUndetectable", "the Base64 data cannot be decoded") from None
    if not data:
        raise BadMedia("FormatUndetectable", "the data is empty")
    return data


def is_http_url(text: str) -> bool:
    """Return whether a text is an absolute http(s) URL."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", text)
    except ValueError:
        return False


def inspect(data: bytes, family: str, declared: str | None = None) -> Medium:
    """
    Check bytes against the limits of their family.

    :param data: The bytes.
    :param family: ``image``, ``video`` or ``audio``.
    :param declared: The media type that came with the bytes in lower case; None if none did.
    :returns: What the bytes show.
    :raises BadMedia: If they are of another type or format, or exceed a limit.
    """
    if len(data) >= _LARGEST[family] * _MIB:
        raise BadMedia("FileSizeTooLarge", f"the {family} must be smaller than {_LARGEST[family]} MB")
    found = _format(data)
    if found is None:
        raise BadMedia("FormatUndetectable", f"the format of the {family} cannot be detected")
    if found == "unsupported":
        raise BadMedia("FormatUnsupported", f"the format of the {family} is not supported")
    if declared is not None and declared not in DECLARED:
        raise BadMedia("FormatUnsupported", f"the media type {declared} is not supported")
    if found not in _FORMATS[family]:
        raise BadMedia("TypeMismatch", f"the file is {found}, not {family}")
    if declared is not None and DECLARED[declared] != found:
        raise BadMedia("TypeMismatch", f"the file is {found}, not of the declared format {declared}")
    if found == "heif":  # Pillow does not read it, so its size is unknown and no clip can show it
        return Medium(data)
    return _inspect_image(data) if family == "image" else _inspect_track(data, family)


def _format(data: bytes) -> str | None:
    """Return the format that the first bytes show, ``unsupported`` for a known one, or None."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "mp4")
    if data[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(data[8:12], "unsupported")
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2:  # a bare MPEG audio frame
        return "mp3"
    for start, name in _SIGNATURES.items():
        if data.startswith(start):
            return name
    return None


def _inspect_image(data: bytes) -> Medium:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise BadMedia("WidthTooLarge", f"each side must be {_SIDES[0]} to {_SIDES[1]} px") from None
    except (OSError, ValueError, SyntaxError):
        raise BadMedia("FormatUndetectable", "the image cannot be read") from None
    _check_frame("image", width, height)
    return Medium(data, width, height)


def _check_frame(family: str, width: int, height: int) -> None:
    size = f"the {family} is {width}x{height} px"
    for name, side in (("Width", width), ("Height", height)):
        if not _SIDES[0] <= side <= _SIDES[1]:
            word = "Small" if side < _SIDES[0] else "Large"
            raise BadMedia(f"{name}Too{word}", f"{size}, each side must be {_SIDES[0]} to {_SIDES[1]} px")
    if not _RATIO[0] <= width / height <= _RATIO[1]:
        word = "Small" if width / height < _RATIO[0] else "Large"
        raise BadMedia(f"AspectRatioToo{word}", f"{size}, width/height must be {_RATIO[0]} to {_RATIO[1]}")


def _inspect_track(data: bytes, family: str) -> Medium:
    """Check a file's first video or audio track. Its packets are counted: headers may lack the length or be wrong."""
    import av

    try:
        with av.open(io.BytesIO(data), "r") as container:
            tracks: tuple[Any, ...] = getattr(container.streams, family)
            if not tracks:
                raise BadMedia("TypeMismatch", f"the file has no {family} track")
            track = tracks[0]
            ticks = sum(packet.duration or 0 for packet in container.demux(track))
            seconds = float(ticks * track.time_base) if track.time_base else 0.0
            if family == "audio":
                _check_length(family, seconds)
                return Medium(data, seconds=seconds)
            width, height, fps = track.width, track.height, float(track.average_rate or 0)
    except av.FFmpegError:
        raise BadMedia("FormatUndetectable", f"the {family} cannot be read") from None
    _check_frame(family, width, height)
    least, most = _VIDEO_PIXELS
    if not least <= width * height <= most:
        word = "Small" if width * height < least else "Large"
        raise BadMedia(f"PixelCountToo{word}", f"{width}x{height} px must have {least} to {most} pixels")
    _check_length(family, seconds)
    if not _FPS[0] <= fps <= _FPS[1]:
        raise BadMedia("FpsTooLow" if fps < _FPS[0] else "FpsTooHigh", f"{fps:.2f} frames/s must be 24 to 60")
    return Medium(data, width, height, seconds)


def _check_length(family: str, seconds: float) -> None:
    if not _SECONDS[0] <= seconds <= _SECONDS[1]:
        code = "DurationTooShort" if seconds < _SECONDS[0] else "DurationTooLong"
        raise BadMedia(code, f"the {family} is {seconds:.1f} s long, it must be 2 to 15 s")
