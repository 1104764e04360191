from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from airflow_provider_seedance.emulator.media import BadMedia, Medium, inspect
from tests.emulator.asset_client import clip, picture, sound

MIB = 1024 * 1024


def verdict(data: bytes, asset_type: str, declared: str | None = None) -> str:
    """Return the error code, empty for what is good."""
    try:
        inspect(data, asset_type.lower(), declared)
    except BadMedia as finding:
        return finding.code
    return ""


def opus() -> bytes:
    return b"OggS" + bytes(60)


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "webp", "bmp", "tiff"])
def test_every_image_format_is_taken(form: str) -> None:
    data = picture(form=form)
    assert inspect(data, "image", f"image/{form}") == Medium(data, 400, 400)


def test_heif_is_taken_unread() -> None:
    data = b"\0\0\0\x18ftypheic" + bytes(12)
    assert inspect(data, "image", "image/heic") == Medium(data)


@pytest.mark.parametrize(
    ("width", "height", "code"),
    [
        (300, 300, ""),
        (300, 750, ""),
        (750, 300, ""),
        (6000, 2400, ""),
        (299, 400, "WidthTooSmall"),
        (400, 299, "HeightTooSmall"),
        (6001, 3000, "WidthTooLarge"),
        (3000, 6001, "HeightTooLarge"),
        (300, 751, "AspectRatioTooSmall"),
        (751, 300, "AspectRatioTooLarge"),
    ],
)
def test_image_sides_and_ratio(width: int, height: int, code: str) -> None:
    assert verdict(picture(width, height), "Image") == code


def test_huge_image_is_refused_by_its_header() -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    assert verdict(buffer.getvalue(), "Image") == "WidthTooLarge"


@pytest.mark.parametrize(("asset_type", "limit"), [("Image", 30), ("Video", 50), ("Audio", 15)])
def test_file_must_be_smaller_than_the_limit_of_its_type(asset_type: str, limit: int) -> None:
    assert verdict(bytes(limit * MIB), asset_type) == "FileSizeTooLarge"
    assert verdict(bytes(limit * MIB - 1), asset_type) == "FormatUndetectable"


@pytest.mark.parametrize(
    ("data", "asset_type", "declared", "code"),
    [
        (b"", "Image", None, "FormatUndetectable"),
        (b"text", "Image", "image/png", "FormatUndetectable"),
        (b"\x89PNG\r\n\x1a\n", "Image", None, "FormatUndetectable"),
        (opus(), "Audio", None, "FormatUnsupported"),
        (b"\x1aE\xdf\xa3webm", "Video", None, "FormatUnsupported"),
        (b"\0\0\0\x18ftypM4A " + bytes(12), "Audio", None, "FormatUnsupported"),
        (b"\0\0\0\x18ftypisom" + bytes(12), "Video", None, "FormatUndetectable"),
        (b"\0\0\0\x18ftypisom" + bytes(12), "Image", None, "TypeMismatch"),
        (picture(), "Video", None, "TypeMismatch"),
        (picture(), "Image", "image/jpeg", "TypeMismatch"),
        (picture(), "Image", "video/mp4", "TypeMismatch"),
        (picture(), "Image", "image/avif", "FormatUnsupported"),
        (sound(), "Audio", "audio/mp3", "TypeMismatch"),
        (sound(), "Image", None, "TypeMismatch"),
    ],
)
def test_bytes_of_another_type_or_format_fail(data: bytes, asset_type: str, declared: str | None, code: str) -> None:
    assert verdict(data, asset_type, declared) == code


@pytest.mark.parametrize(
    ("seconds", "code"), [(1.9, "DurationTooShort"), (2, ""), (15, ""), (15.1, ""), (15.3, "DurationTooLong")]
)
def test_audio_length(seconds: float, code: str) -> None:
    assert verdict(sound(seconds), "Audio", "audio/wav") == code


def test_video_is_measured() -> None:
    medium = inspect(clip(864, 496, seconds=3), "video", "video/mp4")
    assert (medium.width, medium.height) == (864, 496)
    assert medium.seconds == pytest.approx(3, abs=0.1)
    assert verdict(clip(form="mov"), "Video", "video/quicktime") == ""


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"width": 1280, "height": 720}, ""),
        ({"width": 1920, "height": 1080}, "PixelCountTooLarge"),
        ({"width": 640, "height": 480}, "PixelCountTooSmall"),
        ({"width": 1600, "height": 280}, "HeightTooSmall"),
        ({"width": 1440, "height": 320}, "AspectRatioTooLarge"),
        ({"seconds": 1}, "DurationTooShort"),
        ({"seconds": 16}, "DurationTooLong"),
        ({"fps": 20}, "FpsTooLow"),
        ({"fps": 60}, ""),
        ({"fps": 61}, "FpsTooHigh"),
    ],
)
def test_video_limits(fields: dict[str, Any], code: str) -> None:
    assert verdict(clip(**fields), "Video") == code
