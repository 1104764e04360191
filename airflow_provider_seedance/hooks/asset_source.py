"""What an asset is made from: read, checked and hashed before anything is paid, and sent without holding it whole."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.assets import ASSET_TYPES, AssetType
from airflow_provider_seedance.api.fingerprint import canonical_media
from airflow_provider_seedance.api.formats import sniff_format
from airflow_provider_seedance.api.media import MediaKind, check_format, check_media, check_size, media_form
from airflow_provider_seedance.api.media_facts import VideoFacts, check_video
from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.hooks.media import load_media, open_storage, say_unchecked

log = logging.getLogger(__name__)

#: Bytes of an image up to which it travels in the request's JSON; anything else is uploaded (contract 7, line 18).
SMALL = 4 * limits.MIB
_CHUNK = 1024 * 1024
_KINDS: dict[AssetType, MediaKind] = {"Image": "image", "Video": "video", "Audio": "audio"}
_TYPES: dict[MediaKind, AssetType] = {kind: type_ for type_, kind in _KINDS.items()}
_SUFFIXES: dict[str, AssetType] = {
    **dict.fromkeys(("jpg", "jpeg", "png", "gif", "webp", "bmp", "tiff", "tif", "heic", "heif"), "Image"),
    **dict.fromkeys(("mp4", "mov"), "Video"),
    **dict.fromkeys(("mp3", "wav"), "Audio"),
}

Opener = Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class AssetSource:
    """
    A checked source.

    :param asset_type: ``Image``, ``Video`` or ``Audio``.
    :param digest: SHA-256 in hexadecimal: of the bytes, or of the link without its signature where it is a link.
    :param url: What ``CreateAsset`` takes as URL; None where it is uploaded.
    :param open: Opens the file to upload.
    :param size: Bytes to upload.
    :param filename: Name that the upload carries.
    """

    asset_type: AssetType
    digest: str
    url: str | None = field(default=None, repr=False)
    open: Opener | None = field(default=None, repr=False)
    size: int = 0
    filename: str = ""


def read_source(value: object, asset_type: str | None = None) -> AssetSource:
    """
    Read and check what is to become an asset.

    :param value: A link, a ``data:`` URI, or a path that ``ObjectStoragePath`` opens.
    :param asset_type: ``Image``, ``Video`` or ``Audio``; found from the bytes, or a link's ending, where it is None.
    :raises SeedanceRequestError: It cannot be read, or the service would refuse it (contract 4).
    """
    if asset_type is not None and asset_type not in ASSET_TYPES:
        raise SeedanceRequestError(
            f"'asset_type' must be one of {', '.join(ASSET_TYPES)}; got {asset_type!r}.", field="asset_type"
        )
    if not isinstance(value, str) or not value.strip():
        raise SeedanceRequestError("'source' is empty: give a link, a data: URI or a path.", field="source")
    text = value.strip()
    form = media_form(text)
    if form == "asset":
        raise SeedanceRequestError("'source' is an asset already: use it as it is.", field="source")
    if form == "url":
        return _from_link(text, asset_type)
    if form == "data":
        return _from_data(text, asset_type)
    return _from_path(text, asset_type)


def _from_link(url: str, asset_type: str | None) -> AssetSource:
    found = asset_type or _SUFFIXES.get(PurePosixPath(urlsplit(url).path).suffix.lower().removeprefix("."))
    if found is None:
        raise SeedanceRequestError(
            "'asset_type' cannot be told from the link's ending: give Image, Video or Audio.", field="asset_type"
        )
    kind = _KINDS[found]  # type: ignore[index]
    link = check_media(url, kind, item="source")
    digest = hashlib.sha256(canonical_media(link).encode()).hexdigest()
    return AssetSource(_TYPES[kind], digest, url=link)


def _from_data(uri: str, asset_type: str | None) -> AssetSource:
    kind: MediaKind = "audio" if uri[5:10].lower() == "audio" else "image"
    _require_type(asset_type, kind)
    checked = load_media(uri, kind, item="source")
    digest = hashlib.sha256(base64.b64decode(checked.partition(",")[2])).hexdigest()
    return AssetSource(_TYPES[kind], digest, url=checked)


def _from_path(value: str, asset_type: str | None) -> AssetSource:
    with open_storage(value, "source") as path:
        size = int(path.stat().get("size") or 0)
        with path.open("rb") as file:
            found = sniff_format(file.read(64))
    kind = next((kind for kind, formats in limits.FORMATS.items() if found in formats), None)
    if kind is None or found is None:
        raise SeedanceRequestError(
            f"'source' {value!r} holds no image, video or sound of a format that the service takes. Convert it.",
            field="source",
        )
    media_kind = _KINDS[next(type_ for type_, name in _KINDS.items() if name == kind)]
    _require_type(asset_type, media_kind)
    check_format(found, media_kind, item="source")
    check_size(size, media_kind, item="source")
    if media_kind != "video":
        uri = load_media(value, media_kind, item="source")  # reads and checks it: at most 30 MB
        if media_kind == "image" and size <= SMALL:
            return AssetSource("Image", _digest(lambda: path.open("rb")), url=uri)
    elif (facts := _video_facts(lambda: path.open("rb"), found)) and (warning := check_video(facts, item="source")):
        log.warning(warning)
    return AssetSource(
        _TYPES[media_kind],
        _digest(lambda: path.open("rb")),
        open=lambda: path.open("rb"),
        size=size,
        filename=f"source.{found}",
    )


def _require_type(asset_type: str | None, kind: MediaKind) -> None:
    if asset_type is not None and asset_type != _TYPES[kind]:
        raise SeedanceRequestError(
            f"'asset_type' is {asset_type}, but 'source' holds {_TYPES[kind].lower()}: correct one of them.",
            field="asset_type",
        )


def _digest(opener: Opener) -> str:
    digest = hashlib.sha256()
    with opener() as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _video_facts(opener: Opener, found: str) -> VideoFacts | None:
    try:
        import av
    except ImportError:
        say_unchecked("PyAV", "videos' size, length and frame rate")
        return None
    try:
        with opener() as file, av.open(file, mode="r", format="mp4") as container:
            stream = container.streams.video[0]
            seconds = float(container.duration / av.time_base) if container.duration else 0.0
            rate = float(stream.average_rate) if stream.average_rate else None
            return VideoFacts(stream.width, stream.height, seconds, rate)
    except (av.FFmpegError, IndexError, ValueError) as e:
        raise SeedanceRequestError(
            f"'source' begins like {found} but cannot be read as such. Give a complete file.", field="source"
        ) from e


class Multipart:
    """
    A ``multipart/form-data`` body that streams its file; ``requests`` would hold the file whole.

    :param fields: The text fields.
    :param source: The file.
    """

    def __init__(self, fields: dict[str, str], source: AssetSource) -> None:
        self._source = source
        boundary = hashlib.sha256(source.digest.encode()).hexdigest()[:32]
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = io.BytesIO()
        for name, value in fields.items():
            head.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
        head.write(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{source.filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
        )
        self._head = head.getvalue()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        """Return the bytes to send, so that the request says them."""
        return len(self._head) + self._source.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body, opening the file anew."""
        yield self._head
        assert self._source.open is not None
        with self._source.open() as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield self._tail


Body = Multipart | dict[str, Any]
