from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.ids import check_asset_id, check_generation_id, check_group_id
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceGenerationFailedError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
)

LINK = "https://bucket.example/v.mp4?X-Tos-Signature=beef"


def answer(status: str = "SUCCESS", inner: Any = None, **task: Any) -> dict[str, Any]:
    data = {"task_id": "asyntask_abc", "action": "generate", "status": status, "progress": "50%", "data": inner, **task}
    return {"code": "success", "message": "", "data": data}


#: The upstream's own form of a finished generation.
ARK = {
    "id": "cgt-1",
    "model": "doubao-seedance-2-0-260128",
    "status": "succeeded",
    "error": None,
    "content": {"video_url": LINK, "last_frame_url": LINK},
    "created_at": 1777288506,
    "updated_at": 1777288796,
    "seed": 4304,
    "usage": {"total_tokens": 108900},
}
ARK_EXPECTED = {
    "generation_id": "cgt-1",
    "state": "succeeded",
    "video_url": LINK,
    "last_frame_url": LINK,
    "seed": 4304,
    "total_tokens": 108900,
    "submitted_at": 1777288506,
    "finished_at": 1777288796,
}

#: The samples printed in contract.md#query-response, each with what must be read from it.
SAMPLES: list[tuple[Any, dict[str, Any]]] = [
    (
        answer("IN_PROGRESS", fail_reason="", submit_time=1777288506, start_time=1777288508, finish_time=0),
        {"state": "running", "progress": 50, "submitted_at": 1777288506, "finished_at": None, "video_url": None},
    ),
    (
        answer(
            "SUCCESS",
            {
                "id": "cgt-20260427191505-9j2q7",
                "model": "doubao-seedance-2-0-260128",
                "status": "succeeded",
                "content": {"video_url": "https://bucket.example/other.mp4"},
                "duration": 5,
                "framespersecond": 24,
                "generate_audio": True,
                "ratio": "16:9",
                "resolution": "720p",
                "seed": 4304,
                "service_tier": "default",
                "usage": {"completion_tokens": 108900, "total_tokens": 108900},
            },
            result_url=LINK,
            fail_reason="",
            submit_time=1777288506,
            finish_time=1777288800,
            progress="100%",
            request_id="20260427111505260254000NBdvZFoP",
        ),
        {
            "state": "succeeded",
            "video_url": LINK,
            "total_tokens": 108900,
            "seed": 4304,
            "resolution": "720p",
            "ratio": "16:9",
            "duration": 5,
            "model": "doubao-seedance-2-0-260128",
            "request_id": "20260427111505260254000NBdvZFoP",
            "finished_at": 1777288800,
        },
    ),
    (
        answer("FAILURE", fail_reason='{"error":{"code":"OutputVideoSensitiveContentDetected","message":"x"}}'),
        {"state": "failed", "failure_reason": "output_moderation"},
    ),
    (
        answer("FAILURE", {"error": {"code": "OutputVideoSensitiveContentDetected"}}, fail_reason="plain"),
        {"state": "failed", "failure_reason": "output_moderation"},
    ),
    (answer("FAILURE", fail_reason="任务超时（30分钟）"), {"state": "failed", "failure_reason": "timeout"}),
    (
        answer("FAILURE", result_url="upstream said no", fail_reason="upstream said no"),
        {"state": "failed", "video_url": None, "failure_reason": "other"},
    ),
    (answer("SUCCESS", fail_reason=LINK), {"state": "succeeded", "video_url": LINK}),
    (answer("IN_PROGRESS", {"status": "expired"}), {"state": "running", "inner_failed": True}),
    (
        answer("IN_PROGRESS", {"status": "succeeded", "content": {"video_url": LINK}}),
        {"state": "succeeded", "video_url": LINK},
    ),
    (answer("IN_PROGRESS", {"status": "succeeded"}), {"state": "running"}),
    (answer("WHATEVER"), {"state": "running", "is_known_status": False}),
    (answer(""), {"state": "running", "is_known_status": True}),
    (
        {"id": "task_1", "object": "video", "status": "completed", "progress": 100, "metadata": {"url": LINK}},
        {"state": "succeeded", "video_url": LINK, "generation_id": "task_1"},
    ),
    (
        {"id": "task_1", "object": "video", "status": "failed", "error": {"message": "boom", "code": "x"}},
        {"state": "failed"},
    ),
    (
        {"id": "gen-1", "model": "m", "status": "completed", "video_url": LINK},
        {"state": "succeeded", "video_url": LINK},
    ),
    (
        {"data": {"status": "succeeded", "task_id": "t", "url": LINK, "error": None}},
        {"state": "succeeded", "video_url": LINK, "generation_id": "t"},
    ),
    (answer("succeeded ", result_url=LINK), {"state": "succeeded", "status": "SUCCEEDED"}),
    (
        answer(
            "SUCCESS", {"super_resolution": "2k", "resolution": "720p"}, original_result_url="https://b.example/o.mp4"
        ),
        {"resolution": "2k", "original_video_url": "https://b.example/o.mp4"},
    ),
    (
        {"id": "asyntask_1", "task_id": "asyntask_1", "object": "video", "status": "queued", "progress": 0},
        {"state": "running", "progress": 0},
    ),
    # the gateway's without its envelope, the upstream's with and without one, and one with a request id in it
    (
        answer("IN_PROGRESS", {"id": "cgt-1", "status": "running"})["data"],
        {"state": "running", "status": "IN_PROGRESS", "inner_status": "running", "generation_id": "asyntask_abc"},
    ),
    (
        answer("SUCCESS", {"id": "cgt-1", "status": "succeeded", "content": {"video_url": LINK}}, result_url=LINK)[
            "data"
        ],
        {"state": "succeeded", "status": "SUCCESS", "video_url": LINK},
    ),
    (ARK, ARK_EXPECTED),
    ({"code": 200, "message": "ok", "data": ARK}, ARK_EXPECTED),
    (
        {"id": "cgt-1", "status": "failed", "error": {"code": "InternalServiceError", "message": "x"}},
        {"state": "failed", "failure_reason": "other"},
    ),
    (
        {"code": "success", "data": {"id": "t", "status": "failed", "error": {"code": "x", "message": "y"}}},
        {"state": "failed", "generation_id": "t"},
    ),
    (
        {"id": "req-1", "status": "success", "data": {"id": "t", "status": "processing"}},
        {"state": "running", "generation_id": "t"},
    ),
]


@pytest.mark.parametrize(("body", "expected"), SAMPLES)
def test_every_printed_shape_is_read(body: Any, expected: dict[str, Any]) -> None:
    generation = Generation.from_response(body)
    assert {name: getattr(generation, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("50%", 50),
        (50, 50),
        ("50", 50),
        (0.5, 50),
        ("0.5", 50),
        ("150%", 100),
        (-3, 0),
        ("soon", None),
        (None, None),
        (True, None),
        ("1%", 1),
        (1, 1),
    ],
)
def test_progress_is_read_in_all_its_spellings(given_: object, expected: int | None) -> None:
    assert Generation.from_response(answer("IN_PROGRESS", progress=given_)).progress == expected


def test_numbers_may_come_as_strings_and_times_as_milliseconds() -> None:
    generation = Generation.from_response(
        answer("SUCCESS", {"seed": "7", "usage": {"total_tokens": "99"}}, result_url=LINK, finish_time="1777288800000")
    )
    assert (generation.seed, generation.total_tokens, generation.finished_at) == (7, 99, 1777288800)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "task_not_exist", "message": "task_not_exist", "data": None}, SeedanceNotFoundError),
        ({"code": "success", "message": "", "data": None}, SeedanceServiceError),
        ({}, SeedanceServiceError),
        ([], SeedanceServiceError),
        ("text", SeedanceServiceError),
        (None, SeedanceServiceError),
    ],
)
def test_what_describes_no_generation_is_a_typed_error(body: object, expected: type[SeedanceError]) -> None:
    with pytest.raises(expected):
        Generation.from_response(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    [
        "data",
        "status",
        "task_id",
        "id",
        "error",
        "code",
        "message",
        "progress",
        "result_url",
        "fail_reason",
        "content",
        "video_url",
        "usage",
        "total_tokens",
        "seed",
        "duration",
        "submit_time",
        "finish_time",
        "created_at",
        "metadata",
        "ResponseMetadata",
        "Error",
        "resolution",
        "url",
        "request_id",
        "framespersecond",
    ]
)
near_answers = st.recursive(
    json_values
    | st.sampled_from(["SUCCESS", "FAILURE", "IN_PROGRESS", LINK, '{"error": {"code": "x"}}', "9" * 400, 1e308]),
    lambda inner: st.dictionaries(names, inner, max_size=6),
    max_leaves=20,
)


@given(near_answers)
@example({"data": {"task_id": "x", "status": "SUCCESS", "finish_time": 1e300, "data": {"duration": 1e308}}})
def test_no_answer_whatever_raises_anything_but_a_seedance_error(body: object) -> None:
    try:
        generation = Generation.from_response(body)
    except SeedanceError:
        return
    result = generation.to_result()
    json.dumps(result, allow_nan=False)
    assert isinstance(generation.to_error(), SeedanceError)
    assert result["video_url"] is None or generation.state == "succeeded"


def test_result_has_its_documented_keys_and_iso_times() -> None:
    result = Generation.from_response(SAMPLES[1][0]).to_result(expected_tokens=108900)
    assert result["finished_at"] == "2026-04-27T11:20:00+00:00"
    assert result["video_url_expires_at"] == "2026-04-27T23:20:00+00:00"  # 12 hours after the finish
    assert result["expected_tokens"] == result["total_tokens"] == 108900
    assert result["metadata"]["upstream_id"] == "cgt-20260427191505-9j2q7"
    assert list(result) == [
        "generation_id",
        "video_url",
        "video_url_expires_at",
        "video_path",
        "last_frame_url",
        "last_frame_path",
        "model",
        "resolution",
        "ratio",
        "duration",
        "seed",
        "total_tokens",
        "expected_tokens",
        "prompt_fingerprint",
        "submitted_at",
        "finished_at",
        "request_id",
        "metadata",
    ]


def test_metadata_takes_only_what_is_known_to_be_harmless() -> None:
    body = answer(
        "SUCCESS", {"prompt": "my secret plan", "id": "cgt-1"}, result_url=LINK, properties={"input": "my secret"}
    )
    assert "secret" not in json.dumps(Generation.from_response(body).to_result())


def test_link_and_failure_text_stay_out_of_the_repr() -> None:
    assert "beef" not in repr(Generation.from_response(SAMPLES[1][0]))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("OutputAudioSensitiveContentDetected.PolicyViolation", SeedanceModerationError),
        ("InputImageSensitiveContentDetected.PrivacyInformation", SeedanceInputModerationError),
        ("SensitiveContentDetected", SeedanceModerationError),
        ("InternalServiceError", SeedanceGenerationFailedError),
    ],
)
def test_failed_generation_becomes_its_typed_error(code: str, expected: type[SeedanceError]) -> None:
    body = answer("FAILURE", {"error": {"code": code, "message": "about 'my secret plan'"}})
    error = Generation.from_response(body).to_error(secrets=["my secret plan"])
    assert type(error) is expected
    assert error.code == code
    assert "refunds" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("value", ["asyntask_abc", {"generation_id": "asyntask_abc", "video_url": LINK}])
def test_generation_is_given_as_id_or_result(value: object) -> None:
    assert check_generation_id(value) == "asyntask_abc"


@pytest.mark.parametrize(
    "value", ["", None, {}, {"generation_id": None}, "a/../b", "a b", "..", 7, [], "x" * 256, "a?b=1"]
)
def test_what_is_no_id_is_refused_by_name(value: object) -> None:
    with pytest.raises(SeedanceRequestError, match="generation") as caught:
        check_generation_id(value)
    assert caught.value.field == "generation"


def test_wrong_id_is_named_as_what_it_should_be() -> None:
    with pytest.raises(SeedanceRequestError, match="no asset group id") as caught:
        check_group_id("a b")
    assert "generation" not in str(caught.value).lower()
    with pytest.raises(SeedanceRequestError, match="no asset id") as caught:
        check_asset_id("a b")
    assert "generation" not in str(caught.value).lower()
