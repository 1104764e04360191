"""What is sent for a request that breaks no rule, and what it is expected to use."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_seedance.api.limits import MIB, PIXELS
from airflow_provider_seedance.api.request import GenerationRequest, encode_body
from airflow_provider_seedance.exceptions import SeedanceRequestError

IMAGE = "https://cdn.example.com/a.png"
VIDEO = "https://cdn.example.com/a.mp4"
AUDIO = "https://cdn.example.com/a.mp3"

TEXT_ITEM = {"type": "text", "text": "A cat"}
IMAGE_ITEM = {"type": "image_url", "image_url": {"url": IMAGE}, "role": "reference_image"}


def test_optional_fields_are_left_out_unless_set() -> None:
    body = GenerationRequest(prompt="A cat").to_json()

    assert list(body) == ["model", "content", "generate_audio", "resolution", "ratio", "duration", "watermark"]


def test_optional_fields_are_sent_when_set() -> None:
    body = GenerationRequest(
        prompt="A cat", web_search=True, return_last_frame=True, seed=0, watermark=True, extra_body={"priority": 3}
    ).to_json()

    assert body["tools"] == [{"type": "web_search"}]
    assert (body["return_last_frame"], body["seed"], body["watermark"], body["priority"]) == (True, 0, True, 3)


def test_loaded_media_are_sent_in_place_of_the_values_given() -> None:
    request = GenerationRequest(
        reference_images=[IMAGE, "/data/a.png", "asset://a"],
        reference_videos=[VIDEO],
        reference_audios=["s3://b/a.wav"],
    )
    given = [item.value for item in request.media]
    loaded = [IMAGE, "data:image/x;base64,AAAA", "asset://a", VIDEO, "data:audio/x;base64,AAAA"]

    assert given == [IMAGE, "/data/a.png", "asset://a", VIDEO, "s3://b/a.wav"]
    assert [item[item["type"]]["url"] for item in request.to_json(loaded)["content"]] == loaded
    assert [item[item["type"]]["url"] for item in request.to_json()["content"]] == given


def test_loaded_media_are_sent_in_raw_content_too() -> None:
    content: list[dict[str, Any]] = [
        TEXT_ITEM,
        {"type": "image_url", "image_url": {"url": "/data/a.png", "detail": "high"}, "role": "first_frame"},
    ]

    body = GenerationRequest(content=content).to_json(["data:image/x;base64,AAAA"])

    assert body["content"][1]["image_url"] == {"url": "data:image/x;base64,AAAA", "detail": "high"}
    assert content[1]["image_url"] == {"url": "/data/a.png", "detail": "high"}


def test_media_are_not_sent_without_one_of_them() -> None:
    with pytest.raises(ValueError, match="shorter"):
        GenerationRequest(reference_images=[IMAGE, IMAGE]).to_json([IMAGE])


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"prompt": "A cat"}, ["prompt"]),
        ({"first_frame": IMAGE, "last_frame": IMAGE}, ["first_frame", "last_frame"]),
        (
            {"prompt": "A cat", "reference_images": [IMAGE, IMAGE], "reference_audios": [AUDIO]},
            ["prompt", "reference_images[0]", "reference_images[1]", "reference_audios[0]"],
        ),
        ({"content": [TEXT_ITEM, IMAGE_ITEM]}, ["content[0]", "content[1]"]),
    ],
)
def test_services_content_index_is_mapped_back_to_the_parameter(arguments: dict[str, Any], names: list[str]) -> None:
    request = GenerationRequest(**arguments)

    assert list(request.item_names) == names
    assert len(request.to_json()["content"]) == len(names)


# -- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resolution", "duration", "tokens"),
    [
        ("480p", 5, 50_638),
        ("720p", 5, 108_900),
        ("720p", 8, 173_700),
        ("720p", 10, 216_900),
        ("720p", 15, 324_900),
        ("1080p", 5, 245_025),
        ("1080p", 10, 488_025),
        ("1080p", 15, 731_025),
    ],
)
@pytest.mark.parametrize("ratio", ["16:9", "adaptive"])
def test_expected_tokens_follow_the_contracts_table(resolution: str, duration: int, tokens: int, ratio: str) -> None:
    request = GenerationRequest(prompt="A cat", resolution=resolution, duration=duration, ratio=ratio)

    assert request.expected_tokens() == tokens
    assert not request.expected_tokens_is_lower_bound


@pytest.mark.parametrize(
    ("resolution", "ratio"), [(resolution, ratio) for resolution, row in PIXELS.items() for ratio in row]
)
def test_expected_tokens_are_known_for_every_pixel_size_of_the_table(resolution: str, ratio: str) -> None:
    width, height = PIXELS[resolution][ratio]
    request = GenerationRequest(prompt="A cat", resolution=resolution, ratio=ratio, duration=4)

    assert request.expected_tokens() == width * height * 97 // 1024


def test_expected_tokens_are_a_lower_bound_with_video_in_the_input() -> None:
    request = GenerationRequest(prompt="@video1", reference_videos=[VIDEO])

    assert request.expected_tokens() == 108_900
    assert request.expected_tokens_is_lower_bound


@pytest.mark.parametrize(("model", "resolution"), [("seedance-2.0-ultra", "2k"), ("seedance-2.5", "720p")])
def test_expected_tokens_are_unknown_without_a_pixel_size(model: str, resolution: str) -> None:
    assert GenerationRequest(prompt="A cat", model=model, resolution=resolution).expected_tokens() is None


def test_body_at_the_size_limit_is_refused_and_below_it_encoded_once() -> None:
    room = 64 * MIB - len(encode_body({"text": ""}))
    assert len(encode_body({"text": "x" * (room - 1)})) == 64 * MIB - 1

    with pytest.raises(SeedanceRequestError, match="less than 64 MB"):
        encode_body({"text": "x" * room})
