from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator, rules
from airflow_provider_seedance.emulator.generations import Generation
from airflow_provider_seedance.emulator.routes import BODY_LIMIT, FILES
from tests.emulator.conftest import Client

TEXT = {"type": "text", "text": "a cat"}
BODY = {"model": "seedance-2.0", "content": [TEXT]}
LINKS = {name: f"https://example.com/{name}" for name in FILES}


def image(role: str | None) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    return item if role is None else item | {"role": role}


VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}, "role": "reference_video"}


def test_create_answers_with_an_asyntask_id_and_status_queued(client: Client) -> None:
    answer = client.create(BODY)
    body = answer.json()
    assert answer.status_code == 200
    assert body["id"] == body["task_id"]
    assert body["id"].startswith("asyntask_")
    assert len(body["id"]) == len("asyntask_") + 32
    assert {"object": "video", "model": "seedance-2.0", "status": "queued", "progress": 0}.items() <= body.items()
    assert isinstance(body["created_at"], int)


def test_generation_goes_from_not_start_to_success_in_90_seconds() -> None:
    generation = Generation.create(rules.check(BODY), BODY, now=1000.0, seconds=90)
    seen = []
    for second in range(0, 95):
        task = generation.answer(1000.0 + second, LINKS)["data"]
        seen.append((task["status"], task["progress"]))
    assert list(dict.fromkeys(seen)) == [
        ("NOT_START", "0%"),
        ("QUEUED", "10%"),
        ("IN_PROGRESS", "50%"),
        ("IN_PROGRESS", "70%"),
        ("IN_PROGRESS", "90%"),
        ("SUCCESS", "100%"),
    ]
    assert seen.index(("SUCCESS", "100%")) == 90


def test_upstream_object_is_null_then_bare_then_whole() -> None:
    generation = Generation.create(rules.check(BODY), BODY, now=0.0, seconds=90)

    def upstream(now: float) -> Any:
        return generation.answer(now, LINKS)["data"]["data"]

    assert upstream(0) is None
    assert list(upstream(5)) == ["id"]
    assert upstream(50)["status"] == "running"
    assert upstream(90)["status"] == "succeeded"


def test_speed_divides_the_wait() -> None:
    with Emulator(speed=9) as emulator:
        url = f"{emulator.url}/v1/video/generations"
        requests.post(url, json=BODY, headers={"Authorization": f"Bearer {emulator.api_key}"}, timeout=10)
        [generation] = emulator.generations()
    assert generation["ends_at"] - generation["created_at"] == pytest.approx(10)


def test_running_generation_has_no_link_and_no_finish_time(slow_client: Client) -> None:
    task = slow_client.task(slow_client.generate())
    assert task["status"] == "NOT_START"
    assert "result_url" not in task
    assert (task["start_time"], task["finish_time"], task["data"]) == (0, 0, None)


def test_success_carries_link_times_and_upstream_object(client: Client) -> None:
    task = client.task(client.generate(duration=8, ratio="16:9", seed=7))
    upstream = task["data"]
    assert task["status"] == "SUCCESS"
    assert task["fail_reason"] == task["result_url"]
    assert upstream["content"] == {"video_url": task["result_url"]}
    assert 0 < task["submit_time"] <= task["start_time"] <= task["finish_time"]
    assert upstream["usage"] == {"completion_tokens": 173_700, "total_tokens": 173_700}
    expected = {"seed": 7, "resolution": "720p", "ratio": "16:9", "duration": 8, "framespersecond": 24}
    assert expected.items() <= upstream.items()
    assert upstream["id"].startswith("cgt-")


def test_without_a_seed_the_service_chooses_one(client: Client) -> None:
    for fields in ({}, {"seed": -1}, {"seed": None}):
        assert client.task(client.generate(**fields))["data"]["seed"] >= 0


@pytest.mark.parametrize(
    ("resolution", "duration", "tokens"),
    [("480p", 5, 50_638), ("720p", 5, 108_900), ("720p", 15, 324_900), ("1080p", 10, 488_025)],
)
def test_tokens_follow_the_contract_table(client: Client, resolution: str, duration: int, tokens: int) -> None:
    task = client.task(client.generate(resolution=resolution, duration=duration))
    assert task["data"]["usage"]["total_tokens"] == tokens


def test_input_video_costs_more_tokens(client: Client) -> None:
    with_video = client.task(client.generate(content=[TEXT, VIDEO]))
    assert with_video["data"]["usage"]["total_tokens"] > 108_900


def test_ultra_names_the_enlarged_resolution_and_links_the_original(client: Client) -> None:
    task = client.task(client.generate(model="seedance-2.0-ultra", resolution="1080p"))
    upstream = task["data"]
    assert (upstream["resolution"], upstream["super_resolution"]) == ("720p", "1080p")
    assert upstream["usage"]["super_resolution_tokens"] == 245_025
    assert "/original.mp4?" in task["original_result_url"]


def test_web_search_is_counted_in_usage(client: Client) -> None:
    task = client.task(client.generate(tools=[{"type": "web_search"}]))
    assert task["data"]["usage"]["tool_usage"] == {"web_search": 1}


@pytest.mark.parametrize(
    ("content", "action"),
    [
        ([TEXT], "generate"),
        ([TEXT, image(None)], "generate"),
        ([TEXT, image("first_frame"), image("last_frame")], "firstTailGenerate"),
        ([TEXT, image("reference_image")], "referenceGenerate"),
        ([TEXT, image("reference_image"), VIDEO], "omniGenerate"),
    ],
)
def test_action_names_the_mode(client: Client, content: list[dict[str, Any]], action: str) -> None:
    assert client.task(client.generate(content=content))["action"] == action


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer sk-wrong"}, {"Authorization": "sk-emulator"}])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/video/generations/asyntask_x"])
def test_bad_key_is_401_in_the_documented_envelope(emulator: Emulator, path: str, header: dict[str, str]) -> None:
    answer = requests.get(emulator.url + path, headers=header, timeout=10)
    assert answer.status_code == 401
    assert answer.json() == {
        "error": {
            "message": "The provided API key is invalid.",
            "type": "authentication_error",
            "code": "invalid_api_key",
            "param": "",
        }
    }


def test_bad_key_makes_no_generation(emulator: Emulator, client: Client) -> None:
    assert client.create(BODY, headers={}).status_code == 401
    assert (emulator.stats()["posts"], emulator.stats()["created"]) == (1, 0)


def test_unknown_id_is_400_task_not_exist(client: Client) -> None:
    answer = client.query("asyntask_unknown")
    assert answer.status_code == 400
    assert answer.json() == {"code": "task_not_exist", "message": "task_not_exist", "data": None}


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/none"), ("DELETE", "/v1/video/generations/x")])
def test_unknown_url_is_404_with_method_and_path(emulator: Emulator, method: str, path: str) -> None:
    answer = requests.request(method, emulator.url + path, timeout=10)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith(f"Invalid URL ({method} {path})")


def test_models_lists_both_models(emulator: Emulator, client: Client) -> None:
    answer = requests.get(f"{emulator.url}/v1/models", headers=client.headers, timeout=10)
    assert [model["id"] for model in answer.json()["data"]] == ["seedance-2.0", "seedance-2.0-ultra"]


def test_body_over_the_limit_is_413(emulator: Emulator, client: Client) -> None:
    answer = client.create(data=bytes(BODY_LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "read_request_body_failed"
    assert emulator.stats()["created"] == 0


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"seed": NaN}', b"[" * 5000])
def test_body_that_is_no_json_object_is_400_invalid_json(client: Client, data: bytes) -> None:
    answer = client.create(data=data)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_prompt_with_the_input_word_is_refused_at_create(emulator: Emulator, client: Client) -> None:
    answer = client.create(BODY | {"content": [{"type": "text", "text": "x emulator:moderate-input y"}]})
    assert answer.status_code == 400
    assert answer.json()["code"] == "fail_to_fetch_task"
    assert "InputTextSensitiveContentDetected" in answer.json()["message"]
    assert "content[0]" in answer.json()["message"]
    assert emulator.stats()["created"] == 0


def test_prompt_with_the_output_word_fails_at_the_end_and_is_refunded(emulator: Emulator, client: Client) -> None:
    task = client.task(client.generate(content=[{"type": "text", "text": "emulator:moderate-output"}]))
    assert (task["status"], task["progress"]) == ("FAILURE", "100%")
    assert "result_url" not in task
    assert "OutputVideoSensitiveContentDetected" in task["fail_reason"]
    assert task["data"]["error"]["code"] == "OutputVideoSensitiveContentDetected"
    stats = emulator.stats()
    assert (stats["created"], stats["billed"], stats["refunded"]) == (1, 0, 1)
    assert (stats["billed_tokens"], stats["refunded_tokens"]) == (0, 108_900)
