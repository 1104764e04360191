"""
Media that travels in the request: read from files and object storage, checked, and written as ``data:`` URIs.

Sizes are asked for before contents, so that a file far too large is refused without being read. What is certain to fail
again (no such file, no permission, no such storage) is a request error; a storage that fails for now raises its own
error, and the task's retries apply.
"""

from __future__ import annotations

import base64
import errno
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.formats import sniff_format
from airflow_provider_seedance.api.media import (
    MediaKind,
    check_format,
    check_media,
    check_size,
    media_form,
    parse_data_uri,
)
from airflow_provider_seedance.api.media_facts import (
    AudioFacts,
    ImageFacts,
    check_audio,
    check_audio_total,
    check_image,
)
from airflow_provider_seedance.exceptions import SeedanceRequestError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedance.api.request import GenerationRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Loaded:
    uri: str = field(repr=False)
    #: Playing time of a clip; 0 where it is none or was not read.
    seconds: float = 0.0


def load_media(value: str, kind: MediaKind, *, item: str) -> str:
    """
    Turn a path or a ``data:`` URI into what is sent.

    Needs the extra ``media`` (Pillow, PyAV) for pixel sides and playing time; without it those two checks are left to
    the service, and the log says so once per process.

    :param value: A path that ``ObjectStoragePath`` opens, or a ``data:`` URI. Links and assets come back as they are.
    :param kind: What it is to be.
    :param item: Its name in messages, such as ``reference_images[1]``.
    :return: ``data:<kind>/<format>;base64,<data>`` with the format that the bytes have.
    :raises SeedanceRequestError: It cannot be read, or the service would refuse it (contract 1.2, 4).
    """
    return _load(value, kind, item).uri


def request_body(request: GenerationRequest) -> dict[str, Any]:
    """
    Write the body that is sent: media loaded, and checked together too.

    :param request: The request.
    :return: Plain JSON values, as :meth:`.GenerationRequest.to_json` writes them.
    :raises SeedanceRequestError: As :func:`load_media`; or the clips play longer than 15 s together, or the media
        alone come to 64 MB. No file is read after the one that passes a limit.
    """
    seconds = 0.0
    encoded = 0

    def load(value: str, kind: MediaKind, *, item: str) -> str:
        nonlocal seconds, encoded
        loaded = _load(value, kind, item)
        seconds += loaded.seconds
        check_audio_total(seconds, item=item)
        encoded += len(loaded.uri)
        if encoded >= limits.MAX_BODY_BYTES:
            raise SeedanceRequestError(
                f"With {item} the media in the request have {encoded / limits.MIB:.1f} MB as Base64; the whole request "
                f"must stay under {limits.MAX_BODY_BYTES // limits.MIB} MB. Give some as https:// links or as assets.",
                field=item,
            )
        return loaded.uri

    return request.to_json(media=load)


def _load(value: str, kind: MediaKind, item: str) -> _Loaded:
    form = media_form(value)
    if form in ("url", "asset"):
        return _Loaded(value)
    if form == "data":
        payload = parse_data_uri(value, kind, item=item).payload
        data = base64.b64decode(payload)
    else:
        data = _read(check_media(value, kind, item=item), kind, item)
        payload = base64.b64encode(data).decode("ascii")
    found = check_format(sniff_format(data[:64]), kind, item=item)
    seconds = 0.0
    if kind == "image":
        if size := _image_size(data, found, item):
            check_image(ImageFacts(*size, len(data), found), item=item)
    elif length := _audio_seconds(data, found, item):
        seconds = length
        check_audio(AudioFacts(seconds, len(data), found), item=item)
    return _Loaded(f"data:{kind}/{found};base64,{payload}", seconds)


def _read(value: str, kind: MediaKind, item: str) -> bytes:
    with open_storage(value, item) as path:
        found = path.stat()
        if found.get("size") is not None:
            check_size(found["size"], kind, item=item)
        with path.open("rb") as file:
            data: bytes = file.read(limits.MAX_BYTES[kind])
    check_size(len(data), kind, item=item)
    return data


@contextmanager
def open_storage(value: str, item: str) -> Iterator[ObjectStoragePath]:
    """
    Reach a file in a local folder or an object storage.

    :param value: A path that ``ObjectStoragePath`` opens.
    :param item: Its name in messages.
    :raises SeedanceRequestError: What stands in its way for good, found here or in the block. A storage that fails for
        now raises its own error, so that the task's retries apply.
    """
    path = _storage_path(value, item)
    try:
        if path.stat().get("type") == "directory":
            raise IsADirectoryError
        yield path
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _unreadable(item, value, "does not exist", "Correct the path") from error
    except IsADirectoryError as error:
        raise _unreadable(item, value, "is a directory", "Name one file in it") from error
    except PermissionError as error:
        remedy = "Let the worker's user, or the storage's connection, read it"
        raise _unreadable(item, value, "may not be read from here", remedy) from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise _unreadable(item, value, "is longer than a path can be", "Correct the path") from error


def _storage_path(value: str, item: str) -> ObjectStoragePath:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        path = ObjectStoragePath(value)
        # asking for the file system is what tells whether there is one
        _ = path.fs
    except (ValueError, ImportError) as error:
        scheme = value.partition("://")[0]
        raise _unreadable(
            item,
            value,
            f"is in a storage that is not installed here ({scheme})",
            "Correct the path, or install the Airflow provider of that storage with its file system, such as "
            "apache-airflow-providers-amazon[s3fs] for s3:// or apache-airflow-providers-google for gs://",
        ) from error
    return path


def _unreadable(item: str, path: str, what: str, remedy: str) -> SeedanceRequestError:
    return SeedanceRequestError(f"{item}: {path!r} {what}. {remedy}.", field=item)


def _image_size(data: bytes, found: str, item: str) -> tuple[int, int] | None:
    try:
        from PIL import Image
    except ImportError:
        say_unchecked("Pillow", "images' pixel sides")
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        high = limits.MAX_IMAGE_SIDE
        raise SeedanceRequestError(f"{item} is wider or higher than {high} pixels. Scale it.", field=item) from error
    except (OSError, ValueError, SyntaxError) as error:
        if found in ("heic", "heif"):
            say_unchecked("a HEIF plugin of Pillow", "HEIF images' pixel sides")
            return None
        raise _broken(item, found) from error


def _audio_seconds(data: bytes, found: str, item: str) -> float | None:
    try:
        import av
    except ImportError:
        say_unchecked("PyAV", "sound's playing time")
        return None
    try:
        with av.open(io.BytesIO(data), mode="r", format=found) as container:
            stream = container.streams.audio[0]
            # counted, since the length that a header states or a bit rate suggests can be far off
            seconds = float(sum((packet.duration or 0) * packet.time_base for packet in container.demux(stream)))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise _broken(item, found) from error
    if not seconds:
        raise _broken(item, found)
    return seconds


def _broken(item: str, found: str) -> SeedanceRequestError:
    return SeedanceRequestError(
        f"{item} begins like {found} but cannot be read as such. Give a complete file.", field=item
    )


@cache
def say_unchecked(missing: str, what: str) -> None:
    """Say once per process that a check is left to the service."""
    log.info(
        "Without %s, %s are left to the service to check. Install airflow-provider-seedance[media].", missing, what
    )
