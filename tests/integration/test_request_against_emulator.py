"""
Two readings of one contract, held against each other.

The checks of :class:`GenerationRequest` and the rules of the emulator share no code. What our checks pass, the emulator
must accept; what the emulator refuses, our checks must have refused before it cost a call.
"""

from __future__ import annotations

import base64
import io
from typing import Any

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_seedance.api.request import GenerationRequest
from airflow_provider_seedance.emulator.envelopes import Refusal
from airflow_provider_seedance.emulator.rules import check
from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.files.inputs import load_media


def image(width: int, height: int, form: str = "png") -> str:
    """Make a data URI of a picture of this size."""
    written = io.BytesIO()
    Image.new("RGB", (width, height)).save(written, form)
    return f"data:image/{form};base64,{base64.b64encode(written.getvalue()).decode()}"


PICTURES = [
    image(320, 320),
    image(300, 750),
    image(299, 400),
    image(300, 800),
    image(320, 320, "jpeg"),
    image(400, 300, "webp"),
    image(320, 320).replace("image/png", "image/jpeg"),
    "data:image/png;base64,AAAA",
    "data:image/png;base64,!!!",
    "data:image/svg+xml;base64,AAAA",
]
LINKS = ["https://a.example/x.png", "http://a.example/x", "asset://asset-1", "ASSET://asset-1"]
images = st.sampled_from(PICTURES + LINKS)
videos = st.sampled_from([*LINKS, "data:video/mp4;base64,AAAA", "https://a.example/v.mp4?sig=1"])
audios = st.sampled_from([*LINKS, "data:audio/mp3;base64,AAAA"])
prompts = st.sampled_from(["a cat", "@image1 in @video1", "@image9", "@audio1", "猫が走る", "  ", ""]) | st.text(
    max_size=9
)

anything = st.fixed_dictionaries(
    {},
    optional={
        "prompt": prompts,
        "first_frame": images,
        "last_frame": images,
        "reference_images": st.lists(images, max_size=10),
        "reference_videos": st.lists(videos, max_size=4),
        "reference_audios": st.lists(audios, max_size=4),
        "web_search": st.booleans(),
    },
)
#: Media that are in order, so that most of what is drawn here is sent.
links = st.sampled_from(LINKS)
in_order = st.one_of(
    st.fixed_dictionaries({"prompt": st.just("a cat")}, optional={"web_search": st.booleans()}),
    st.fixed_dictionaries({"first_frame": links}, optional={"last_frame": images, "prompt": prompts}),
    st.fixed_dictionaries(
        {"reference_images": st.lists(images, min_size=1, max_size=3)},
        optional={"reference_videos": st.lists(links, max_size=3), "reference_audios": st.lists(links, max_size=3)},
    ),
    st.fixed_dictionaries({"reference_videos": st.lists(links, min_size=1, max_size=3)}, optional={"prompt": prompts}),
)
output = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["seedance-2.0", "seedance-2.0-ultra"]),
        "resolution": st.sampled_from(["480p", "720p", "1080p", "2k", "720P", "4k", ""]),
        "ratio": st.sampled_from(["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive", "5:4", "16x9"]),
        "duration": st.integers(2, 17) | st.sampled_from(["8", "five", 4.0, 4.5, True]),
        "generate_audio": st.sampled_from([True, False, "true", "no", 1]),
        "watermark": st.booleans(),
        "return_last_frame": st.booleans(),
        "seed": st.none() | st.integers(-2, 2**33),
    },
)
good_output = st.fixed_dictionaries(
    {},
    optional={
        "resolution": st.sampled_from(["720p", "1080p"]),
        "ratio": st.sampled_from(["16:9", "21:9", "adaptive"]),
        "duration": st.integers(4, 15),
        "watermark": st.booleans(),
    },
)


def joined(parts: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    return {**parts[0], **parts[1]}


arguments = st.one_of(
    st.tuples(anything, output).map(joined),
    st.tuples(in_order, output).map(joined),
    st.tuples(in_order, good_output).map(joined),
)

KINDS = ["text", "image_url", "video_url", "audio_url"]
ROLES = ["first_frame", "last_frame", "reference_image", "reference_video", "reference_audio", "main"]


@st.composite
def raw_item(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(KINDS))
    item: dict[str, Any] = {"type": kind}
    if kind == "text":
        item["text"] = draw(prompts)
    else:
        pool = {"image_url": images, "video_url": videos, "audio_url": audios}[kind]
        item[kind] = {"url": draw(pool)}
    if draw(st.booleans()):
        item["role"] = draw(st.sampled_from(ROLES))
    return item


raw_contents = st.lists(raw_item(), max_size=5) | st.lists(raw_item(), max_size=5).map(
    lambda items: sorted(items, key=lambda item: KINDS.index(item["type"]))
)


def ours(given_: dict[str, Any]) -> dict[str, Any] | None:
    """Return the body that we would send, None where we refuse."""
    try:
        request = GenerationRequest(**given_)
        return request.to_json(load_media(request.media, now=0))
    except SeedanceRequestError:
        return None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arguments)
@example({"prompt": "a cat"})
@example({"first_frame": PICTURES[0], "last_frame": LINKS[2]})
@example({"prompt": "@image1", "reference_images": [LINKS[3]], "reference_audios": [LINKS[0]]})
def test_what_our_checks_pass_the_emulator_accepts(given_: dict[str, Any]) -> None:
    body = ours(given_)
    event("sent" if body else "refused by us")
    if body is not None:
        check(body)  # raises Refusal where it does not


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw_contents, st.booleans())
@example([{"type": "text", "text": "a cat"}], True)
def test_raw_content_that_the_emulator_refuses_we_refuse_first(content: list[dict[str, Any]], web_search: bool) -> None:
    sent = {"model": "seedance-2.0", "content": content, "resolution": "720p", "duration": 5}
    if web_search:
        sent["tools"] = [{"type": "web_search"}]
    try:
        check(sent)
    except Refusal:
        body = ours({"content": content, "web_search": web_search})
        event("mended by us" if body else "refused by us")
        if body is not None:  # a data URI whose label was wrong: it is sent under the format that its bytes have
            check(body)
            assert body["content"] != content
