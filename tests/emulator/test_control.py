from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator, EmulatorControl, world
from tests.emulator.conftest import Client

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}]}


def test_stats_count_every_request_and_generation_under_concurrency(emulator: Emulator, client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: client.generate(), range(40)))
        list(pool.map(client.task, ids))
    stats = emulator.stats()
    assert len(set(ids)) == 40
    assert (stats["posts"], stats["created"], stats["billed"], stats["queries"]) == (40, 40, 40, 40)
    assert stats["billed_tokens"] == 40 * 108_900


def test_refused_posts_are_counted_as_posts_and_not_as_generations(emulator: Emulator, client: Client) -> None:
    client.create({"model": "seedance-2.0"})
    client.create(data=b"{")
    assert (emulator.stats()["posts"], emulator.stats()["created"]) == (2, 0)


def test_generations_show_the_body_as_it_came(emulator: Emulator, client: Client) -> None:
    body = BODY | {"duration": 7, "some_future_field": {"x": [1]}}
    generation_id = client.create(body).json()["id"]
    [generation] = emulator.generations()
    assert generation["id"] == generation_id
    assert generation["request"] == body
    assert generation["status"] == "SUCCESS"


def test_finish_ends_running_generations(slow_client: Client) -> None:
    generation_id = slow_client.generate()
    assert slow_client.task(generation_id)["status"] == "NOT_START"
    slow_client.emulator.finish()
    assert slow_client.task(generation_id)["status"] == "SUCCESS"


def test_reset_forgets_generations_faults_and_counters(emulator: Emulator, client: Client) -> None:
    generation_id = client.generate()
    emulator.fault(route="query", status=500)
    emulator.reset()
    assert client.query(generation_id).status_code == 400
    assert emulator.stats()["created"] == 0


def test_rotated_key_replaces_the_old_one(emulator: Emulator, client: Client) -> None:
    emulator.set_api_keys("sk-new")
    assert client.create(BODY).status_code == 401
    assert client.create(BODY, headers={"Authorization": "Bearer sk-new"}).status_code == 200


def test_control_of_an_emulator_elsewhere_needs_its_url_only(emulator: Emulator, client: Client) -> None:
    client.generate()
    assert EmulatorControl(emulator.url).stats()["created"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"route": "create"},
        {"route": "nowhere", "status": 500},
        {"route": "create", "status": 500, "hang": 1},
        {"route": "create", "stuck": True},
        {"route": "generation", "status": 500},
        {"route": "create", "drop": "sometimes"},
        {"route": "create", "drop": "before_body", "accept": True},
        {"route": "create", "status": 500, "unknown_field": 1},
        {"status": 500},
        {"route": "generation", "stuck": True, "generation_id": "asyntask_none"},
        {"route": "create", "status": 500, "count": -1},
        {"route": "create", "status": 42},
        {"route": "create", "hang": "long"},
        {"route": "generation", "fail": True},
    ],
)
def test_contradictory_fault_is_refused(emulator: Emulator, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        emulator.fault(**fields)


def test_connection_forms_name_host_and_key(emulator: Emulator) -> None:
    assert json.loads(emulator.connection_json()) == {
        "conn_type": "seedance",
        "host": emulator.url,
        "password": "sk-emulator",
    }
    port = emulator.url.rpartition(":")[2]
    assert emulator.connection_uri() == f"seedance://:sk-emulator@127.0.0.1:{port}/http"


def test_taken_port_is_an_oserror(emulator: Emulator) -> None:
    with pytest.raises(OSError):
        Emulator(port=int(emulator.url.rpartition(":")[2])).start()


def test_impossible_port_raises_instead_of_hanging() -> None:
    with pytest.raises(OverflowError):
        Emulator(port=70_000).start()


def test_stop_frees_the_port_although_requests_hang() -> None:
    emulator = Emulator().start()
    emulator.fault(route="models", hang=3600)
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as waiting:
        waiting.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-emulator\r\n\r\n")
        while emulator.stats()["models"] == 0:
            pass
        emulator.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(emulator.url, timeout=5)
    with Emulator(port=int(port)) as again:
        assert again.stats()["posts"] == 0


def test_stop_without_start_and_twice_does_nothing() -> None:
    emulator = Emulator()
    emulator.stop()
    emulator.start()
    emulator.stop()
    emulator.stop()


@pytest.mark.parametrize(
    "body", [b"not json", b"[1]", b"\xff\xfe", b"[" * 100_000], ids=["text", "list", "bytes", "deep"]
)
@pytest.mark.parametrize(
    "path", ["/_emulator/faults", "/_emulator/asset_options", "/v1/video/generations", "/volc/asset/CreateAsset"]
)
def test_what_is_no_json_object_is_answered_with_400(emulator: Emulator, path: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {emulator.api_key}", "Content-Type": "application/json"}
    answer = requests.post(f"{emulator.url}{path}", data=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert "error" in answer.json() or "code" in answer.json()


def test_oldest_generations_are_forgotten_and_stay_counted(
    client: Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "_REMEMBERED_GENERATIONS", 3)
    emulator.fault(route="generation", fail={"code": "x", "message": "y"})
    ids = [client.generate() for _ in range(5)]
    assert [made["id"] for made in emulator.generations()] == ids[2:]
    assert client.query(ids[0]).status_code == 400
    stats = emulator.stats()
    assert (stats["created"], stats["billed"], stats["refunded"]) == (5, 4, 1)
    assert (stats["billed_tokens"], stats["refunded_tokens"]) == (4 * 108_900, 108_900)


def test_generations_are_forgotten_by_the_bytes_of_their_bodies(
    client: Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "_REMEMBERED_BYTES", 10_000)
    for _ in range(3):
        assert client.create(BODY | {"further": "x" * 4_000}).status_code == 200
    assert len(emulator.generations()) == 2
    assert client.create(BODY | {"further": "x" * 20_000}).status_code == 200
    assert len(emulator.generations()) == 1
    assert emulator.stats()["created"] == 4


def test_requests_are_remembered_in_part(client: Client, emulator: Emulator) -> None:
    client.create(BODY, headers={"Authorization": f"Bearer {emulator.api_key}", "X-Long": "x" * 5_000})
    assert len(emulator.requests()[-1]["headers"]["x-long"]) == 500
