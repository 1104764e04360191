"""What holds for every request, whatever is thrown at it."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_seedance.api.request import GenerationRequest, check_literals, encode_body, fingerprint
from airflow_provider_seedance.api.values import is_nothing
from airflow_provider_seedance.exceptions import SeedanceRequestError

PARAMETERS = [field.name for field in attrs.fields(GenerationRequest) if field.init and field.name != "extra_body"]
ORDER = ["text", "image_url", "video_url", "audio_url"]
MEDIA = ["https://a.example/x?sig=1", "asset://a-1", "ASSET://A", "/a.png", "s3://b/k", "data:image/png;base64,AA=="]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
raw_items = st.fixed_dictionaries(
    {"type": st.sampled_from([*ORDER, "image", None])},
    optional={
        "text": st.sampled_from(["A cat", "@image1", "@video9", ""]) | json_values,
        "image_url": st.fixed_dictionaries({"url": st.sampled_from(MEDIA)}) | json_values,
        "video_url": st.fixed_dictionaries({"url": st.sampled_from(MEDIA)}),
        "audio_url": st.fixed_dictionaries({"url": st.sampled_from(MEDIA)}),
        "role": st.sampled_from(
            ["first_frame", "last_frame", "reference_image", "reference_video", "reference_audio", "x"]
        ),
    },
)
anything = (
    json_values
    | st.text(alphabet="@image123 None[]'{}:/.data;base64,=", max_size=40)
    | st.sampled_from(
        [*MEDIA, MEDIA, MEDIA[:2], "8", "true", "16:9", "1080p", "seedance-2.0-ultra", "A cat", b"x", object()]
    )
    | st.lists(st.sampled_from(MEDIA) | json_values, max_size=4)
    | st.lists(raw_items, max_size=5)
)


class Upstream:
    """Stands for a value that an upstream task will give."""

    def resolve(self, context: object) -> object:
        raise AssertionError("resolved when the Dag is parsed")


def make(arguments: dict[str, Any]) -> tuple[GenerationRequest | None, SeedanceRequestError | None]:
    """Make a request, or tell how it was refused; anything else that is raised fails the test."""
    try:
        return GenerationRequest(**arguments), None
    except SeedanceRequestError as refused:
        return None, refused


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(st.sampled_from([*PARAMETERS, "extra_body"]), anything, max_size=6))
def test_any_arguments_are_either_refused_under_a_field_or_make_a_body(arguments: dict[str, Any]) -> None:
    request, refused = make(arguments)
    if request is None:
        assert refused is not None
        assert (refused.field or "").partition("[")[0] in [*PARAMETERS, "extra_body"]
        return
    body = request.to_json()
    assert json.loads(encode_body(body)) == body
    assert [ORDER.index(item["type"]) for item in body["content"]] == sorted(
        ORDER.index(item["type"]) for item in body["content"]
    )
    assert len(fingerprint(request, "seedance_default")) == 64


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*PARAMETERS, "extra_body"]), anything, max_size=5),
    st.sets(st.sampled_from([*PARAMETERS, "extra_body"])),
)
def test_parse_time_never_refuses_what_run_time_takes(arguments: dict[str, Any], templated: set[str]) -> None:
    shown = {name: Upstream() if name in templated else value for name, value in arguments.items()}
    if make(arguments)[0] is None:
        return
    if "model" not in arguments or arguments["model"] is None:
        check_literals(shown)
    check_literals({"model": "seedance-2.0", **shown})


links = st.lists(st.sampled_from(["https://a.example/x.png", "asset://a-1", "/data/x.png"]), max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    prompt=st.text(min_size=1).filter(lambda text: not is_nothing(text) and "@" not in text),
    images=links.filter(bool),
    videos=st.lists(st.sampled_from(["https://a.example/x.mp4", "asset://v"]), max_size=3),
    audios=links,
)
def test_items_stand_in_strict_order_and_map_back_to_their_parameters(
    prompt: str, images: list[str], videos: list[str], audios: list[str]
) -> None:
    request = GenerationRequest(
        prompt=prompt, reference_audios=audios, reference_videos=videos, reference_images=images
    )
    content = request.to_json()["content"]

    counts = (1, len(images), len(videos), len(audios))
    assert [item["type"] for item in content] == [
        kind for kind, count in zip(ORDER, counts, strict=True) for _ in range(count)
    ]
    for index, item in enumerate(content[1:], start=1):
        name, _, place = request.item_names[index].partition("[")
        assert getattr(request, name)[int(place[:-1])] == item[item["type"]]["url"]


@settings(max_examples=100, deadline=None)
@given(
    prompt=st.text(alphabet="abcdefg 猫狗", min_size=12).filter(lambda text: text.strip() != ""),
    fault=st.sampled_from(
        [
            {"duration": 99},
            {"last_frame": MEDIA[0]},
            {"reference_audios": MEDIA[0]},
            {"content": [{"type": "text", "text": "x"}]},
            {"first_frame": MEDIA[0], "reference_images": MEDIA[0]},
            {"extra_body": {"seed": 1}},
        ]
    ),
)
def test_message_holds_neither_prompt_nor_query(prompt: str, fault: dict[str, Any]) -> None:
    _, refused = make({"prompt": prompt, **fault})

    assert refused is not None
    assert prompt not in str(refused)
    assert "sig=" not in str(refused)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(min_size=1))
def test_prompt_is_sent_as_it_was_given(before: str, after: str) -> None:
    prompt = f"{before} cat {after}"
    request, _ = make({"prompt": prompt})
    if request is None:
        assert "@" in prompt
        return
    sent = json.loads(encode_body(request.to_json()))
    assert sent["content"] == [{"type": "text", "text": prompt}]
