from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable
from typing import Any

import av
import pytest

from airflow_provider_seedance.emulator import rules
from airflow_provider_seedance.emulator.envelopes import Refusal

TEXT = {"type": "text", "text": "@image1 walks"}
URL = "https://example.com/file"


def image(role: str | None = "reference_image", url: str = URL) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}} | ({"role": role} if role else {})


def video(role: str | None = "reference_video", url: str = URL) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}} | ({"role": role} if role else {})


def audio(role: str | None = "reference_audio", url: str = URL) -> dict[str, Any]:
    return {"type": "audio_url", "audio_url": {"url": url}} | ({"role": role} if role else {})


def request(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "seedance-2.0", "content": list(content or [TEXT]), **fields}


def wav_uri(seconds: float, declared: str = "wav", rate: int = 8000) -> str:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(rate)
        file.writeframes(b"\x80" * int(seconds * rate))
    return f"data:audio/{declared};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def mp3_uri(seconds: int, declared: str = "mp3") -> str:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=16000, layout="mono")
        frame = av.AudioFrame(format="s16p", layout="mono", samples=16000 * seconds)
        frame.sample_rate, frame.pts = 16000, 0
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return f"data:audio/{declared};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def refusal(body: Any) -> tuple[int, str, str]:
    """Return status, code and text of a refusal; for an upstream one, code and text are those of the inner JSON."""
    with pytest.raises(Refusal) as caught:
        rules.check(body)
    answer = caught.value.body
    if "error" in answer:
        return caught.value.status, answer["error"]["code"], answer["error"]["message"]
    assert answer["data"] is None
    if answer["code"] != "fail_to_fetch_task":
        return caught.value.status, answer["code"], answer["message"]
    inner = json.loads(answer["message"])["error"]
    assert inner["type"] == "BadRequest"
    return caught.value.status, inner["code"], inner["message"]


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        ([TEXT], "text"),
        ([image(None)], "first frame"),
        ([TEXT, image(None)], "first frame"),
        ([TEXT, image("first_frame")], "first frame"),
        ([TEXT, image("first_frame"), image("last_frame")], "first and last frame"),
        ([image("last_frame"), image("first_frame")], "first and last frame"),
        ([TEXT, image(), video(), audio()], "reference"),
        ([TEXT, *[image()] * 9, *[video()] * 3, *[audio()] * 3], "reference"),
        ([video()], "reference"),
        ([TEXT, image(url="asset://asset-20260427160000-abcde")], "reference"),
        ([{"type": "text", "text": "@image9 is not there"}, image()], "reference"),
    ],
)
def test_every_mode_of_the_vendors_table_is_taken(content: list[dict[str, Any]], mode: str) -> None:
    assert rules.check(request(*content)).mode == mode


def test_absent_and_null_fields_mean_the_defaults() -> None:
    nulls = dict.fromkeys(["resolution", "ratio", "duration", "generate_audio", "watermark", "tools", "seed"])
    for body in (request(), request(**nulls)):
        order = rules.check(body)
        assert (order.resolution, order.ratio, order.duration) == ("720p", "16:9", 5)
        assert (order.generate_audio, order.watermark, order.return_last_frame) == (True, False, False)


def test_unknown_extra_fields_pass() -> None:
    assert rules.check(request(some_future_field=1)).duration == 5


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ([], 400, "invalid_json"),
        ({"content": [TEXT]}, 400, "missing_model"),
        ({"model": "", "content": [TEXT]}, 400, "missing_model"),
        ({"model": 5, "content": [TEXT]}, 400, "invalid_request"),
        ({"model": "seedance-9", "content": [TEXT]}, 503, "model_not_found"),
        ({"model": "seedance-2.0"}, 400, "invalid_request"),
        ({"model": "seedance-2.0", "content": []}, 400, "invalid_request"),
        ({"model": "seedance-2.0", "content": "text"}, 400, "invalid_request"),
        (request("text"), 400, "invalid_request"),
        (request(duration="5"), 400, "invalid_request"),
        (request(duration=5.0), 400, "invalid_request"),
        (request(duration=True), 400, "invalid_request"),
        (request(watermark="true"), 400, "invalid_request"),
        (request(generate_audio=1), 400, "invalid_request"),
        (request(resolution=720), 400, "invalid_request"),
        (request(seed="1"), 400, "invalid_request"),
        (request(tools={"type": "web_search"}), 400, "invalid_request"),
    ],
)
def test_gateway_refuses_what_it_cannot_route_or_decode(body: Any, status: int, code: str) -> None:
    assert refusal(body)[:2] == (status, code)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"duration": 3}, "duration"),
        ({"duration": 16}, "duration"),
        ({"duration": -1}, "duration"),
        ({"resolution": "2k"}, "resolution"),
        ({"resolution": "720P"}, "resolution"),
        ({"model": "seedance-2.0-ultra", "resolution": "480p"}, "resolution"),
        ({"ratio": "2:1"}, "ratio"),
        ({"ratio": ""}, "ratio"),
        ({"seed": -2}, "seed"),
        ({"execution_expires_after": 59}, "execution_expires_after"),
        ({"safety_identifier": "x" * 65}, "safety_identifier"),
        ({"output_format": "mov"}, "output_format"),
        ({"omni_reference_task_type": "other"}, "omni_reference_task_type"),
        ({"tools": [{"type": "other"}]}, "tools[0]"),
        ({"tools": ["web_search"]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}] * 2}, "tools[1]"),
    ],
)
def test_value_outside_the_models_range_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    status, code, text = refusal(request(**fields))
    assert (status, code) == (400, "InvalidParameter")
    assert f"'{named}'" in text


def test_ultra_needs_the_resolution() -> None:
    assert refusal(request(model="seedance-2.0-ultra"))[1] == "MissingParameter"


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        ([{}], "MissingParameter", "content[0].type"),
        ([{"type": "image"}], "InvalidParameter", "content[0].type"),
        ([{"type": "text"}], "MissingParameter", "content[0].text"),
        ([{"type": "text", "text": " "}], "InvalidParameter", "content[0].text"),
        ([{"type": "text", "text": 5}], "InvalidParameter", "content[0].text"),
        ([TEXT | {"role": "first_frame"}], "InvalidParameter", "content[0].role"),
        ([TEXT, TEXT], "InvalidParameter", "content[1]"),
        ([image(), TEXT], "InvalidParameter", "content[1]"),
        ([TEXT, video(), image()], "InvalidParameter", "content[2]"),
        ([TEXT, image(), audio(), video()], "InvalidParameter", "content[3]"),
        ([TEXT, {"type": "image_url"}], "MissingParameter", "content[1].image_url.url"),
        ([TEXT, {"type": "image_url", "image_url": URL}], "MissingParameter", "content[1].image_url.url"),
        ([TEXT, {"type": "image_url", "image_url": {"url": 5}}], "InvalidParameter", "content[1].image_url.url"),
        ([TEXT, image("reference_video")], "InvalidParameter", "content[1].role"),
        ([TEXT, video("first_frame")], "InvalidParameter", "content[1].role"),
        ([TEXT, audio("background")], "InvalidParameter", "content[1].role"),
        ([TEXT, video(None)], "MissingParameter", "content[1].role"),
        ([TEXT, image(None), image(None)], "MissingParameter", "content[1].role"),
        ([TEXT, image("last_frame")], "InvalidParameter", "content[1].role"),
        ([TEXT, image("first_frame"), image("first_frame")], "InvalidParameter", "content[2].role"),
        ([TEXT, image("first_frame"), image()], "InvalidParameter", "content[2].role"),
        ([TEXT, image("first_frame"), video()], "InvalidParameter", "content[2].role"),
        ([TEXT, audio()], "InvalidParameter", "content[1]"),
        ([audio()], "InvalidParameter", "content[0]"),
        ([TEXT, *[image()] * 10], "InvalidParameter", "content[10]"),
        ([TEXT, *[video()] * 4], "InvalidParameter", "content[4]"),
        ([TEXT, image(), *[audio()] * 4], "InvalidParameter", "content[5]"),
    ],
)
def test_content_against_the_rules_is_refused_by_its_index(
    content: list[dict[str, Any]], code: str, named: str
) -> None:
    status, found, text = refusal(request(*content))
    assert (status, found) == (400, code)
    assert f"'{named}'" in text


def test_web_search_is_for_text_only() -> None:
    assert refusal(request(TEXT, image(), tools=[{"type": "web_search"}]))[2].startswith("The parameter 'tools[0]'")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file",
        "ftp://example.com/a.png",
        "https://",
        "https://a b.com/",
        "http://[",
        "iVBORw0KGgo",
        "asset://",
        "asset://a/b",
        "Asset://asset-1",
        "ASSET://asset-1",
    ],
)
@pytest.mark.parametrize("kind", [image, video, audio])
def test_reference_that_is_no_url_and_no_asset_is_refused(url: str, kind: Callable[..., dict[str, Any]]) -> None:
    status, code, text = refusal(
        request(TEXT, image(), kind(url=url)) if kind is not image else request(TEXT, kind(url=url))
    )
    assert status == 400
    assert code.startswith("InvalidParameter")
    assert "_url.url'" in text


def test_base64_video_is_refused() -> None:
    assert "not as Base64" in refusal(request(TEXT, video(url="data:video/mp4;base64,AAAA")))[2]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "tiff", "gif"])
def test_every_image_format_is_taken_as_a_data_uri(image_uri: Callable[..., str], kind: str) -> None:
    order = rules.check(request(TEXT, image(url=image_uri(kind=kind))))
    assert order.picture is not None
    assert order.ratio == "1:1"


@pytest.mark.parametrize(("width", "height"), [(300, 300), (400, 1000), (1000, 400), (6000, 2400)])
def test_image_sides_and_ratio_on_the_limit_are_taken(image_uri: Callable[..., str], width: int, height: int) -> None:
    rules.check(request(TEXT, image(url=image_uri(width, height))))


@pytest.mark.parametrize(("width", "height"), [(299, 300), (300, 299), (6001, 2401), (400, 1001), (1001, 400)])
def test_image_sides_and_ratio_past_the_limit_are_refused(
    image_uri: Callable[..., str], width: int, height: int
) -> None:
    assert f"{width}x{height} px" in refusal(request(TEXT, image(url=image_uri(width, height))))[2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda uri: uri.replace("image/png", "image/PNG"),
        lambda uri: uri.replace("image/png", "IMAGE/png"),
        lambda uri: uri.replace("data:", "DATA:"),
        lambda uri: uri.replace("image/png", "image/jpeg"),
        lambda uri: uri.replace("image/png", "image/svg+xml"),
        lambda uri: uri.replace("image/png", "audio/wav"),
        lambda uri: uri.replace(";base64", ""),
        lambda uri: uri.replace("base64,", "base64,*"),
        lambda uri: uri[:-1],
        lambda uri: uri.partition(",")[0] + ",",
        lambda uri: uri.partition(",")[0] + "," + base64.b64encode(b"\x89PNG\r\n\x1a\nrubbish").decode(),
    ],
)
def test_spoiled_image_data_uri_is_refused(image_uri: Callable[..., str], spoil: Callable[[str], str]) -> None:
    uri = spoil(image_uri(301, 302))
    status, code, text = refusal(request(TEXT, image(url=uri)))
    assert (status, code) == (400, "InvalidParameter")
    assert "content[1].image_url.url" in text
    assert uri[30:90] not in text or len(uri) < 90


def test_image_of_30_mb_is_refused(image_uri: Callable[..., str]) -> None:
    head = base64.b64decode(image_uri(300, 300, "bmp").partition(",")[2])
    uri = "data:image/bmp;base64," + base64.b64encode(head.ljust(30 * 1024 * 1024, b"\0")).decode()
    assert "smaller than 30 MB" in refusal(request(TEXT, image(url=uri)))[2]


def test_heic_is_taken_without_reading_its_size() -> None:
    data = base64.b64encode(b"\0\0\0\x18ftypheic" + bytes(12)).decode()
    order = rules.check(request(TEXT, image(url=f"data:image/heic;base64,{data}")))
    assert order.ratio == "16:9"


@pytest.mark.parametrize(
    "uri", [wav_uri(2), wav_uri(15), mp3_uri(3), mp3_uri(3, "mpeg")], ids=["2s", "15s", "mp3", "mpeg"]
)
def test_audio_data_uri_within_the_limits_is_taken(uri: str) -> None:
    assert rules.check(request(TEXT, image(), audio(url=uri))).audios == 1


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (wav_uri(1.9), "2 to 15 s"),
        (wav_uri(15.5), "2 to 15 s"),
        (wav_uri(3, "mp3"), "declared format"),
        (wav_uri(3, "ogg"), "media type"),
        (wav_uri(3, "WAV"), "media type"),
        (wav_uri(2, rate=8_000_000), "15 MB"),
        ("data:audio/wav;base64," + base64.b64encode(b"RIFF0000WAVErubbish").decode(), "cannot be read"),
    ],
    ids=["short", "long", "other format", "unknown", "upper case", "large", "broken"],
)
def test_audio_data_uri_past_the_limits_is_refused(uri: str, reason: str) -> None:
    assert reason in refusal(request(TEXT, image(), audio(url=uri)))[2]


def test_audio_clips_together_must_not_exceed_15_seconds() -> None:
    clips = [audio(url=wav_uri(8)), audio(url=wav_uri(8))]
    assert "together" in refusal(request(TEXT, image(), *clips))[2]


@pytest.mark.parametrize(
    ("width", "height", "ratio"),
    [
        (1600, 900, "16:9"),
        (800, 600, "4:3"),
        (500, 520, "1:1"),
        (600, 800, "3:4"),
        (450, 800, "9:16"),
        (1000, 430, "21:9"),
    ],
)
def test_adaptive_ratio_follows_the_first_picture(
    image_uri: Callable[..., str], width: int, height: int, ratio: str
) -> None:
    order = rules.check(request(TEXT, image("first_frame", image_uri(width, height))))
    assert order.ratio == ratio
