"""Reading the headers of media that a request carries as data URIs, and refusing what breaks the vendor's limits."""

from __future__ import annotations

import base64
import binascii
import io
import re

from airflow_provider_seedance.emulator.envelopes import Refusal, upstream_error

_DATA_URI = re.compile(r"data:(?P<family>[A-Za-z]+)/(?P<format>[A-Za-z0-9.+-]+);base64,")

#: declared format -> format found in the bytes (contract 1.2, rules 7 and 1.1 for audio)
_IMAGE_FORMATS = {
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "png": "png",
    "webp": "webp",
    "bmp": "bmp",
    "tiff": "tiff",
    "gif": "gif",
    "heic": "heif",
    "heif": "heif",
}
_AUDIO_FORMATS = {"wav": "wav", "mp3": "mp3", "mpeg": "mp3"}

_IMAGE_BYTES = 30 * 1024 * 1024
_AUDIO_BYTES = 15 * 1024 * 1024
_SIDES = (300, 6000)
_RATIO = (0.4, 2.5)
_AUDIO_SECONDS = (2.0, 15.2)  # a sibling of the service was seen to refuse from 15.2 s on, not from 15.0 s


def invalid(where: str, reason: str, code: str = "InvalidParameter") -> Refusal:
    """Return the refusal of one value, named as the service names it: ``content[1].image_url.url``."""
    return upstream_error(code, f"The parameter '{where}' specified in the request is not valid: {reason}.")


def decode(uri: str, family: str, where: str) -> tuple[str, bytes]:
    """Take a data URI apart.

    :param family: ``image`` or ``audio``
    :returns: the format that the bytes must have, and the bytes
    :raises Refusal: unknown or upper-case format, wrong family, broken Base64, no bytes
    """
    head = _DATA_URI.match(uri)
    if head is None:
        raise invalid(where, "a data URI must have the form data:<type>/<format>;base64,<data>")
    formats = _IMAGE_FORMATS if family == "image" else _AUDIO_FORMATS
    declared = head["format"]
    if head["family"] != family or declared not in formats:
        known = ", ".join(formats)
        raise invalid(where, f"the media type must be {family}/<format> in lower case, one of {known}")
    try:
        data = base64.b64decode(uri[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise invalid(where, "the Base64 data cannot be decoded") from None
    if not data:
        raise invalid(where, "the data is empty")
    return formats[declared], data


def sniff(data: bytes) -> str | None:
    """Return the format that the first bytes show, or None."""
    if data[4:8] == b"ftyp" and data[8:12] in {b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"}:
        return "heif"
    if data[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(data[8:12])
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2):
        return "mp3"
    signatures = {
        b"\xff\xd8\xff": "jpeg",
        b"\x89PNG\r\n\x1a\n": "png",
        b"BM": "bmp",
        b"II*\0": "tiff",
        b"MM\0*": "tiff",
        b"GIF87a": "gif",
        b"GIF89a": "gif",
    }
    return next((name for start, name in signatures.items() if data.startswith(start)), None)


def read_image(uri: str, where: str) -> tuple[bytes, tuple[int, int] | None]:
    """Check an image given as a data URI (contract 1.2, rule 7).

    :returns: its bytes, and its width and height where the format lets them be read
    :raises Refusal: not the declared format, too large, too small, too long or too wide
    """
    expected, data = decode(uri, "image", where)
    if len(data) >= _IMAGE_BYTES:
        raise invalid(where, "the image must be smaller than 30 MB")
    if sniff(data) != expected:
        raise invalid(where, "the data is not an image of the declared format")
    if expected == "heif":  # Pillow does not read it; neither the sides nor the picture are known here
        return data, None
    width, height = _image_size(data, where)
    if not (_SIDES[0] <= min(width, height) and max(width, height) <= _SIDES[1]):
        raise invalid(where, f"the image is {width}x{height} px, each side must be 300 to 6000 px")
    if not _RATIO[0] <= width / height <= _RATIO[1]:
        raise invalid(where, f"the image is {width}x{height} px, width/height must be 0.4 to 2.5")
    return data, (width, height)


def _image_size(data: bytes, where: str) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except Image.DecompressionBombError:
        raise invalid(where, "each side must be 300 to 6000 px") from None
    except (OSError, ValueError, SyntaxError):
        raise invalid(where, "the image cannot be read") from None


def read_audio(uri: str, where: str) -> float:
    """Check an audio clip given as a data URI (contract 1.1 and 4).

    :returns: its length in seconds
    :raises Refusal: not the declared format, over 15 MB, shorter than 2 s or longer than 15 s
    """
    expected, data = decode(uri, "audio", where)
    if len(data) > _AUDIO_BYTES:
        raise invalid(where, "the audio must not be larger than 15 MB")
    if sniff(data) != expected:
        raise invalid(where, "the data is not audio of the declared format")
    seconds = _audio_seconds(data, where)
    if not _AUDIO_SECONDS[0] <= seconds <= _AUDIO_SECONDS[1]:
        raise invalid(where, f"the audio is {seconds:.1f} s long, it must be 2 to 15 s")
    return seconds


def _audio_seconds(data: bytes, where: str) -> float:
    import av

    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.audio[0]
            ticks = sum(packet.duration or 0 for packet in container.demux(stream))
            return float(ticks * stream.time_base) if stream.time_base else 0.0
    except (av.FFmpegError, IndexError):
        raise invalid(where, "the audio cannot be read") from None
