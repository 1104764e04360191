"""Media values without opening anything: forms, formats, data URIs, limits."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from airflow_provider_seedance.api.limits import MIB
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
from airflow_provider_seedance.exceptions import SeedanceRequestError

PAD = b"\0" * 64
FILES = [
    (b"\xff\xd8\xff\xe0\x00\x10JFIF" + PAD, "jpeg"),
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + PAD, "png"),
    (b"RIFF\x24\x00\x00\x00WEBPVP8 " + PAD, "webp"),
    (b"BM\x36\x00\x0c\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00" + PAD, "bmp"),
    (b"II*\x00\x08\x00\x00\x00" + PAD, "tiff"),
    (b"MM\x00*\x00\x00\x00\x08" + PAD, "tiff"),
    (b"GIF87a" + PAD, "gif"),
    (b"GIF89a" + PAD, "gif"),
    (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + PAD, "heic"),
    (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic" + PAD, "heic"),
    (b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1" + PAD, "heif"),
    (b"RIFF\x24\x00\x00\x00WAVEfmt " + PAD, "wav"),
    (b"ID3\x04\x00\x00" + PAD, "mp3"),
    (b"\xff\xfb\x90\x64" + PAD, "mp3"),
    (b"\xff\xf3\x40\xc4" + PAD, "mp3"),
    (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + PAD, "mp4"),
    (b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  " + PAD, "mov"),
    (b"\x00\x00\x10\x00moov" + PAD, "mov"),
]
OTHERS = [
    b"",
    b"RIFF",
    b"\xff",
    PAD,
    b"hello, world" + PAD,
    b"\x1aE\xdf\xa3" + PAD,  # Matroska
    b"OggS" + PAD,
    b"fLaC" + PAD,
    b"\xff\xf1\x50\x80" + PAD,  # AAC
    b"RIFF\x24\x00\x00\x00AVI LIST" + PAD,
    b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif" + PAD,
    b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif" + PAD,
    b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A isom" + PAD,
    b"BMWs are cars, and this is no bitmap" + PAD,
    b"%PDF-1.7" + PAD,
    b"<svg xmlns=" + PAD,
]
PNG = FILES[1][0]


def data_uri(data: bytes, header: str = "image/png") -> str:
    return f"data:{header};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(("data", "name"), FILES)
def test_format_is_told_from_the_first_bytes(data: bytes, name: str) -> None:
    assert sniff_format(data[:64]) == name


@pytest.mark.parametrize("data", OTHERS)
def test_bytes_of_other_formats_are_told_apart(data: bytes) -> None:
    assert sniff_format(data) is None


@pytest.mark.parametrize(
    ("given", "kind", "taken", "form"),
    [
        ("https://a.example/b.png", "image", "https://a.example/b.png", "url"),
        ("HTTPS://a.example/b", "video", "HTTPS://a.example/b", "url"),
        ("  https://a.example/b?c=d&e#f\n", "audio", "https://a.example/b?c=d&e#f", "url"),
        ("https://a.example/图.png", "image", "https://a.example/图.png", "url"),
        ("asset://asset-20260427160000-AbCde", "image", "asset://asset-20260427160000-AbCde", "asset"),
        ("Asset://asset-1", "video", "asset://asset-1", "asset"),
        ("ASSET://Id", "audio", "asset://Id", "asset"),
        ("http://127.0.0.1:8765/b.png", "image", "http://127.0.0.1:8765/b.png", "url"),
        ("http://[::1]/b.png", "image", "http://[::1]/b.png", "url"),
        ("http://localhost/b.png", "image", "http://localhost/b.png", "url"),
        ("/data/a.png", "image", "/data/a.png", "path"),
        ("asset-photo.png", "image", "asset-photo.png", "path"),
        ("data/a.png", "image", "data/a.png", "path"),
        ("a b.wav", "audio", "a b.wav", "path"),
        ("/data" + "/deep" * 40 + ".png", "image", "/data" + "/deep" * 40 + ".png", "path"),
        ("file:///data/a.png", "image", "file:///data/a.png", "path"),
        ("s3://conn@bucket/key.png", "image", "s3://conn@bucket/key.png", "path"),
        ("gs://bucket/key.mp3", "audio", "gs://bucket/key.mp3", "path"),
    ],
)
def test_every_form_of_media_is_taken(given: str, kind: MediaKind, taken: str, form: str) -> None:
    assert check_media(given, kind, item="x") == taken
    assert media_form(taken) == form


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (None, "image", "is None: the upstream task pushed nothing"),
        ([], "image", "is an empty list: the upstream task pushed nothing"),
        (7, "image", "of type int"),
        ({"generation_id": "g"}, "image", "of type dict, not a string. Give a link"),
        ({"last_frame_path": "p", "video_url": "u"}, "image", 'Give its member: output["last_frame_path"]'),
        ({"last_frame_path": "p", "video_url": "u"}, "video", 'Give its member: output["video_url"]'),
        ({"asset_id": "a", "asset_uri": "asset://a"}, "audio", 'Give its member: output["asset_uri"]'),
        (b"\x89PNG", "image", "bytes"),
        ("", "image", "is '': the upstream task pushed nothing"),
        (" ", "audio", "pushed nothing"),
        ("None", "image", "is 'None': the upstream task pushed nothing"),
        ("null", "image", "pushed nothing"),
        ("http://a.example/b.png", "image", "https://"),
        ("HTTP://a.example/b.mp4", "video", "https://"),
        ("http://localhost.example/b.png", "image", "https://"),
        ("https://", "image", "complete link"),
        ("https:/a.example/b.png", "image", "complete link"),
        ("https://a.example/b c.png", "image", "%20"),
        ("http://[::1", "image", "complete link"),
        ("https://a.example/b\nc.png", "image", "control character"),
        ("/data/\x00.png", "image", "control character"),
        ("asset://", "image", "asset"),
        ("asset:abc", "image", "asset"),
        ("asset://a/b", "image", "asset"),
        ("asset://a b", "image", "asset"),
        ("asset-20260427160000-xxxxx", "image", "asset://asset-20260427160000-xxxxx"),
        ("asset_123", "video", "Write asset://asset_123"),
        ("/data/a.mp4", "video", "create an asset"),
        ("s3://bucket/a.mp4", "video", "create an asset"),
        ("file:///a.mp4", "video", "create an asset"),
        (data_uri(FILES[15][0], "video/mp4"), "video", "create an asset"),
        (base64.b64encode(PNG * 3).decode(), "image", "bare Base64"),
        (base64.b64encode(FILES[0][0] * 3).decode(), "image", "bare Base64"),
        ("x" * 5000, "image", "bare Base64"),
        ("data:image/png,abc", "image", "data:image/png;base64"),
        ("data:;base64,AAAA", "image", "data:image/png;base64"),
        ("data:image/png;base64,", "image", "data:image/png;base64"),
        ("data:image/png;charset=utf-8;base64,AAAA", "image", "data:image/png;base64"),
        (data_uri(PNG, "image/PNG"), "image", "capitals"),
        (data_uri(PNG, "Image/png"), "image", "capitals"),
        (data_uri(PNG, "image/svg+xml"), "image", "svg"),
        (data_uri(PNG, "audio/wav"), "image", "data:image/png"),
        (data_uri(PNG, "image/png"), "audio", "data:audio/wav"),
        (data_uri(FILES[11][0], "audio/ogg"), "audio", "wav, mp3"),
        (data_uri(b"hello, world, I am no picture"), "image", "known format"),
        (data_uri(FILES[11][0]), "image", "is wav"),
        (data_uri(PNG).rstrip("=")[:-1], "image", "plain Base64"),
        (data_uri(PNG) + "\nAAAA", "image", "plain Base64"),
        (data_uri(PNG)[:-8] + "-_-_AAAA", "image", "plain Base64"),
        (data_uri(PNG)[:-4] + "====", "image", "plain Base64"),
        (data_uri(PNG) + "=AAA", "image", "plain Base64"),
        (data_uri(PNG)[:-4] + "éAAA", "image", "plain Base64"),
    ],
)
def test_what_is_no_media_value_is_refused_with_the_remedy(given: Any, kind: MediaKind, words: str) -> None:
    with pytest.raises(SeedanceRequestError) as refused:
        check_media(given, kind, item="reference_images[1]")

    assert words in str(refused.value)
    assert refused.value.field == "reference_images[1]"


@pytest.mark.parametrize("secret", ["sig=SECRET", "c2VjcmV0"])
@pytest.mark.parametrize(
    "value",
    [
        "https://a.example/b c?{}",
        "https:///b?{}",
        "data:image/PNG;base64,{}",
        "data:text/plain;base64,{}",
        "asset://{}?",
    ],
)
def test_message_never_holds_query_or_payload(value: str, secret: str) -> None:
    with pytest.raises(SeedanceRequestError) as refused:
        check_media(value.format(secret), "image", item="first_frame")

    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "kind", "header"),
    [
        *((data, "image", f"image/{name}") for data, name in FILES if name not in ("wav", "mp3", "mp4", "mov")),
        (FILES[0][0], "image", "image/jpg"),
        (FILES[0][0], "image", "image/png"),
        (FILES[11][0], "audio", "audio/wav"),
        (FILES[11][0], "audio", "audio/x-wav"),
        (FILES[12][0], "audio", "audio/mpeg"),
        (FILES[13][0], "audio", "audio/mp3"),
    ],
)
def test_data_uri_is_known_by_its_bytes(data: bytes, kind: MediaKind, header: str) -> None:
    assert base64.b64decode(parse_data_uri(data_uri(data, header), kind, item="x")) == data


@pytest.mark.parametrize(
    ("kind", "head", "limit"),
    [("image", PNG, 30 * MIB), ("audio", FILES[11][0], 15 * MIB)],
    ids=["image", "audio"],
)
def test_data_uri_at_the_size_limit_is_refused_and_below_it_taken(kind: MediaKind, head: bytes, limit: int) -> None:
    header = "image/png" if kind == "image" else "audio/wav"
    under = head + b"\0" * (limit - 1 - len(head))
    for taken in (under, under[:-1]):  # with one and two characters of padding
        assert parse_data_uri(data_uri(taken, header), kind, item="x")

    with pytest.raises(SeedanceRequestError, match=f"under {limit // MIB} MB"):
        parse_data_uri(data_uri(under + b"\0", header), kind, item="x")


@pytest.mark.parametrize(("width", "height"), [(300, 300), (6000, 6000), (400, 1000), (1000, 400), (1280, 720)])
def test_image_within_the_limits_is_taken(width: int, height: int) -> None:
    check_image(width, height, item="x")


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (299, 300, "300 to 6000"),
        (300, 299, "300 to 6000"),
        (6001, 6000, "300 to 6000"),
        (6000, 6001, "300 to 6000"),
        (0, 0, "300 to 6000"),
        (399, 1000, "0.4"),
        (1000, 399, "2.5"),
    ],
)
def test_image_beyond_a_limit_is_refused(width: int, height: int, words: str) -> None:
    with pytest.raises(SeedanceRequestError, match=words) as refused:
        check_image(width, height, item="last_frame")

    assert refused.value.field == "last_frame"


@pytest.mark.parametrize(
    ("size", "kind", "words"),
    [
        (30 * MIB, "image", "under 30 MB"),
        (15 * MIB, "audio", "under 15 MB"),
        (50 * MIB, "video", "under 50 MB"),
        (0, "image", "empty"),
        (0, "audio", "empty"),
    ],
)
def test_file_of_a_wrong_size_is_refused(size: int, kind: MediaKind, words: str) -> None:
    with pytest.raises(SeedanceRequestError, match=words) as refused:
        check_size(size, kind, item="last_frame")
    assert refused.value.field == "last_frame"


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [("mp4", "image", "mp4"), ("png", "audio", "wav, mp3"), (None, "image", "known format")],
)
def test_format_of_another_kind_is_refused(found: str | None, kind: MediaKind, words: str) -> None:
    with pytest.raises(SeedanceRequestError, match=words) as refused:
        check_format(found, kind, item="last_frame")

    assert refused.value.field == "last_frame"


@pytest.mark.parametrize("seconds", [2.0, 7.5, 15.0, 15.2])
def test_clip_within_the_limits_is_taken(seconds: float) -> None:
    check_audio(seconds, item="x")


@pytest.mark.parametrize("seconds", [1.99, 15.3])
def test_clip_beyond_a_limit_is_refused(seconds: float) -> None:
    with pytest.raises(SeedanceRequestError, match="2 to 15 s") as refused:
        check_audio(seconds, item="reference_audios[2]")

    assert refused.value.field == "reference_audios[2]"


def test_clips_together_may_not_play_longer_than_one_may() -> None:
    check_audio_total(15.2, item="x")

    with pytest.raises(SeedanceRequestError, match=r"18\.0 s together") as refused:
        check_audio_total(18.0, item="reference_audios[1]")
    assert refused.value.field == "reference_audios[1]"


@pytest.mark.parametrize(
    ("width", "height", "seconds", "fps", "warned"),
    [(640, 640, 2.0, 24.0, False), (1280, 720, 15.2, None, False), (1920, 1080, 5.0, 60.0, True)],
)
def test_video_within_the_limits_is_taken_and_a_doubtful_size_warned_about(
    width: int, height: int, seconds: float, fps: float | None, warned: bool
) -> None:
    assert bool(check_video(width, height, seconds, fps, item="source")) is warned


@pytest.mark.parametrize(
    ("width", "height", "seconds", "fps", "words"),
    [
        (299, 400, 5.0, 24.0, "300 to 6000"),
        (300, 800, 5.0, 24.0, "0.4"),
        (600, 600, 5.0, 24.0, "409600"),
        (4000, 4000, 5.0, 24.0, "8295044"),
        (1280, 720, 1.9, 24.0, "2 to 15 s"),
        (1280, 720, 15.3, 24.0, "2 to 15 s"),
        (1280, 720, 5.0, 23.0, "24 to 60"),
        (1280, 720, 5.0, 61.0, "24 to 60"),
    ],
)
def test_video_beyond_a_limit_is_refused(width: int, height: int, seconds: float, fps: float, words: str) -> None:
    with pytest.raises(SeedanceRequestError, match=words) as refused:
        check_video(width, height, seconds, fps, item="source")

    assert refused.value.field == "source"
