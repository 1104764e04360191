"""
Media going in: read from files and object storage, checked, and turned into what is sent.

Sizes are looked up before contents are read, so that a file that is far too large is refused unread, and each file is
read once: what was checked and hashed is what is sent, even if the file changes meanwhile. What is certain to fail
again (no such file, no permission, no such storage) is a request error; a storage that fails for a moment is a
SeedanceServiceError, and the task's retries apply.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import PurePosixPath
from typing import IO, NoReturn
from urllib.parse import urlsplit

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.assets import ASSET_TYPES, AssetType
from airflow_provider_seedance.api.calls import Source
from airflow_provider_seedance.api.content import MediaItem
from airflow_provider_seedance.api.fingerprint import canonical_media
from airflow_provider_seedance.api.generation import iso
from airflow_provider_seedance.api.links import link_expiry
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
from airflow_provider_seedance.api.values import is_nothing, path_text, refuse, shown
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceServiceError
from airflow_provider_seedance.files.places import check_place
from airflow_provider_seedance.files.storage import is_permanent, storage_path

log = logging.getLogger(__name__)

#: Bytes of an image up to which it travels in the request's JSON; anything else is uploaded
#: (contract.md#open-questions).
MAX_INLINE_IMAGE = 4 * limits.MIB
#: Bytes that tell a file's format.
_HEAD = 64
_KINDS: dict[AssetType, MediaKind] = {"Image": "image", "Video": "video", "Audio": "audio"}
_SUFFIXES: dict[AssetType, tuple[str, ...]] = {
    "Image": (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tiff", ".tif", ".heic", ".heif"),
    "Video": (".mp4", ".mov"),
    "Audio": (".mp3", ".wav"),
}


def load_media(items: Sequence[MediaItem], *, now: float) -> tuple[str, ...]:
    """
    Read and check the media of a request.

    Needs the extra ``media`` (Pillow, PyAV) for pixel sides and playing time; without it those two checks are left to
    the service, and the log says so once per process.

    :param items: The request's media, whose paths ``ObjectStoragePath`` opens.
    :param now: Unix seconds, by which a link may say that it has expired.
    :returns: What is sent for each: links and assets as they are, paths and ``data:`` URIs as
        ``data:<kind>/<format>;base64,<data>`` with the format that their bytes have.
    :raises SeedanceRequestError: One cannot be read, may not be read from where it is, or the service would refuse it;
        or the clips play longer than 15 s together, or the media alone come to 64 MB. No file is read after the one
        that exceeds a limit.
    :raises SeedanceServiceError: A storage failed; a retry may help.
    """
    sent = []
    seconds = 0.0
    size = 0
    for item in items:
        form = media_form(item.value)
        if form == "url":
            check_link_is_alive(item.value, now=now, item=item.name)
        if form in ("url", "asset"):
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


def check_link_is_alive(link: str, *, now: float, item: str) -> None:
    """
    Refuse a link whose own signature says that it has expired: the service could not fetch it.

    :param link: An http(s) link; one that does not say passes.
    :param now: Unix seconds.
    :param item: The parameter, for messages.
    """
    expiry = link_expiry(link)
    if expiry is not None and expiry <= now:
        refuse(item, f"is a link that expired at {iso(expiry)}, as its signature says", "Sign a new one")


def read_source(value: object, asset_type: str | None = None) -> Source:
    """
    Read, check and hash what will become an asset, before anything is paid.

    :param value: A link, a ``data:`` URI, or a path that ``ObjectStoragePath`` opens.
    :param asset_type: ``Image``, ``Video`` or ``Audio``; if None, detected from the bytes, or from a link's ending.
    :returns: The source.
    :raises SeedanceRequestError: It cannot be read, or the service would refuse it (contract.md#create-asset).
    :raises SeedanceServiceError: A storage failed; a retry may help.
    """
    if asset_type is not None and asset_type not in ASSET_TYPES:
        refuse("asset_type", f"is {asset_type!r}", f"Give one of {', '.join(ASSET_TYPES)}")
    value = path_text(value)
    if is_nothing(value) or not isinstance(value, str):
        refuse("source", f"is {shown(value)}", "Give a link, a data: URI or a path")
    text = value.strip()
    form = media_form(text)
    if form == "asset":
        refuse("source", "is an asset already", "Use it as it is")
    if form == "url":
        return _source_of_link(text, asset_type)
    if form == "path":
        return _source_of_path(check_media(text, "image", item="source"), asset_type)  # checked alike for every kind
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
    with _open_storage(value, "source") as file:
        head = file.read(_HEAD)
        sniffed = sniff_format(head)
        kind = next((kind for kind in _KINDS.values() if sniffed in limits.FORMATS[kind]), None)
        if kind is None:
            fault = f"({value!r}) has no image, video or sound of a format that the service takes"
            refuse("source", fault, "Convert it")
        found = _type_of(kind, asset_type)
        data = head + _read(file, kind, "source", already=len(head))
    _check_file(data, kind, str(sniffed), "source")
    digest = hashlib.sha256(data).hexdigest()
    if kind == "image" and len(data) <= MAX_INLINE_IMAGE:
        return Source(found, digest, url=_data_uri(data, kind, str(sniffed)))
    return Source(found, digest, filename=f"source.{sniffed}", data=data)


def _type_of(kind: MediaKind, asset_type: str | None) -> AssetType:
    found = next(name for name, of_kind in _KINDS.items() if of_kind == kind)
    if asset_type not in (None, found):
        refuse("asset_type", f"is {asset_type}, but 'source' is {found.lower()}", "Correct one of them")
    return found


def _digest_of_uri(uri: str) -> str:
    return hashlib.sha256(base64.b64decode(uri.partition(",")[2])).hexdigest()


def _load(value: str, kind: MediaKind, item: str) -> tuple[str, float]:
    """Read and check a path or a ``data:`` URI. Return what is sent, and a clip's playing time, 0 if not known."""
    if media_form(value) == "data":
        data = base64.b64decode(parse_data_uri(value, kind, item=item))
    else:
        with _open_storage(check_media(value, kind, item=item), item, kind) as file:
            data = _read(file, kind, item)
    found = check_format(sniff_format(data[:_HEAD]), kind, item=item)
    seconds = _check_file(data, kind, found, item)
    return _data_uri(data, kind, found), seconds


def _data_uri(data: bytes, kind: MediaKind, found: str) -> str:
    return f"data:{kind}/{found};base64,{base64.b64encode(data).decode('ascii')}"


def _read(file: IO[bytes], kind: MediaKind, item: str, *, already: int = 0) -> bytes:
    """Read the rest of a file, whatever its storage said of its size, and no more of it than the service takes."""
    data = file.read(limits.MAX_BYTES[kind] - already)
    check_size(already + len(data), kind, item=item)
    return data


@contextmanager
def _open_storage(value: str, item: str, kind: MediaKind | None = None) -> Iterator[IO[bytes]]:
    """
    Open a file in a local folder or an object storage.

    One that is too large for its kind, if that is known and its storage says so, is refused unopened.

    Anything permanent that is in the way, here or in the block, is a request error. A storage that fails for a moment
    is an error that the task's retries apply to.
    """
    path = storage_path(value, item)
    check_place(path, value, item)
    try:
        status = path.stat()
        if status.get("type") == "directory":
            raise IsADirectoryError
        if status.get("type") == "other":  # opening a pipe would wait for a writer
            refuse(item, f"is {value!r}, which is a pipe, a socket or a device", "Name a regular file")
        size = status.get("size")
        if size is not None and kind is not None:
            check_size(size, kind, item=item)
        with path.open("rb") as file:
            yield file
    except SeedanceError:
        raise
    except Exception as error:
        if is_permanent(error):
            _refuse_unreadable(value, item, error)
        problem = redact(f"{item} ({value!r}) cannot be read: {type(error).__name__}: {error}")
        raise SeedanceServiceError(f"{problem}. A retry reads it again.") from None  # the cause may hold a signature


def _refuse_unreadable(value: str, item: str, error: Exception) -> NoReturn:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        refuse(item, f"is {value!r}, which does not exist", "Correct the path")
    if isinstance(error, IsADirectoryError):
        refuse(item, f"is {value!r}, which is a directory", "Name one file in it")
    if isinstance(error, PermissionError):
        remedy = "Let the worker's user, or the storage's connection, read it"
        refuse(item, f"is {value!r}, which may not be read from here", remedy)
    cause = getattr(error, "strerror", None) or error  # the whole text of an OSError repeats the path
    fault = f"is {value!r}, which cannot be read ({type(error).__name__}: {cause})"
    refuse(item, fault, "Correct the path, or the storage's connection")


def _check_file(data: bytes, kind: MediaKind, found: str, item: str) -> float:
    """Check what only a library can read; return a clip's playing time in seconds, 0 if it is not known."""
    if kind == "audio":
        return _check_audio_file(data, found, item)
    if kind == "image":
        _check_image_file(data, found, item)
    else:
        _check_video_file(data, found)
    return 0.0


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


def _check_video_file(data: bytes, found: str) -> None:
    try:
        import av
    except ImportError:
        log_unchecked("PyAV", "videos' size, length and frame rate")
        return
    try:
        with av.open(io.BytesIO(data), mode="r", format="mp4") as container:
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
