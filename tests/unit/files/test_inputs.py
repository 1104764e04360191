"""Media read from files and object storage, with real files and the libraries that read their heads."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import os
import stat
import struct
import sys
import wave
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import fsspec
import pytest
from airflow import __version__ as airflow_version
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store
from PIL import Image

from airflow_provider_seedance.api.calls import Multipart
from airflow_provider_seedance.api.content import MediaItem, Role
from airflow_provider_seedance.api.limits import MIB
from airflow_provider_seedance.api.media import MediaKind
from airflow_provider_seedance.api.request import GenerationRequest
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceRequestError, SeedanceServiceError
from airflow_provider_seedance.files import inputs
from airflow_provider_seedance.files.inputs import MAX_INLINE_IMAGE, load_media, read_source

ITEM = "reference_images[1]"
ROLES: dict[MediaKind, Role] = {"image": "reference_image", "video": "reference_video", "audio": "reference_audio"}


def attach_storage(monkeypatch: pytest.MonkeyPatch, filesystem: Any) -> None:
    """Have ``s3://lake@…`` lead to a file system, for this test alone; Airflow's own ``attach`` would last."""
    monkeypatch.setitem(store._STORE_CACHE, "s3-lake", store.ObjectStore("s3", "lake", fs=filesystem))  # noqa: SLF001


def raise_from_storage(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Have every look at a file in ``s3://lake@…`` fail."""

    class Broken(type(fsspec.filesystem("memory"))):  # type: ignore[misc]
        cachable = False

        def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
            raise error

    attach_storage(monkeypatch, Broken())


def load(value: str, kind: MediaKind = "image") -> str:
    """Load one item."""
    (sent,) = load_media([MediaItem(ITEM, ROLES[kind], value)], now=0)
    return sent


def sent_for(request: GenerationRequest) -> list[str]:
    """Return what is sent for each item of a request."""
    content = request.to_json(load_media(request.media, now=0))["content"]
    return [item[item["type"]]["url"] for item in content]


def picture(width: int = 320, height: int = 320, fmt: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, fmt)
    return buffer.getvalue()


def wav(seconds: float, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(rate)
        file.writeframes(b"\x80" * int(seconds * rate))
    return buffer.getvalue()


def mp3(seconds: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=16000, layout="mono")
        frame = av.AudioFrame(format="s16p", layout="mono", samples=16000)
        frame.sample_rate = 16000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for _ in range(seconds):
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(data: bytes, name: str = "media.bin") -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> None:
    inputs.log_unchecked.cache_clear()


def refusal(value: str, kind: MediaKind = "image") -> str:
    with pytest.raises(SeedanceRequestError) as refused:
        load(value, kind)
    assert refused.value.field == ITEM
    assert ITEM in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_image_file_becomes_a_data_uri_of_the_format_that_its_bytes_have(fmt: str, file: Any) -> None:
    data = picture(fmt=fmt)

    uri = load(file(data, "photo.txt"))

    assert uri == f"data:image/{fmt.lower()};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(("data", "name"), [(wav(2), "wav"), (mp3(3), "mp3")])
def test_sound_file_becomes_a_data_uri(data: bytes, name: str, file: Any) -> None:
    assert load(file(data), "audio") == (f"data:audio/{name};base64,{base64.b64encode(data).decode()}")


@pytest.mark.skipif(airflow_version.startswith("3.0."), reason="Airflow 3.0 looks for a relative path at the root")
def test_file_is_found_by_every_spelling_of_its_path(
    file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(picture(), "über katze.png")
    monkeypatch.chdir(tmp_path)

    uris = {load(value) for value in (path, f"file://{path}", "über katze.png")}

    assert len(uris) == 1


def test_object_storage_is_read_through_its_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    attach_storage(monkeypatch, memory)
    data = picture()
    memory.pipe("/bucket/cat.png", data)

    uri = load("s3://lake@bucket/cat.png")

    assert uri.endswith(base64.b64encode(data).decode())


@pytest.mark.parametrize("value", ["https://a.example/b.png?sig=1", "asset://a-1"])
def test_links_and_assets_come_back_unopened(value: str) -> None:
    assert load(value) == value


def test_data_uri_is_checked_as_a_file_is_and_gets_its_real_format() -> None:
    payload = base64.b64encode(picture(fmt="JPEG")).decode()

    assert load(f"data:image/png;base64,{payload}") == f"data:image/jpeg;base64,{payload}"

    small = base64.b64encode(picture(299, 400)).decode()
    assert "299x400" in refusal(f"data:image/png;base64,{small}")


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", "image", "empty"),
        (b"hello, world", "image", "known format"),
        (wav(3), "image", "is wav"),
        (picture(), "audio", "is png"),
        (picture(299, 300), "image", "299x300"),
        (picture(6001, 3000), "image", "6001x3000"),
        (picture(300, 751), "image", "0.399"),
        (picture(751, 300), "image", "2.503"),
        (picture()[:20], "image", "cannot be read"),
        (wav(1.9), "audio", "1.9 s"),
        (wav(15.3), "audio", "15.3 s"),
        (mp3(17), "audio", "17."),
        (wav(3)[:20], "audio", "cannot be read"),
        (wav(0), "audio", "cannot be read"),
        (b"ID3\x04" + b"\0" * 200, "audio", "cannot be read"),
    ],
)
def test_file_that_the_service_would_refuse_is_refused(data: bytes, kind: MediaKind, words: str, file: Any) -> None:
    assert words in refusal(file(data), kind)


def test_image_too_large_to_decode_safely_is_refused_by_its_head(file: Any) -> None:
    head = struct.pack(">4sIIBBBBB", b"IHDR", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + head + struct.pack(">I", zlib.crc32(head)) + b"\0\0\0\0IDAT\0\0\0\0"

    assert "wider or higher than 6000 pixels" in refusal(file(data))


@pytest.mark.parametrize(("kind", "limit"), [("image", 30 * MIB), ("audio", 15 * MIB)])
def test_huge_file_is_refused_without_being_read(
    kind: MediaKind, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(10 * 1024 * MIB)

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr("airflow.sdk.io.path.ObjectStoragePath.open", never)

    assert f"10240.0 MB; the service takes {kind} under {limit // MIB} MB" in refusal(str(path), kind)


def test_storage_that_tells_no_size_is_read_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sizeless(type(fsspec.filesystem("memory"))):  # type: ignore[misc]
        cachable = False

        def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
            return {**super().info(path, **kwargs), "size": None}

    memory = Sizeless()
    memory.pipe("/b/large.png", picture() + b"\0" * (30 * MIB))
    memory.pipe("/b/small.png", picture())
    attach_storage(monkeypatch, memory)

    assert "under 30 MB" in refusal("s3://lake@b/large.png")
    assert load("s3://lake@b/small.png").startswith("data:image/png")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("/no/such/file.png", "does not exist"),
        ("file:///no/such/file.png", "does not exist"),
        ("/etc", "directory"),
        ("/etc/hostname/x.png", "does not exist"),
        ("/" + "x y." * 80, "File name too long"),
        ("gs://bucket/a.png", "install apache-airflow-providers-google."),
        ("abfs://container/a.png", "install apache-airflow-providers-microsoft-azure."),
        ("nonsense://bucket/a.png", "not installed here (nonsense)"),
        ("ftps://host/a.png", "not installed here (ftps)"),
    ],
)
def test_path_that_cannot_be_read_is_refused_with_the_remedy(value: str, words: str) -> None:
    message = refusal(value)

    assert words in message
    assert value in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_refused(file: Any) -> None:
    path = file(picture())
    Path(path).chmod(stat.S_IWUSR)

    assert "may not be read" in refusal(path)


def test_storage_that_forbids_reading_is_told_from_one_that_fails_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    raise_from_storage(monkeypatch, PermissionError("no"))
    assert "may not be read" in refusal("s3://lake@b/a.png")

    raise_from_storage(monkeypatch, ConnectionResetError("no"))
    with pytest.raises(SeedanceServiceError, match="cannot be read: ConnectionResetError"):
        load("s3://lake@b/a.png")


@pytest.mark.parametrize(
    ("code", "expected"), [("ExpiredToken", SeedanceServiceError), ("AccessDenied", SeedanceRequestError)]
)
def test_code_of_the_storage_decides_whether_a_retry_helps(
    monkeypatch: pytest.MonkeyPatch, code: str, expected: type[SeedanceError]
) -> None:
    error = PermissionError("no")
    error.__cause__ = Exception("as botocore raises it")
    error.__cause__.response = {"Error": {"Code": code}}  # type: ignore[attr-defined]
    raise_from_storage(monkeypatch, error)
    with pytest.raises(expected):
        load("s3://lake@b/a.png")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("embedded null byte"), SeedanceRequestError),
        (NotImplementedError("no such feature"), SeedanceRequestError),
        (json.JSONDecodeError("Expecting value", "<html>", 0), SeedanceServiceError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), SeedanceServiceError),
    ],
)
def test_response_that_cannot_be_decoded_is_worth_a_retry(
    monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type[SeedanceError]
) -> None:
    raise_from_storage(monkeypatch, error)
    with pytest.raises(expected, match=type(error).__name__):
        load("s3://lake@b/a.png")


@pytest.mark.parametrize("value", ["/data/clip.mp4", "data:video/mp4;base64,AAAA"])
def test_video_is_refused_with_the_advice_to_create_an_asset(value: str) -> None:
    assert "create an asset" in refusal(value, "video")


def test_heif_image_passes_with_its_sides_unread(file: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = file(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\0" * 64)

    assert load(path).startswith("data:image/heic;base64,")
    assert "HEIF" in caplog.text


@pytest.mark.parametrize(("library", "kind", "data"), [("PIL", "image", picture(10, 10)), ("av", "audio", wav(1))])
def test_without_the_library_the_check_is_skipped_and_said_once(
    library: str,
    kind: MediaKind,
    data: bytes,
    file: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(sys.modules, library, None)
    path = file(data)

    for _ in range(3):
        assert load(path, kind).startswith(f"data:{kind}/")

    assert caplog.text.count("airflow-provider-seedance[media]") == 1


# -- the whole body --------------------------------------------------------------------------------------------------


def test_body_holds_every_file_in_its_place(file: Any) -> None:
    image, clip = file(picture(), "a"), file(wav(3), "b")
    request = GenerationRequest(reference_images=[image, "https://a.example/b.png"], reference_audios=clip)

    assert [url[:16] for url in sent_for(request)] == ["data:image/png;b", "https://a.exampl", "data:audio/wav;b"]


def test_clips_that_play_too_long_together_are_refused(file: Any) -> None:
    clip = file(wav(8))

    with pytest.raises(SeedanceRequestError, match=r"16\.0 s together") as refused:
        sent_for(GenerationRequest(reference_images="asset://a", reference_audios=[clip, clip]))
    assert refused.value.field == "reference_audios[1]"


def test_reading_stops_at_the_file_that_makes_the_body_too_large(file: Any) -> None:
    large = file(picture() + b"\0" * (25 * MIB))
    request = GenerationRequest(reference_images=[large, large, "/no/such/file.png"])

    with pytest.raises(SeedanceRequestError, match="under 64 MB") as refused:
        sent_for(request)
    assert refused.value.field == "reference_images[1]"


# -- what becomes an asset -------------------------------------------------------------------------------------------


def test_small_image_is_sent_in_the_request_and_hashed_by_its_bytes(file: Any) -> None:
    data = picture()
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"

    for value in (file(data), uri):
        source = read_source(value)
        assert (source.asset_type, source.url, source.digest) == ("Image", uri, hashlib.sha256(data).hexdigest())


def test_sound_is_uploaded_from_its_file(file: Any) -> None:
    data = wav(3)
    source = read_source(file(data))

    assert (source.asset_type, source.url, source.data) == ("Audio", None, data)
    assert (source.filename, source.digest) == ("source.wav", hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("data", [wav(3), picture() + b"\0" * MAX_INLINE_IMAGE], ids=["sound", "large image"])
@pytest.mark.parametrize("later", [b"", b"other bytes", picture() * 3 + b"\0" * 5 * MIB], ids=["empty", "less", "more"])
def test_source_that_changes_later_is_sent_as_it_was_hashed(data: bytes, later: bytes, file: Any) -> None:
    path = file(data)
    source = read_source(path)
    Path(path).write_bytes(later)
    body = Multipart({"Name": "hero"}, source)

    sent = b"".join(body)

    assert len(sent) == len(body)
    assert sent.endswith(b"\r\n\r\n" + data + f"\r\n--{source.digest[:32]}--\r\n".encode())
    assert source.digest == hashlib.sha256(data).hexdigest()


class Growing(io.BytesIO):
    """A file that has become longer than its storage said."""

    def __init__(self) -> None:
        super().__init__(wav(3) + b"\0" * 20 * MIB)

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size <= 15 * MIB, "would read without end"
        return super().read(size)


def test_file_that_grew_since_it_was_sized_is_refused_at_the_limit(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(wav(3))
    monkeypatch.setattr(ObjectStoragePath, "open", lambda self, mode: Growing())

    with pytest.raises(SeedanceRequestError, match="under 15 MB") as refused:
        read_source(path)
    assert refused.value.field == "source"
    assert "under 15 MB" in refusal(path, "audio")


@pytest.mark.parametrize("read", [load, read_source])
@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_what_is_no_regular_file_is_refused_unopened(read: Any, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    with pytest.raises(SeedanceRequestError, match="Name a regular file"):
        read(str(path) if kind == "a pipe" else "/dev/zero")


def test_path_objects_are_taken(file: Any) -> None:
    path = file(picture())
    expected = read_source(path)

    assert read_source(Path(path)) == read_source(ObjectStoragePath(path)) == expected


# -- links that have expired -----------------------------------------------------------------------------------------

SIGNED = "https://a.example/hero.png?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=1"
SIGNED_AT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def test_link_that_has_expired_is_refused_and_named_without_its_signature() -> None:
    request = GenerationRequest(reference_images=["https://a.example/b.png", SIGNED])

    with pytest.raises(SeedanceRequestError, match=r"expired at 2026-01-01T00:01:00\+00:00") as refused:
        load_media(request.media, now=SIGNED_AT + 60)
    assert refused.value.field == ITEM
    assert "example" not in str(refused.value)
    assert load_media(request.media, now=SIGNED_AT + 59) == ("https://a.example/b.png", SIGNED)


def test_link_is_hashed_without_its_signature_and_not_opened() -> None:
    source = read_source("https://a.example/hero.PNG?X-Amz-Signature=1")

    assert source.asset_type == "Image"
    assert source.digest == read_source("https://a.example/hero.PNG?X-Amz-Signature=2").digest
    assert (source.is_link, source.data) == (True, b"")


@pytest.mark.parametrize(
    ("value", "asset_type", "field"),
    [
        ("https://a.example/hero", None, "asset_type"),
        ("https://a.example/hero.png", "Picture", "asset_type"),
        ("asset://a-1", None, "source"),
        ("", None, "source"),
        ("None", None, "source"),
        (None, None, "source"),
        ("http://a.example/hero.png", None, "source"),
        (7, None, "source"),
        ("https://", "Image", "source"),
        ("http://[::1", "Image", "source"),
        ("http://[::1", None, "source"),
        (f"data:image/png;base64,{base64.b64encode(picture()).decode()}", "Audio", "asset_type"),
        ("/no/such/file.png", None, "source"),
        ("/no/such\0/file.png", None, "source"),
        ("asset-20260427160000-abcde", None, "source"),
        ("/etc/hostname", None, "source"),
    ],
)
def test_source_that_cannot_become_an_asset_is_refused(value: Any, asset_type: str | None, field: str) -> None:
    with pytest.raises(SeedanceRequestError) as refused:
        read_source(value, asset_type)

    assert refused.value.field == field


def test_representation_of_a_source_holds_neither_link_nor_path(file: Any) -> None:
    assert "example" not in repr(read_source("https://a.example/hero.png?sig=1"))
    assert "media.bin" not in repr(read_source(file(wav(3))))
