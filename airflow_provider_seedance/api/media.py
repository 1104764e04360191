"""
Media values: which of the four forms one has, and whether the service takes it.

Nothing here opens anything. A message names the item and the rule, never the value, which may be Base64 or hold a
signature.
"""

from __future__ import annotations

import binascii
import os
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.formats import sniff_format
from airflow_provider_seedance.exceptions import SeedanceRequestError

MediaKind = Literal["image", "video", "audio"]

#: ``url``: the service fetches it. ``asset``: the service has it. ``data``: it travels in the request.
#: ``path``: we read it and send it as ``data``.
MediaForm = Literal["url", "asset", "data", "path"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ASSET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_BARE_ASSET_ID = re.compile(r"asset-[0-9]{8,}-[A-Za-z0-9]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DATA_HEADER = re.compile(r"data:(image|audio|video)/([a-z0-9.+-]+);base64", re.IGNORECASE)
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#: Longer than any real path or object key (S3: 1024 bytes); what is longer is Base64 in the wrong place.
_MAX_PATH_LENGTH = 2048
#: Base64 characters that hold enough of a file's head to tell its format.
_HEAD_LENGTH = 128

#: Names that a data URI may give a format beside its own.
_FORMAT_ALIASES = {"jpg": "jpeg", "x-wav": "wav", "wave": "wav", "mpeg": "mp3"}


@dataclass(frozen=True, slots=True)
class DataUri:
    """
    A checked ``data:`` URI, not decoded.

    :param format: What its bytes are, whatever its header says.
    :param payload: The Base64 text.
    :param size: Bytes it decodes to.
    """

    format: str
    payload: str = field(repr=False)
    size: int


def media_form(value: str) -> MediaForm:
    """
    Tell which form a media value has.

    :param value: A link, ``asset://<id>``, a ``data:`` URI, or else a path.
    """
    match = _SCHEME.match(value)
    scheme = match[1].lower() if match else ""
    if scheme in ("http", "https"):
        return "url"
    if scheme == "asset":
        return "asset"
    return "data" if scheme == "data" else "path"


def check_media(value: object, kind: MediaKind, *, item: str) -> str:
    """
    Check one media value as far as it can be checked without opening anything.

    :param value: What the user gave: a string, or a path object.
    :param kind: What it is to be.
    :param item: Its name in messages, such as ``reference_images[1]``.
    :return: The value, without surrounding white space; ``asset://`` in lower case.
    :raises SeedanceRequestError: It is not a media value, or none that the service takes for this kind.
    """
    if isinstance(value, os.PathLike) or _is_object_storage_path(value):
        value = str(value)
    if not isinstance(value, str):
        raise SeedanceRequestError(
            f"{item} must be a string (a link, asset://<id>, a data: URI or a path), not {type(value).__name__}.",
            field=item,
        )
    text = value.strip()
    if text in ("", "None"):
        raise SeedanceRequestError(
            f"{item} is {'empty' if not text else 'the word None'}: its template had no value. "
            "Leave the parameter out, or give a link, asset://<id>, a data: URI or a path.",
            field=item,
        )
    form = media_form(text)
    if form == "data":
        parse_data_uri(text, kind, item=item)
        return text
    if _UNPRINTABLE.search(text):
        raise SeedanceRequestError(
            f"{item} holds a line break or another control character. Give one value.", field=item
        )
    if form == "url":
        return _check_link(text, item)
    return _check_asset(text, item) if form == "asset" else _check_path(text, kind, item)


def _is_object_storage_path(value: object) -> bool:
    """Know Airflow's ``ObjectStoragePath``, which is no ``os.PathLike``, without importing Airflow."""
    return isinstance(getattr(value, "protocol", None), str) and hasattr(value, "conn_id")


def _check_link(value: str, item: str) -> str:
    try:
        host = urlsplit(value).hostname
    except ValueError:
        host = None
    if not host or re.search(r"\s", value):
        raise SeedanceRequestError(
            f"{item} is not a complete link. Give one such as https://host/path, with blanks as %20.", field=item
        )
    return value


def _check_asset(value: str, item: str) -> str:
    identifier = value[len("asset://") :]
    if value[5:8] != "://" or not _ASSET_ID.fullmatch(identifier):
        raise SeedanceRequestError(f"{item} is not an asset. Write asset://<id> with the asset's id.", field=item)
    return f"asset://{identifier}"


def _check_path(value: str, kind: MediaKind, item: str) -> str:
    if len(value) > _MAX_PATH_LENGTH or _is_bare_base64(value):
        raise SeedanceRequestError(
            f"{item} looks like bare Base64. Write it as data:image/<format>;base64,<data> "
            "(data:audio/<format> for sound), or give a link, an asset or a path.",
            field=item,
        )
    if _BARE_ASSET_ID.fullmatch(value):
        raise SeedanceRequestError(f"{item} is an asset's bare id. Write asset://{value}", field=item)
    if kind == "video":
        raise SeedanceRequestError(
            f"{item} is a local or object-storage path, and the service takes video only by link or asset. "
            "Give an https:// link to it (a pre-signed one will do), or create an asset from it and give asset://<id>.",
            field=item,
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


def parse_data_uri(value: str, kind: MediaKind, *, item: str) -> DataUri:
    """
    Check a ``data:`` URI without decoding more of it than its head.

    :param value: ``data:<kind>/<format>;base64,<data>``.
    :param kind: What it is to be.
    :param item: Its name in messages.
    :return: Its real format, its Base64 text and its size.
    :raises SeedanceRequestError: Wrong syntax, kind, alphabet, format or size; or video, which the service takes by
        link or asset only (contract 7, row 17).
    """
    if kind == "video":
        raise SeedanceRequestError(
            f"{item} is Base64, and the service takes video only by link or asset. "
            "Give an https:// link, or create an asset and give asset://<id>.",
            field=item,
        )
    head, _, payload = value.partition(",")
    match = _DATA_HEADER.fullmatch(head)
    example = "data:image/png;base64,<data>" if kind == "image" else "data:audio/wav;base64,<data>"
    if not match or match[1].lower() != kind or not payload:
        raise SeedanceRequestError(f"{item} is not a data: URI of an {kind}. Write {example}", field=item)
    if head != head.lower():
        raise SeedanceRequestError(
            f"{item} is a data: URI with capitals before its comma, which the service refuses. Write {head.lower()},…",
            field=item,
        )
    allowed = limits.FORMATS[kind]
    if _FORMAT_ALIASES.get(match[2], match[2]) not in allowed:
        raise _wrong_format(match[2], kind, item)
    size = _base64_size(payload, item)
    check_size(size, kind, item=item)
    found = sniff_format(binascii.a2b_base64(payload[:_HEAD_LENGTH]))
    if found not in allowed:
        raise _wrong_format(found, kind, item)
    return DataUri(found, payload, size)


def _base64_size(payload: str, item: str) -> int:
    padding = len(payload) - len(payload.rstrip("="))
    digits = payload[: len(payload) - padding] if padding else payload
    if (
        len(payload) % 4
        or padding > 2
        or not digits.isascii()
        or digits.encode("ascii").translate(None, _BASE64_ALPHABET)
    ):
        raise SeedanceRequestError(
            f"{item} is not plain Base64. Use the standard alphabet with padding and without line breaks, "
            "as base64.b64encode writes it.",
            field=item,
        )
    return len(payload) // 4 * 3 - padding


def check_format(found: str | None, kind: MediaKind, *, item: str) -> str:
    """
    Refuse a format that the service does not take for this kind.

    :param found: As :func:`sniff_format` named it.
    :param kind: What it is to be.
    :param item: Its name in messages.
    :return: The format.
    :raises SeedanceRequestError: It is another kind's format, or unknown.
    """
    if found is None or found not in limits.FORMATS[kind]:
        raise _wrong_format(found, kind, item)
    return found


def _wrong_format(found: str | None, kind: MediaKind, item: str) -> SeedanceRequestError:
    what = f"is {found}" if found else f"holds no {kind} of a known format"
    return SeedanceRequestError(
        f"{item} {what}; the service takes {', '.join(limits.FORMATS[kind])}. Convert it.", field=item
    )


def check_size(size: int, kind: MediaKind, *, item: str) -> None:
    """
    Refuse an empty file and one that is too large to send.

    :param size: Bytes, before Base64.
    :param kind: ``image`` or ``audio``.
    :param item: Its name in messages.
    :raises SeedanceRequestError: Nothing in it, 30 MB or more of image, 15 MB or more of sound.
    """
    limit = limits.MAX_BYTES[kind]
    if size == 0:
        raise SeedanceRequestError(f"{item} is empty (0 bytes). Give a complete file.", field=item)
    if size >= limit:
        raise SeedanceRequestError(
            f"{item} has {size / limits.MIB:.1f} MB; the service takes {kind} under {limit // limits.MIB} MB. "
            "Make it smaller.",
            field=item,
        )
