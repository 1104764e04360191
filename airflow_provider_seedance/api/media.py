"""
Media values: which of the four forms one has, what its bytes are, and whether the service takes it.

Nothing here opens anything. A message names the item and the rule, never a link or Base64 data, which may hold a
signature or a person's picture. The limits are those of contract.md#content-rules and, for video, contract.md#assets.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.parse import is_loopback
from airflow_provider_seedance.api.values import GAVE_NOTHING, is_nothing, path_text, refuse, shown

MediaKind = Literal["image", "video", "audio"]

#: ``url``: the service fetches it. ``asset``: the service has it. ``data``: it travels in the request.
#: ``path``: we read it and send it as ``data``.
MediaForm = Literal["url", "asset", "data", "path"]

_FORMS = "a link, asset://<id>, a data: URI or a path"
#: Members of a generation's result that are media; that of an asset's is ``asset_uri``.
_MEDIA_MEMBERS: Mapping[MediaKind, str] = {"image": "last_frame_path", "video": "video_url"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ASSET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_BARE_ASSET_ID = re.compile(r"asset[-_][A-Za-z0-9_-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DATA_HEADER = re.compile(r"data:(image|audio|video)/([a-z0-9.+-]+);base64", re.IGNORECASE)
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#: Longer than any real path or object key (S3: 1024 bytes); anything longer is Base64 in the wrong place.
_MAX_PATH_LENGTH = 2048
#: Base64 characters that hold enough of a file's head to detect its format.
_HEAD_LENGTH = 128

#: Names that a data URI may give a format besides its own.
_FORMAT_ALIASES = {"jpg": "jpeg", "x-wav": "wav", "wave": "wav", "mpeg": "mp3"}

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_QUICKTIME_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_PREFIXES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"ID3", "mp3"),
)


def media_form(value: str) -> MediaForm:
    """
    Detect which form a media value has.

    :param value: A link, ``asset://<id>``, a ``data:`` URI, or else a path.
    """
    match = _SCHEME.match(value)
    scheme = match[1].lower() if match else ""
    if scheme in ("http", "https"):
        return "url"
    if scheme == "asset":
        return "asset"
    return "data" if scheme == "data" else "path"


def is_local_path(value: str) -> bool:
    """Check whether a path, such as one of the form ``path``, is in the worker's own file system."""
    scheme, mark, _ = value.partition("://")
    return not mark or scheme.lower() in ("file", "local")


def check_media(value: object, kind: MediaKind, *, item: str) -> str:
    """
    Check one media value as far as possible without opening anything.

    :param value: What the user gave: a string, or a path object.
    :param kind: What it must be.
    :param item: Its name in messages, such as ``reference_images[1]``.
    :returns: The value, without surrounding white space; ``asset://`` in lower case.
    :raises SeedanceRequestError: It is not a media value, or not one that the service takes for this kind.
    """
    value = path_text(value)
    if is_nothing(value):
        refuse(item, f"is {shown(value)}: {GAVE_NOTHING}", f"Omit the parameter, or give {_FORMS}")
    if not isinstance(value, str):
        members = [
            name for name in ("asset_uri", _MEDIA_MEMBERS.get(kind)) if isinstance(value, Mapping) and name in value
        ]
        remedy = f'Give its member: output["{members[0]}"]' if members else f"Give {_FORMS}"
        refuse(item, f"is of type {type(value).__name__}, not a string", remedy)
    text = value.strip()
    form = media_form(text)
    if form == "data":
        parse_data_uri(text, kind, item=item)
        return text
    if _UNPRINTABLE.search(text):
        refuse(item, "contains a line break or another control character", "Give one value")
    if form == "url":
        return _check_link(text, item)
    return _check_asset(text, item) if form == "asset" else _check_path(text, kind, item)


def _check_link(value: str, item: str) -> str:
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or re.search(r"\s", value):
        refuse(item, "is not a complete link", "Give one such as https://host/path, with blanks as %20")
    if parts.scheme == "http" and not is_loopback(host):
        refuse(item, "is a plain http:// link", "Give an https:// one; http:// is for a service on this machine only")
    return value


def _check_asset(value: str, item: str) -> str:
    identifier = value[len("asset://") :]
    if value[5:8] != "://" or not _ASSET_ID.fullmatch(identifier):
        refuse(item, "is not an asset", "Write asset://<id> with the asset's id")
    return f"asset://{identifier}"


def _check_path(value: str, kind: MediaKind, item: str) -> str:
    if len(value) > _MAX_PATH_LENGTH or _is_bare_base64(value):
        refuse(
            item,
            "looks like bare Base64",
            "Write it as data:image/<format>;base64,<data> (data:audio/<format> for sound), "
            "or give a link, an asset or a path",
        )
    if _BARE_ASSET_ID.fullmatch(value):
        refuse(item, "is an asset's bare id", f"Write asset://{value}")
    if kind == "video":
        refuse(
            item,
            "is a local or object-storage path, and the service takes video only by link or asset",
            "Give an https:// link to it (a pre-signed one works), or create an asset from it and give asset://<id>",
        )
    return value


def _is_bare_base64(value: str) -> bool:
    head = value[:_HEAD_LENGTH]
    if len(head) < _HEAD_LENGTH:
        return False
    try:
        return sniff_format(binascii.a2b_base64(head, strict_mode=True)) is not None
    except ValueError:
        return False


def parse_data_uri(value: str, kind: MediaKind, *, item: str) -> str:
    """
    Check a ``data:`` URI without decoding more of it than its head.

    :param value: ``data:<kind>/<format>;base64,<data>``.
    :returns: Its Base64 text. What its bytes are is another matter than what its header says.
    :raises SeedanceRequestError: Wrong syntax, kind, alphabet, format or size; or video, which the service takes by
        link or asset only (contract.md#open-questions).
    """
    if kind == "video":
        refuse(
            item,
            "is Base64, and the service takes video only by link or asset",
            "Give an https:// link, or create an asset and give asset://<id>",
        )
    head, _, payload = value.partition(",")
    match = _DATA_HEADER.fullmatch(head)
    if not match or match[1].lower() != kind or not payload:
        example = "data:image/png;base64,<data>" if kind == "image" else "data:audio/wav;base64,<data>"
        refuse(item, f"is not a data: URI of type {kind}", f"Write {example}")
    if head != head.lower():
        refuse(item, "has capitals before its comma, which the service refuses", f"Write {head.lower()},…")
    check_format(_FORMAT_ALIASES.get(match[2], match[2]), kind, item=item)
    check_size(_base64_size(payload, item), kind, item=item)
    check_format(sniff_format(binascii.a2b_base64(payload[:_HEAD_LENGTH])), kind, item=item)
    return payload


def _base64_size(payload: str, item: str) -> int:
    padding = len(payload) - len(payload.rstrip("="))
    digits = payload[: len(payload) - padding] if padding else payload
    if (
        len(payload) % 4
        or padding > 2
        or not digits.isascii()
        or digits.encode("ascii").translate(None, _BASE64_ALPHABET)
    ):
        refuse(
            item,
            "is not plain Base64",
            "Use the standard alphabet with padding and without line breaks, as base64.b64encode writes it",
        )
    return len(payload) // 4 * 3 - padding


def sniff_format(head: bytes) -> str | None:
    """
    Detect a file's format from its first bytes, never from its name.

    :param head: The first 32 bytes or more.
    :returns: ``jpeg``, ``png``, ``webp``, ``bmp``, ``tiff``, ``gif``, ``heic``, ``heif``, ``wav``, ``mp3``, ``mp4``,
        ``mov``, or None for anything else.
    """
    for prefix, name in _PREFIXES:
        if head.startswith(prefix):
            return name
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _sniff_iso_media(head)
    if head[4:8] in _QUICKTIME_ATOMS:
        return "mov"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    return "mp3" if _is_mp3_frame(head) else None


def _sniff_iso_media(head: bytes) -> str | None:
    """Read the brands of an ISO base media file: HEIF, QuickTime and MP4 share that container."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[at : at + 4] for at in range(16, end - 3, 4)]
    major = brands[0]
    if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1") and b"avif" in brands):
        return None
    if major in _HEIC_BRANDS:
        return "heic"
    if major in (b"mif1", b"msf1"):
        return "heic" if _HEIC_BRANDS & set(brands) else "heif"
    if major == b"qt  ":
        return "mov"
    return None if major in (b"M4A ", b"M4B ") else "mp4"


def _is_mp3_frame(head: bytes) -> bool:
    """Recognize an MPEG audio layer III frame header; AAC's differs in the layer bits."""
    return (
        len(head) > 3
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[2] >> 4 not in (0, 15)
        and head[2] & 0x0C != 0x0C
    )


def check_format(found: str | None, kind: MediaKind, *, item: str) -> str:
    """
    Refuse a format that the service does not take for this kind.

    :param found: As :func:`sniff_format` named it.
    :returns: The same.
    :raises SeedanceRequestError: It is another kind's format, or unknown.
    """
    allowed = limits.FORMATS[kind]
    if found is None or found not in allowed:
        what = f"is {found}" if found else f"has no {kind} of a known format"
        refuse(item, f"{what}; the service takes {', '.join(allowed)}", "Convert it")
    return found


def check_size(size: int, kind: MediaKind, *, item: str) -> None:
    """
    Refuse an empty file and one that is too large.

    :param size: Bytes, before Base64.
    :raises SeedanceRequestError: It is empty, or has 30 MB or more of image, 15 MB of sound, 50 MB of video.
    """
    limit = limits.MAX_BYTES[kind]
    if size == 0:
        refuse(item, "is empty (0 bytes)", "Give a complete file")
    if size >= limit:
        most = f"the service takes {kind} under {limit // limits.MIB} MB"
        refuse(item, f"has {size / limits.MIB:.1f} MB; {most}", "Make it smaller")


def check_image(width: int, height: int, *, item: str) -> None:
    """
    Check the sides of an image, or of a video's frames, in pixels.

    :raises SeedanceRequestError: A side or the ratio is out of bounds.
    """
    low, high = limits.MIN_IMAGE_SIDE, limits.MAX_IMAGE_SIDE
    if not (low <= width <= high and low <= height <= high):
        refuse(item, f"has {width}x{height} pixels; each side must be {low} to {high}", "Scale it")
    ratio = width / height
    if not limits.MIN_IMAGE_RATIO <= ratio <= limits.MAX_IMAGE_RATIO:
        allowed = f"{limits.MIN_IMAGE_RATIO} to {limits.MAX_IMAGE_RATIO} is allowed"
        refuse(item, f"has {width}x{height} pixels, a width of {ratio:.3f} times its height; {allowed}", "Crop it")


def check_audio(seconds: float, *, item: str) -> None:
    """
    Check the playing time of one clip.

    :raises SeedanceRequestError: It is too short or too long.
    """
    low, high = limits.MIN_AUDIO_SECONDS, limits.MAX_AUDIO_SECONDS
    if not low <= seconds <= high + limits.AUDIO_TOLERANCE_SECONDS:
        refuse(item, f"plays {seconds:.1f} s; a clip must have {low:g} to {high:g} s", "Cut it")


def check_audio_total(seconds: float, *, item: str) -> None:
    """
    Check the playing time of all clips together.

    :param item: The clip that brought the sum there.
    :raises SeedanceRequestError: They play longer than 15 s together.
    """
    most = limits.MAX_AUDIO_SECONDS
    if seconds > most + limits.AUDIO_TOLERANCE_SECONDS:
        refuse(item, f"makes the clips play {seconds:.1f} s together; {most:g} s is the maximum", "Cut or omit some")


def check_video(width: int, height: int, seconds: float, fps: float | None, *, item: str) -> str | None:
    """
    Check a video that will become an asset.

    :param fps: Frames per second; None if the file does not state them.
    :returns: A warning if the service may refuse it, else None.
    :raises SeedanceRequestError: Sides, pixels, length or frame rate are out of bounds.
    """
    check_image(width, height, item=item)
    pixels, size = width * height, f"has {width}x{height} pixels"
    if not limits.MIN_VIDEO_PIXELS <= pixels <= limits.MAX_VIDEO_PIXELS:
        allowed = f"{limits.MIN_VIDEO_PIXELS} to {limits.MAX_VIDEO_PIXELS} are allowed"
        refuse(item, f"{size}, {pixels} per frame; {allowed}", "Scale it, to 720p for example")
    low, high = limits.MIN_VIDEO_SECONDS, limits.MAX_VIDEO_SECONDS
    if not low <= seconds <= high + limits.AUDIO_TOLERANCE_SECONDS:
        refuse(item, f"plays {seconds:.1f} s; a video must have {low:g} to {high:g} s", "Cut it")
    if fps is not None and not limits.MIN_VIDEO_FPS - 0.1 <= fps <= limits.MAX_VIDEO_FPS + 0.1:
        allowed = f"{limits.MIN_VIDEO_FPS} to {limits.MAX_VIDEO_FPS} are allowed"
        refuse(item, f"has {fps:.1f} frames per second; {allowed}", "Convert it")
    if pixels > limits.SURE_VIDEO_PIXELS:
        return f"{item} {size}: some versions of the service take 480p and 720p only."
    return None
