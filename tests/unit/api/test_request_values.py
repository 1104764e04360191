"""Single values: what is taken, what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from airflow_provider_seedance.api.request import GenerationRequest
from airflow_provider_seedance.exceptions import SeedanceRequestError

LINK = "https://cdn.example.com/a.png"
#: Enough beside a value for the request to be whole.
PROMPT: dict[str, Any] = {"prompt": "A cat plays the piano"}


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("duration", "8", 8),
        ("duration", " 8 ", 8),
        ("duration", 8.0, 8),
        ("duration", "8.0", 8),
        ("duration", 4, 4),
        ("duration", 15, 15),
        ("seed", "0", 0),
        ("seed", -1, -1),
        ("seed", "-1", -1),
        ("seed", 2**32 - 1, 2**32 - 1),
        ("generate_audio", "true", True),
        ("generate_audio", "False", False),
        ("watermark", " TRUE ", True),
        ("web_search", "true", True),
        ("return_last_frame", "False", False),
        ("resolution", "1080P", "1080p"),
        ("ratio", " 9:16 ", "9:16"),
        ("ratio", "Adaptive", "adaptive"),
        ("model", " seedance-2.0 ", "seedance-2.0"),
        ("extra_body", '{"priority": 1}', {"priority": 1}),
        ("extra_body", "{'priority': 1}", {"priority": 1}),
    ],
)
def test_value_is_taken_for_what_it_plainly_means(name: str, given: Any, taken: Any) -> None:
    found = getattr(GenerationRequest(**PROMPT, **{name: given}), name)

    assert found == taken
    assert type(found) is type(taken)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("duration", "five"),
        ("duration", 4.5),
        ("duration", "4.5"),
        ("duration", ""),
        ("duration", True),
        ("duration", "８"),
        ("duration", "9" * 5000),
        ("duration", float("inf")),
        ("duration", float("nan")),
        ("duration", [5]),
        ("duration", 3),
        ("duration", 16),
        ("duration", -1),
        ("seed", -2),
        ("seed", "any"),
        ("seed", "None"),
        ("seed", "null"),
        ("seed", 2**63),
        ("seed", True),
        ("generate_audio", 1),
        ("generate_audio", "1"),
        ("generate_audio", "yes"),
        ("generate_audio", ""),
        ("watermark", 0),
        ("web_search", "on"),
        ("return_last_frame", []),
        ("resolution", "2k"),
        ("resolution", "4k"),
        ("resolution", 720),
        ("resolution", ""),
        ("resolution", "None"),
        ("ratio", "16x9"),
        ("ratio", "2:1"),
        ("ratio", 969),
        ("model", ""),
        ("model", "none"),
        ("model", 2.0),
        ("model", "seedance\n2.0"),
        ("prompt", ""),
        ("prompt", " \n\t"),
        ("prompt", "None"),
        ("prompt", "null"),
        ("prompt", 7),
        ("prompt", b"bytes"),
        ("first_frame", ""),
        ("first_frame", "None"),
        ("first_frame", 3),
        ("first_frame", [LINK]),
        ("extra_body", "priority=1"),
        ("extra_body", ["priority"]),
        ("extra_body", {1: 2}),
        ("extra_body", {"Model": "seedance-2.0-ultra"}),
        ("extra_body", {"DURATION": 15}),
        ("extra_body", {"generateAudio": False}),
        ("extra_body", {" generate_audio ": False}),
        ("extra_body", {"Tools": []}),
        ("extra_body", {"web_search": True}),
        ("extra_body", {"prompt": "A dog"}),
        ("extra_body", {"x": float("nan")}),
        ("extra_body", {"x": {1, 2}}),
        ("extra_body", {"x": 2**64}),
        ("reference_images", {LINK}),
        ("reference_images", {"url": LINK}),
        ("reference_images", b"bytes"),
        ("content", []),
        ("content", "text"),
        ("content", {"type": "text"}),
    ],
)
def test_value_without_plain_meaning_is_refused_under_its_parameters_name(name: str, given: Any) -> None:
    arguments = {name: given} if name in ("prompt", "content") else {**PROMPT, name: given}

    with pytest.raises(SeedanceRequestError) as refused:
        GenerationRequest(**arguments)

    assert refused.value.field == name
    assert str(refused.value).startswith(name)


@pytest.mark.parametrize(
    "name", [field.name for field in attrs.fields(GenerationRequest) if field.init and field.name != "prompt"]
)
def test_none_stands_for_the_default(name: str) -> None:
    nothing: dict[str, Any] = {name: None}

    assert GenerationRequest(**PROMPT, **nothing) == GenerationRequest(**PROMPT)


def test_defaults_are_those_of_the_operator() -> None:
    request = GenerationRequest(**PROMPT)

    assert (request.model, request.resolution, request.ratio, request.duration) == (
        "seedance-2.0",
        "720p",
        "adaptive",
        5,
    )
    assert (request.generate_audio, request.watermark, request.web_search) == (True, False, False)
    assert (request.return_last_frame, request.seed, request.extra_body) == (False, None, None)


@pytest.mark.parametrize(
    "given",
    [
        [LINK, "asset://a-1"],
        (LINK, "asset://a-1"),
        f'["{LINK}", "asset://a-1"]',
        f"['{LINK}', 'asset://a-1']",
        f" ['{LINK}', 'asset://a-1'] ",
    ],
)
def test_list_is_taken_in_every_form_that_a_template_gives_it(given: Any) -> None:
    assert GenerationRequest(**PROMPT, reference_images=given).reference_images == (LINK, "asset://a-1")


@pytest.mark.parametrize("given", [LINK, Path("/data/cat.png")])
def test_single_value_is_taken_for_a_list_of_one(given: Any) -> None:
    assert GenerationRequest(**PROMPT, reference_images=given).reference_images == (str(given),)


def test_rendered_empty_list_is_no_media() -> None:
    assert GenerationRequest(**PROMPT, reference_images="[]").mode == "text_to_video"


def test_object_storage_path_is_taken_with_its_connection() -> None:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path: Any = ObjectStoragePath("file:///data/cat.png", conn_id="disk")
    request = GenerationRequest(**PROMPT, first_frame=path)

    assert request.first_frame == "file://disk@/data/cat.png"


def test_wrong_member_of_a_list_is_named_with_its_index() -> None:
    with pytest.raises(SeedanceRequestError) as refused:
        GenerationRequest(**PROMPT, reference_images=[LINK, ""])

    assert refused.value.field == "reference_images[1]"


@pytest.mark.parametrize(
    ("field", "remedy"),
    [
        ("model", "model"),
        ("content", "content"),
        ("generate_audio", "generate_audio"),
        ("resolution", "resolution"),
        ("ratio", "ratio"),
        ("duration", "duration"),
        ("watermark", "watermark"),
        ("tools", "web_search"),
        ("return_last_frame", "return_last_frame"),
        ("seed", "seed"),
    ],
)
def test_extra_body_may_not_override_what_a_parameter_governs(field: str, remedy: str) -> None:
    with pytest.raises(SeedanceRequestError, match=f"'{remedy}'") as refused:
        GenerationRequest(**PROMPT, extra_body={field: None})

    assert refused.value.field == "extra_body"


def test_self_referential_extra_body_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop

    with pytest.raises(SeedanceRequestError, match="nested"):
        GenerationRequest(**PROMPT, extra_body=loop)


def test_later_change_to_given_values_does_not_reach_the_request() -> None:
    extra: dict[str, Any] = {"callback": {"url": "https://a.example/x"}}
    request = GenerationRequest(**PROMPT, extra_body=extra)
    extra["callback"]["url"] = "https://b.example/x"
    request.to_json()["callback"]["url"] = "https://c.example/x"

    assert request.to_json()["callback"]["url"] == "https://a.example/x"


def test_representation_holds_neither_prompt_nor_media() -> None:
    request = GenerationRequest(prompt="secret words", reference_images=["https://cdn.example.com/x?sig=abc"])

    assert "secret" not in repr(request)
    assert "example" not in repr(request)
    assert "example" not in repr(request.media)
