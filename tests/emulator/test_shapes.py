from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.envelopes import ENVELOPES
from airflow_provider_seedance.emulator.shapes import CREATE_SHAPES, QUERY_SHAPES
from tests.emulator.conftest import Client

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}]}
MODERATED = {**BODY, "content": [{"type": "text", "text": "emulator:moderate-output"}]}
#: The word for success of each shape of a query's response, and the member that has the link.
ENDS = {
    "task": ("SUCCESS", '"result_url"'),
    "bare": ("SUCCESS", '"result_url"'),
    "stock": ("SUCCESS", '"result_url"'),
    "openai": ("completed", '"url"'),
    "openai_data": ("completed", '"url"'),
    "ark": ("succeeded", '"video_url"'),
    "ark_data": ("succeeded", '"video_url"'),
    "old": ("completed", '"video_url"'),
    "gemini": ("succeeded", '"url"'),
    "loose": (" success ", '"result_url"'),
}


def made(emulator: Emulator) -> str:
    return str(emulator.generations()[-1]["id"])


def task_of(body: Any) -> Any:
    """Return the object with the status, wrapped or not."""
    return body if "status" in body else body["data"]


@pytest.mark.parametrize("shape", CREATE_SHAPES)
def test_create_response_of_each_shape_names_the_generation(emulator: Emulator, client: Client, shape: str) -> None:
    emulator.fault(route="generation", create_shape=shape)
    answer = client.create(BODY)
    assert answer.status_code == 200
    assert made(emulator) in answer.text
    assert client.query(made(emulator)).status_code == 200 or shape == "odd"
    assert client.create(BODY).json()["object"] == "video"


def test_create_shapes_all_differ(emulator: Emulator, client: Client) -> None:
    seen = set()
    for shape in CREATE_SHAPES:
        emulator.fault(route="generation", create_shape=shape)
        seen.add(client.create(BODY).text.replace(made(emulator), "ID" if shape != "odd" else "/"))
    assert len(seen) == len(CREATE_SHAPES)


@pytest.mark.parametrize("shape", QUERY_SHAPES)
def test_query_response_of_each_shape_has_its_word_and_a_link(emulator: Emulator, client: Client, shape: str) -> None:
    emulator.fault(route="generation", query_shape=shape)
    body = client.query(client.generate()).json()
    word, link = ENDS[shape]
    assert task_of(body)["status"] == word
    assert f'{link}: "{emulator.url}/files/{made(emulator)}/video.mp4?' in json.dumps(body)


@pytest.mark.parametrize("shape", QUERY_SHAPES)
def test_query_response_of_each_shape_says_why_it_failed(emulator: Emulator, client: Client, shape: str) -> None:
    emulator.fault(route="generation", query_shape=shape)
    client.create(MODERATED)
    answer = client.query(made(emulator))
    assert task_of(answer.json())["status"].strip().lower() in ("failure", "failed")
    assert "OutputVideoSensitiveContentDetected" in answer.text


@pytest.mark.parametrize("shape", QUERY_SHAPES)
def test_query_response_of_each_shape_while_it_runs(slow_client: Client, shape: str) -> None:
    slow_client.emulator.fault(route="generation", query_shape=shape)
    body = slow_client.query(slow_client.generate()).json()
    assert task_of(body)["status"].strip().lower() in ("not_start", "queued", "processing")
    assert "http" not in json.dumps(body)


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_refusal_comes_in_the_envelope(emulator: Emulator, client: Client, envelope: str) -> None:
    emulator.fault(route="query", envelope=envelope)
    answer = client.query("asyntask_unknown")
    assert answer.status_code == 400
    assert "task_not_exist" in answer.text
    expected = {"E1": "error", "E2": "code", "E3": "code", "E3_deep": "code", "E4": "error", "E4_text": "error"}
    assert next(iter(answer.json())) == expected.get(envelope, "ResponseMetadata")
    assert client.query("asyntask_unknown").json()["code"] == "task_not_exist"


def test_envelope_leaves_a_served_request_alone(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="query", envelope="E5")
    assert client.task(client.generate())["status"] == "SUCCESS"


@pytest.mark.parametrize(
    "fields",
    [
        {"route": "generation", "create_shape": "unheard"},
        {"route": "generation", "query_shape": "unheard"},
        {"route": "query", "query_shape": "ark"},
        {"route": "query", "status": 500, "query_shape": "ark"},
        {"route": "query", "envelope": "E9"},
        {"route": "generation", "envelope": "E1"},
        {"route": "generation", "query_shape": "ark", "stuck": True, "lose": True},
    ],
)
def test_shapes_that_make_no_sense_are_refused(emulator: Emulator, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        emulator.fault(**fields)


def test_shape_stands_beside_a_kind(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", query_shape="ark", no_link=1)
    generation_id = client.generate()
    first, second = (client.query(generation_id).json() for _ in range(2))
    assert first["content"] == {}
    assert "video_url" in second["content"]
