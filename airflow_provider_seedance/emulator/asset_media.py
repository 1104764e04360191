"""Judging the bytes of an asset, as the service does while the asset is ``Processing``: limits of contract 4."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedance.emulator.media import sniff

_FORMATS = {
    "Image": {"jpeg", "png", "gif", "webp", "bmp", "tiff", "heif"},
    "Video": {"mp4", "mov"},
    "Audio": {"mp3", "wav"},
}
#: media type of a data URI -> the format that the bytes must have
_DECLARED = {
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
    "audio/x-wav": "wav",
}
#: first bytes of formats that are told apart from garbage, but not taken: Matroska, Ogg, FLAC, AVI and the like
_UNSUPPORTED = (b"\x1aE\xdf\xa3", b"OggS", b"fLaC", b"RIFF", b"<svg", b"<?xml")
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"}
_OTHER_BRANDS = {b"M4A ", b"M4B ", b"avif", b"avis"}

_MIB = 1024 * 1024
_LARGEST = {"Image": 30 * _MIB, "Video": 50 * _MIB, "Audio": 15 * _MIB}  # must be smaller than this
_SIDES = (300, 6000)
_RATIO = (0.4, 2.5)
#: pixels of the smallest 480p and the largest 720p frame: contract 4 takes 480p and 720p only
_VIDEO_PIXELS = (409_600, 927_408)
_SECONDS = (2.0, 15.2)  # containers round; a sibling of the service was seen to refuse from 15.2 s on
_FPS = (23.97, 60.0)  # the film rate of 24000/1001 counts as 24


class BadMedia(Exception):  # noqa: N818 - a finding of the service, not a fault of the emulator
    """Bytes that make an asset end as ``Failed``.

    :param code: ``Error.Code`` of contract 4.3
    :param message: ``Error.Message``
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Facts:
    """What the bytes tell: sides in pixels and length in seconds, 0 where there is none or it cannot be known."""

    width: int = 0
    height: int = 0
    seconds: float = 0.0


def inspect(data: bytes, asset_type: str, declared: str | None = None) -> Facts:
    """Judge the bytes of an asset.

    :param asset_type: ``Image``, ``Video`` or ``Audio``
    :param declared: the media type that came with the bytes, or None where none binds them
    :raises BadMedia: another type or format, or beyond a limit of contract 4
    """
    if len(data) >= _LARGEST[asset_type]:
        raise BadMedia("FileSizeTooLarge", f"the file must be smaller than {_LARGEST[asset_type] // _MIB} MB")
    found = _found(data)
    if found is None:
        raise BadMedia("FormatUndetectable", "the format of the file cannot be detected")
    if declared is not None and declared.lower() not in _DECLARED:
        raise BadMedia("FormatUnsupported", f"the media type {declared} is not supported")
    if not any(found in formats for formats in _FORMATS.values()):
        raise BadMedia("FormatUnsupported", "the format of the file is not supported")
    if found not in _FORMATS[asset_type]:
        raise BadMedia("TypeMismatch", f"the file is {found}, which is no {asset_type.lower()}")
    if declared is not None and _DECLARED[declared.lower()] != found:
        raise BadMedia("TypeMismatch", f"the file is {found}, not {declared}")
    if asset_type == "Image":
        return _image(data, found)
    return _video(data) if asset_type == "Video" else _audio(data)


def _found(data: bytes) -> str | None:
    """Return the format of the first bytes, ``unsupported`` for one that is known but not taken, or None."""
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in _HEIF_BRANDS:
            return "heif"
        return "unsupported" if brand in _OTHER_BRANDS else "mov" if brand == b"qt  " else "mp4"
    return sniff(data) or ("unsupported" if data.startswith(_UNSUPPORTED) else None)


def _image(data: bytes, found: str) -> Facts:
    if found == "heif":  # Pillow does not read it
        return Facts()
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise BadMedia("WidthTooLarge", f"each side must be {_SIDES[0]} to {_SIDES[1]} px") from None
    except (OSError, ValueError, SyntaxError):
        raise BadMedia("FormatUndetectable", "the image cannot be read") from None
    _check_frame(width, height)
    return Facts(width, height)


def _check_frame(width: int, height: int) -> None:
    for name, side in (("Width", width), ("Height", height)):
        if not _SIDES[0] <= side <= _SIDES[1]:
            word = "Small" if side < _SIDES[0] else "Large"
            raise BadMedia(f"{name}Too{word}", f"{name.lower()} is {side} px, it must be {_SIDES[0]} to {_SIDES[1]} px")
    if not _RATIO[0] <= width / height <= _RATIO[1]:
        word = "Small" if width / height < _RATIO[0] else "Large"
        raise BadMedia(f"AspectRatioToo{word}", f"width/height of {width}x{height} px must be 0.4 to 2.5")


def _video(data: bytes) -> Facts:
    import av

    try:
        with av.open(io.BytesIO(data), "r") as container:
            if not container.streams.video:
                raise BadMedia("TypeMismatch", "the file has no video track")
            stream = container.streams.video[0]
            width, height, fps = stream.width, stream.height, float(stream.average_rate or 0)
            seconds = _length(stream)
    except av.FFmpegError:
        raise BadMedia("FormatUndetectable", "the video cannot be read") from None
    _check_frame(width, height)
    least, most = _VIDEO_PIXELS
    if not least <= width * height <= most:
        word = "Small" if width * height < least else "Large"
        raise BadMedia(f"PixelCountToo{word}", f"{width}x{height} px must have {least} to {most} pixels")
    _check_length(seconds)
    if not _FPS[0] <= fps <= _FPS[1]:
        raise BadMedia("FpsTooLow" if fps < _FPS[0] else "FpsTooHigh", f"{fps:.2f} frames/s must be 24 to 60")
    return Facts(width, height, seconds)


def _audio(data: bytes) -> Facts:
    import av

    try:
        with av.open(io.BytesIO(data), "r") as container:
            if not container.streams.audio:
                raise BadMedia("TypeMismatch", "the file has no audio track")
            seconds = _length(container.streams.audio[0])
    except av.FFmpegError:
        raise BadMedia("FormatUndetectable", "the audio cannot be read") from None
    _check_length(seconds)
    return Facts(seconds=seconds)


def _length(stream: Any) -> float:
    """Return the seconds that the packets of a track play; headers may be missing or wrong."""
    ticks = sum(packet.duration or 0 for packet in stream.container.demux(stream))
    return float(ticks * stream.time_base) if stream.time_base else 0.0


def _check_length(seconds: float) -> None:
    if not _SECONDS[0] <= seconds <= _SECONDS[1]:
        code = "DurationTooShort" if seconds < _SECONDS[0] else "DurationTooLong"
        raise BadMedia(code, f"it plays {seconds:.1f} s, it must be 2 to 15 s")
