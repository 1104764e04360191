"""
Media going in: read from files and object storage, checked, and turned into what is sent.

Sizes are looked up before contents are read, so that a file that is far too large is refused unread. What is certain to
fail again (no such file, no permission, no such storage) is a request error; a storage that fails for a moment raises
its own error, and the task's retries apply.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import PurePosixPath
from typing import NoReturn
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.assets import ASSET_TYPES, AssetType
from airflow_provider_seedance.api.calls import Source
from airflow_provider_seedance.api.content import MediaItem
from airflow_provider_seedance.api.fingerprint import canonical_media
from airflow_provider_seedance.api.media import (
    MediaKind,
    check_audio,
    check_audio_total,
    check_format,
    check_image,
    check_media,
    check_size,
    check_video,
    media_form,
    parse_data_uri,
    sniff_format,
)
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.values import refuse
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceServiceError

log = logging.getLogger(__name__)

#: Bytes of an image up to which it travels in the request's JSON; anything else is uploaded
#: (contract.md#open-questions).
MAX_INLINE_IMAGE = 4 * limits.MIB
_CHUNK = 1024 * 1024
_KINDS: dict[AssetType, MediaKind] = {"Image": "image", "Video": "video", "Audio": "audio"}
_SUFFIXES: dict[AssetType, tuple[str, ...]] = {
    "Image": (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tiff", ".tif", ".heic", ".heif"),
    "Video": (".mp4", ".mov"),
    "Audio": (".mp3", ".wav"),
}


def load_media(items: Sequence[MediaItem]) -> tuple[str, ...]:
    """
    Read and check the media of a request.

    Needs the extra ``media`` (Pillow, PyAV) for pixel sides and playing time; without it those two checks are left to
    the service, and the log says so once per process.

    :param items: The request's media, whose paths ``ObjectStoragePath`` opens.
    :returns: What is sent for each: links and assets as they are, paths and ``data:`` URIs as
        ``data:<kind>/<format>;base64,<data>`` with the format that their bytes have.
    :raises SeedanceRequestError: One cannot be read, or the service would refuse it; or the clips play longer than 15 s
        together, or the media alone come to 64 MB. No file is read after the one that exceeds a limit.
    """
    sent = []
    seconds = 0.0
    size = 0
    for item in items:
        if media_form(item.value) in ("url", "asset"):
            sent.append(item.value)
            continue
        uri, playing_time = _load(item.value, item.kind, item.name)
        seconds += playing_time
        check_audio_total(seconds, item=item.name)
        size += len(uri)
        if size >= limits.MAX_BODY_BYTES:
            refuse(
                item.name,
                f"brings the media in the request to {size / limits.MIB:.1f} MB as Base64; the whole request must stay "
                f"under {limits.MAX_BODY_BYTES // limits.MIB} MB",
                "Give some as https:// links or as assets",
            )
        sent.append(uri)
    return tuple(sent)


def read_source(value: object, asset_type: str | None = None) -> Source:
    """
    Read, check and hash what will become an asset, before anything is paid.

    :param value: A link, a ``data:`` URI, or a path that ``ObjectStoragePath`` opens.
    :param asset_type: ``Image``, ``Video`` or ``Audio``; if None, detected from the bytes, or from a link's ending.
    :returns: The source.
    :raises SeedanceRequestError: It cannot be read, or the service would refuse it (contract.md#create-asset).
    """
    if asset_type is not None and asset_type not in ASSET_TYPES:
        refuse("asset_type", f"is {asset_type!r}", f"Give one of {', '.join(ASSET_TYPES)}")
    if not isinstance(value, str) or not value.strip():
        refuse("source", "is empty", "Give a link, a data: URI or a path")
    text = value.strip()
    form = media_form(text)
    if form == "asset":
        refuse("source", "is an asset already", "Use it as it is")
    if form == "url":
        return _source_of_link(text, asset_type)
    if form == "path":
        return _source_of_path(text, asset_type)
    kind: MediaKind = "audio" if text[5:10].lower() == "audio" else "image"
    found = _type_of(kind, asset_type)
    uri, _ = _load(text, kind, "source")
    return Source(found, _digest_of_uri(uri), url=uri)


def _source_of_link(link: str, asset_type: str | None) -> Source:
    url = check_media(link, "image", item="source")  # a link is checked alike for every kind
    suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    for found in ASSET_TYPES:
        if asset_type == found or (asset_type is None and suffix in _SUFFIXES[found]):
            return Source(found, hashlib.sha256(canonical_media(url).encode()).hexdigest(), url=url)
    return refuse("asset_type", "cannot be detected from the link's extension", f"Give one of {', '.join(ASSET_TYPES)}")


def _source_of_path(value: str, asset_type: str | None) -> Source:
    with _open_storage(value, "source") as path:
        size = int(path.stat().get("size") or 0)
        with path.open("rb") as file:
            sniffed = sniff_format(file.read(64))
    kind = next((kind for kind in _KINDS.values() if sniffed in limits.FORMATS[kind]), None)
    if kind is None:
        refuse("source", f"({value!r}) has no image, video or sound of a format that the service takes", "Convert it")
    found = _type_of(kind, asset_type)
    check_size(size, kind, item="source")
    if kind == "video":
        _check_video_file(path, str(sniffed))
        digest = _digest_of_file(path)
    else:
        uri, _ = _load(value, kind, "source")  # at most 30 MB
        digest = _digest_of_uri(uri)
        if kind == "image" and size <= MAX_INLINE_IMAGE:
            return Source(found, digest, url=uri)
    return Source(found, digest, size=size, filename=f"source.{sniffed}", file=path)


def _type_of(kind: MediaKind, asset_type: str | None) -> AssetType:
    found = next(name for name, of_kind in _KINDS.items() if of_kind == kind)
    if asset_type not in (None, found):
        refuse("asset_type", f"is {asset_type}, but 'source' is {found.lower()}", "Correct one of them")
    return found


def _digest_of_uri(uri: str) -> str:
    return hashlib.sha256(base64.b64decode(uri.partition(",")[2])).hexdigest()


def _digest_of_file(path: ObjectStoragePath) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _load(value: str, kind: MediaKind, item: str) -> tuple[str, float]:
    """Read and check a path or a ``data:`` URI. Return what is sent, and a clip's playing time, 0 if not known."""
    if media_form(value) == "data":
        payload = parse_data_uri(value, kind, item=item)
        data = base64.b64decode(payload)
    else:
        data = _read(check_media(value, kind, item=item), kind, item)
        payload = base64.b64encode(data).decode("ascii")
    found = check_format(sniff_format(data[:64]), kind, item=item)
    seconds = 0.0
    if kind == "image":
        _check_image_file(data, found, item)
    else:
        seconds = _check_audio_file(data, found, item)
    return f"data:{kind}/{found};base64,{payload}", seconds


def _read(value: str, kind: MediaKind, item: str) -> bytes:
    with _open_storage(value, item) as path:
        size = path.stat().get("size")
        if size is not None:
            check_size(size, kind, item=item)
        with path.open("rb") as file:
            data: bytes = file.read(limits.MAX_BYTES[kind])
    check_size(len(data), kind, item=item)
    return data


@contextmanager
def _open_storage(value: str, item: str) -> Iterator[ObjectStoragePath]:
    """
    Reach a file in a local folder or an object storage.

    Anything permanent that is in the way, here or in the block, is a request error. A storage that fails for a moment
    is an error that the task's retries apply to; its own text may contain the path's signature.
    """
    path = _storage_path(value, item)
    try:
        if path.stat().get("type") == "directory":
            raise IsADirectoryError
        yield path
    except (FileNotFoundError, NotADirectoryError):
        refuse(item, f"is {value!r}, which does not exist", "Correct the path")
    except IsADirectoryError:
        refuse(item, f"is {value!r}, which is a directory", "Name one file in it")
    except PermissionError:
        remedy = "Let the worker's user, or the storage's connection, read it"
        refuse(item, f"is {value!r}, which may not be read from here", remedy)
    except SeedanceError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            refuse(item, f"is {value!r}, which is longer than a path can be", "Correct the path")
        problem = redact(f"{item} ({value!r}) cannot be read: {type(error).__name__}: {error}")
        raise SeedanceServiceError(f"{problem}. A retry reads it again.") from None


def _storage_path(value: str, item: str) -> ObjectStoragePath:
    try:
        path = ObjectStoragePath(value)
        _ = path.fs  # a storage without a file system is only noticed here
    except (ValueError, ImportError):
        refuse(
            item,
            f"is {value!r}, in a storage that is not installed here ({value.partition('://')[0]})",
            "Correct the path, or install the Airflow provider of that storage with its file system, such as "
            "apache-airflow-providers-amazon[s3fs] for s3:// or apache-airflow-providers-google for gs://",
        )
    return path


def _check_image_file(data: bytes, found: str, item: str) -> None:
    try:
        from PIL import Image
    except ImportError:
        log_unchecked("Pillow", "images' pixel sides")
        return
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        refuse(item, f"is wider or higher than {limits.MAX_IMAGE_SIDE} pixels", "Scale it")
    except (OSError, ValueError, SyntaxError):
        if found in ("heic", "heif"):
            log_unchecked("a HEIF plugin of Pillow", "HEIF images' pixel sides")
            return
        _refuse_broken(found, item)
    check_image(width, height, item=item)


def _check_audio_file(data: bytes, found: str, item: str) -> float:
    """Return the playing time in seconds, 0 if it cannot be read here."""
    try:
        import av
    except ImportError:
        log_unchecked("PyAV", "sound's playing time")
        return 0.0
    try:
        with av.open(io.BytesIO(data), mode="r", format=found) as container:
            stream = container.streams.audio[0]
            # counted, since the length that a header states or a bit rate suggests can be far off
            seconds = float(sum((packet.duration or 0) * packet.time_base for packet in container.demux(stream)))
    except (av.FFmpegError, IndexError, ValueError):
        _refuse_broken(found, item)
    if not seconds:
        _refuse_broken(found, item)
    check_audio(seconds, item=item)
    return seconds


def _check_video_file(path: ObjectStoragePath, found: str) -> None:
    try:
        import av
    except ImportError:
        log_unchecked("PyAV", "videos' size, length and frame rate")
        return
    try:
        with path.open("rb") as file, av.open(file, mode="r", format="mp4") as container:
            stream = container.streams.video[0]
            seconds = float(container.duration / av.time_base) if container.duration else 0.0
            rate = float(stream.average_rate) if stream.average_rate else None
            width, height = stream.width, stream.height
    except (av.FFmpegError, IndexError, ValueError):
        _refuse_broken(found, "source")
    if warning := check_video(width, height, seconds, rate, item="source"):
        log.warning(warning)


def _refuse_broken(found: str, item: str) -> NoReturn:
    refuse(item, f"begins like {found} but cannot be read as such", "Give a complete file")


@cache
def log_unchecked(missing: str, what: str) -> None:
    """
    Log once per process that a check is left to the service.

    :param missing: The library that is not installed.
    :param what: What it would have read.
    """
    log.info(
        "Without %s, %s are left to the service to check. Install airflow-provider-seedance[media].", missing, what
    )
