"""Rules between parameters: every mode of the vendor's tables, and every way to mix them up."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_seedance.api.request import GenerationRequest
from airflow_provider_seedance.exceptions import SeedanceRequestError

IMAGE = "https://cdn.example.com/a.png"
VIDEO = "https://cdn.example.com/a.mp4"
AUDIO = "https://cdn.example.com/a.mp3"

TEXT_ITEM = {"type": "text", "text": "A cat"}


def image(role: str | None = "reference_image") -> dict[str, Any]:
    item: dict[str, Any] = {"type": "image_url", "image_url": {"url": IMAGE}}
    return item if role is None else {**item, "role": role}


def video(role: str | None = "reference_video") -> dict[str, Any]:
    item: dict[str, Any] = {"type": "video_url", "video_url": {"url": VIDEO}}
    return item if role is None else {**item, "role": role}


def audio(role: str | None = "reference_audio") -> dict[str, Any]:
    item: dict[str, Any] = {"type": "audio_url", "audio_url": {"url": AUDIO}}
    return item if role is None else {**item, "role": role}


MODES = [
    pytest.param({"prompt": "A cat"}, "text_to_video", [None], id="text-to-video"),
    pytest.param({"prompt": "A cat", "web_search": True}, "text_to_video", [None], id="web-search"),
    pytest.param({"prompt": "A cat", "first_frame": IMAGE}, "first_frame", [None, "first_frame"], id="first-frame"),
    pytest.param({"first_frame": IMAGE}, "first_frame", ["first_frame"], id="first-frame-without-text"),
    pytest.param(
        {"prompt": "A cat", "first_frame": IMAGE, "last_frame": IMAGE},
        "first_and_last_frame",
        [None, "first_frame", "last_frame"],
        id="first-and-last-frame",
    ),
    pytest.param(
        {
            "prompt": "@image1 in @video1 to @audio1",
            "reference_audios": [AUDIO],
            "reference_videos": [VIDEO],
            "reference_images": [IMAGE],
        },
        "multimodal_reference",
        [None, "reference_image", "reference_video", "reference_audio"],
        id="multimodal-reference",
    ),
    pytest.param(
        {"reference_images": [IMAGE] * 9, "reference_videos": [VIDEO] * 3, "reference_audios": [AUDIO] * 3},
        "multimodal_reference",
        ["reference_image"] * 9 + ["reference_video"] * 3 + ["reference_audio"] * 3,
        id="as-much-as-fits",
    ),
    pytest.param(
        {"prompt": "Put @image1 into @video1", "reference_images": [IMAGE], "reference_videos": [VIDEO]},
        "multimodal_reference",
        [None, "reference_image", "reference_video"],
        id="video-editing",
    ),
    pytest.param(
        {"prompt": "@video1 then @video2", "reference_videos": [VIDEO, VIDEO]},
        "multimodal_reference",
        [None, "reference_video", "reference_video"],
        id="video-extension",
    ),
]


@pytest.mark.parametrize(("arguments", "mode", "roles"), MODES)
def test_mode_sends_its_items_in_strict_order_with_explicit_roles(
    arguments: dict[str, Any], mode: str, roles: list[str | None]
) -> None:
    request = GenerationRequest(**arguments)

    assert request.mode == mode
    assert [item.get("role") for item in request.to_json()["content"]] == roles


@pytest.mark.parametrize(("arguments", "mode", "roles"), MODES)
def test_raw_content_of_a_mode_is_taken_and_sent_as_it_is(
    arguments: dict[str, Any], mode: str, roles: list[str | None]
) -> None:
    content = GenerationRequest(**arguments).to_json()["content"]

    request = GenerationRequest(content=content)

    assert request.mode == mode
    assert request.to_json()["content"] == content


def test_lone_raw_image_may_leave_out_its_role() -> None:
    request = GenerationRequest(content=[TEXT_ITEM, image(None)])

    assert request.mode == "first_frame"
    assert request.to_json()["content"] == [TEXT_ITEM, image(None)]


def test_unknown_members_of_a_raw_item_are_sent_too() -> None:
    item = {**image("first_frame"), "weight": 0.5, "image_url": {"url": IMAGE, "detail": "high"}}

    assert GenerationRequest(content=[item]).to_json()["content"] == [item]


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        ({}, "prompt", "missing"),
        ({"last_frame": IMAGE}, "last_frame", "no first_frame"),
        ({"prompt": "A cat", "last_frame": IMAGE}, "last_frame", "no first_frame"),
        ({"first_frame": IMAGE, "reference_images": [IMAGE]}, "first_frame", "reference_images"),
        ({"first_frame": IMAGE, "reference_videos": [VIDEO]}, "first_frame", "reference_videos"),
        (
            {
                "first_frame": IMAGE,
                "last_frame": IMAGE,
                "reference_images": [IMAGE, IMAGE],
                "reference_audios": [AUDIO],
            },
            "first_frame",
            "reference_images and reference_audios, nor can last_frame",
        ),
        ({"prompt": "A cat", "reference_audios": [AUDIO]}, "reference_audios", "only media"),
        ({"prompt": "A cat", "web_search": True, "first_frame": IMAGE}, "web_search", "first_frame"),
        ({"prompt": "A cat", "web_search": True, "reference_videos": [VIDEO]}, "web_search", "reference_videos"),
        ({"reference_images": [IMAGE] * 10}, "reference_images", "at most 9"),
        ({"reference_videos": [VIDEO] * 4}, "reference_videos", "at most 3"),
        ({"reference_images": IMAGE, "reference_audios": [AUDIO] * 4}, "reference_audios", "at most 3"),
        ({"prompt": "A cat", "content": [TEXT_ITEM]}, "content", "prompt"),
        (
            {"first_frame": IMAGE, "reference_images": [IMAGE], "content": [TEXT_ITEM]},
            "content",
            "first_frame and reference_images",
        ),
        ({"content": [TEXT_ITEM, image()], "web_search": True}, "web_search", r"content\[1\]"),
    ],
)
def test_clash_of_parameters_is_refused_and_names_them(arguments: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(SeedanceRequestError, match=words) as refused:
        GenerationRequest(**arguments)

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("content", "field", "words"),
    [
        ([image(), TEXT_ITEM], "content[1]", "text behind image_url"),
        ([TEXT_ITEM, video(), image()], "content[2]", "image_url behind video_url"),
        ([TEXT_ITEM, image(), audio(), video()], "content[3]", "video_url behind audio_url"),
        ([TEXT_ITEM, TEXT_ITEM], "content[1]", "second text"),
        ([image("last_frame")], "content[0]", "no first_frame"),
        ([image("first_frame"), image("first_frame")], "content[1]", "second first_frame"),
        (
            [image("first_frame"), image("last_frame"), image("last_frame")],
            "content[2]",
            "second last_frame",
        ),
        ([TEXT_ITEM, image("first_frame"), image()], "content[1]", r"content\[2\] \(reference_image\)"),
        ([image(None), image()], "content[0]", "no role"),
        ([TEXT_ITEM, image(None), video()], "content[1]", "no role"),
        ([TEXT_ITEM, video(None)], "content[1]", "no role"),
        ([image("reference_video")], "content[0]", "none for image"),
        ([image(), video("reference_image")], "content[1]", "reference_video"),
        ([image(), audio("music")], "content[1]", "'music'"),
        ([image()] * 10, "content", "at most 9"),
        ([video()] * 4, "content", "at most 3"),
        ([image(), *[audio()] * 4], "content", "at most 3"),
        ([TEXT_ITEM, audio()], "content[1]", "only media"),
        (["A cat"], "content[0]", "dictionary"),
        ([{"text": "A cat"}], "content[0]", "type None"),
        ([{"type": "image"}], "content[0]", "type 'image'"),
        ([{"type": ["text"]}], "content[0]", "type"),
        ([{"type": "text"}], "content[0]", "not text"),
        ([{"type": "text", "text": " "}], "content[0]", "describes nothing"),
        ([{**TEXT_ITEM, "role": "reference_image"}], "content[0]", "has a role"),
        ([{"type": "image_url", "image_url": IMAGE, "role": "first_frame"}], "content[0]", "no link"),
        ([{"type": "image_url", "image_url": {"url": ""}}], "content[0]", "pushed nothing"),
        ([{"type": "video_url", "video_url": {"url": "/a.mp4"}, "role": "reference_video"}], "content[0]", "path"),
        ([{"type": "text", "text": "@video1"}, image()], "content[0]", "@video1"),
    ],
)
def test_malformed_raw_content_is_refused_at_its_item(content: list[Any], field: str, words: str) -> None:
    with pytest.raises(SeedanceRequestError, match=words) as refused:
        GenerationRequest(content=content)

    assert refused.value.field == field


def test_rendered_raw_content_is_read_back() -> None:
    assert GenerationRequest(content=str([TEXT_ITEM])).to_json()["content"] == [TEXT_ITEM]  # type: ignore[arg-type]


# -- placeholders ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "media"),
    [
        ("@image1", {}),
        ("@image2", {"reference_images": [IMAGE]}),
        ("@image0", {"reference_images": [IMAGE]}),
        ("@video1", {"reference_images": [IMAGE]}),
        ("@audio2 参考@image1", {"reference_images": [IMAGE], "reference_audios": [AUDIO]}),
        ("@image3", {"first_frame": IMAGE, "last_frame": IMAGE}),
        ("参考@image2跳舞", {"reference_images": [IMAGE]}),
        ("@Image2", {"reference_images": [IMAGE]}),
        ("@image" + "9" * 6000, {"reference_images": [IMAGE]}),
    ],
)
def test_placeholder_that_points_past_the_media_is_refused(prompt: str, media: dict[str, Any]) -> None:
    with pytest.raises(SeedanceRequestError, match="placeholder") as refused:
        GenerationRequest(prompt=prompt, **media)

    assert refused.value.field == "prompt"


@pytest.mark.parametrize(
    ("prompt", "media"),
    [
        ("@image1 and @image2", {"first_frame": IMAGE, "last_frame": IMAGE}),
        ("@image1, @image2, @video1", {"reference_images": [IMAGE, IMAGE], "reference_videos": [VIDEO]}),
        ("@image1 @audio3", {"reference_images": [IMAGE], "reference_audios": [AUDIO] * 3}),
        ("mail@example.com @images @video", {}),
    ],
)
def test_placeholders_count_by_kind_in_order_of_appearance(prompt: str, media: dict[str, Any]) -> None:
    assert GenerationRequest(prompt=prompt, **media).prompt == prompt


def test_media_that_no_placeholder_names_is_warned_about() -> None:
    request = GenerationRequest(
        prompt="@image2 dances", reference_images=[IMAGE, IMAGE, IMAGE], reference_videos=[VIDEO]
    )

    (warning,) = request.warnings
    assert "reference_images[0] (@image1), reference_images[2] (@image3), reference_videos[0] (@video1)" in warning


def test_placeholder_in_capitals_does_not_count_as_naming() -> None:
    (warning,) = GenerationRequest(prompt="@Image1 dances", reference_images=[IMAGE]).warnings

    assert "@image1" in warning


def test_frames_need_no_placeholder() -> None:
    assert GenerationRequest(prompt="A cat", first_frame=IMAGE).warnings == ()


# -- warnings --------------------------------------------------------------------------------------------------------


def test_media_without_text_is_sent_with_a_warning() -> None:
    (warning,) = GenerationRequest(first_frame=IMAGE).warnings

    assert "no prompt" in warning


@pytest.mark.parametrize(
    ("prompt", "warned"),
    [
        ("word " * 1000, False),
        ("word " * 1001, True),
        ("猫" * 500, False),
        ("猫" * 501, True),
        ("猫 " * 501, True),
        ("猫" * 500 + " word" * 1000, False),
        ("猫" * 300 + " word" * 1001, True),
        ("一只 cat 在 piano 上，" * 125, False),
        ("，。！ " * 2000, False),
        ("𠀀" * 501, True),
        ("cat-like don't " * 500, False),
    ],
)
def test_long_prompt_is_warned_about_in_the_vendors_units(prompt: str, warned: bool) -> None:
    warnings = GenerationRequest(prompt=prompt).warnings

    assert bool(warnings) is warned
    assert not any("猫" in warning for warning in warnings)


def test_mixed_prompt_is_counted_in_both_units() -> None:
    (warning,) = GenerationRequest(prompt="猫and狗 " * 501).warnings

    assert "501 words and 1002 Chinese characters" in warning


def test_unknown_model_is_sent_unchecked_with_a_warning() -> None:
    request = GenerationRequest(prompt="A cat", model="seedance-2.5", resolution="4k", ratio="2:1", duration=-1)

    (warning,) = request.warnings
    assert "'seedance-2.5'" in warning
    body = request.to_json()
    assert (body["model"], body["resolution"], body["ratio"], body["duration"]) == ("seedance-2.5", "4k", "2:1", -1)


def test_unknown_model_does_not_loosen_types() -> None:
    with pytest.raises(SeedanceRequestError) as refused:
        GenerationRequest(prompt="A cat", model="seedance-2.5", duration="long")  # type: ignore[arg-type]

    assert refused.value.field == "duration"


# -- the models' table -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "resolution", "legal"),
    [
        ("seedance-2.0", "480p", True),
        ("seedance-2.0", "720p", True),
        ("seedance-2.0", "1080p", True),
        ("seedance-2.0", "2k", False),
        ("seedance-2.0-ultra", "480p", False),
        ("seedance-2.0-ultra", "720p", True),
        ("seedance-2.0-ultra", "1080p", True),
        ("seedance-2.0-ultra", "2k", True),
    ],
)
def test_resolution_goes_by_the_model(model: str, resolution: str, legal: bool) -> None:
    if legal:
        request = GenerationRequest(prompt="A cat", model=model, resolution=resolution)
        assert request.to_json()["resolution"] == resolution
        return
    with pytest.raises(SeedanceRequestError, match=model) as refused:
        GenerationRequest(prompt="A cat", model=model, resolution=resolution)
    assert refused.value.field == "resolution"


@pytest.mark.parametrize("ratio", ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"])
def test_every_ratio_of_the_table_is_sent(ratio: str) -> None:
    assert GenerationRequest(prompt="A cat", ratio=ratio).to_json()["ratio"] == ratio
