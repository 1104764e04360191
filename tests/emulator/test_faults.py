from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.faults import Fault, FaultList
from tests.emulator.conftest import Client

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}]}


def raw_create(emulator: Emulator, *, send_body: bool = True) -> bytes:
    """
    Send a create request over a bare socket and return all that comes before the end of the connection.

    :raises ConnectionResetError: the connection was reset
    """
    body = json.dumps(BODY).encode()
    head = (
        f"POST /v1/video/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {emulator.api_key}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + (body if send_body else b""))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def received_until_reset(emulator: Emulator, link: str) -> tuple[bytes, bytes]:
    """Get a link over a bare socket; gives head and body of what came before the connection was reset."""
    host, port = emulator.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {link.removeprefix(emulator.url)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):  # noqa: PT012 - reading until it is raised is the point
            while chunk := connection.recv(65536):
                received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def counts(emulator: Emulator) -> tuple[int, int]:
    stats = emulator.stats()
    return stats["posts"], stats["created"]


def test_canned_answer_replaces_one_request_and_makes_no_generation(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="create", status=429, json={"error": {"message": "busy"}}, headers={"Retry-After": "2"})
    affected = client.create(BODY)
    assert affected.status_code == 429
    assert affected.headers["Retry-After"] == "2"
    assert affected.json() == {"error": {"message": "busy"}}
    assert counts(emulator) == (1, 0)
    assert client.create(BODY).status_code == 200


def test_canned_text_answer_is_html(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="query", status=502, body="<html>Bad Gateway</html>")
    answer = client.query(client.generate())
    assert (answer.status_code, answer.text) == (502, "<html>Bad Gateway</html>")
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("body", [{}, {"error": {"message": "no", "code": "invalid_request"}}, None])
def test_canned_200_may_lack_the_id_although_the_generation_was_made(
    emulator: Emulator, client: Client, body: Any
) -> None:
    emulator.fault(route="create", status=200, json=body, accept=True)
    answer = client.create(BODY)
    assert (answer.status_code, answer.json()) == (200, body)
    assert counts(emulator) == (1, 1)


def test_count_and_skip_choose_the_requests_that_are_affected(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="models", status=500, skip=1, count=2)
    url = f"{emulator.url}/v1/models"
    statuses = [requests.get(url, headers=client.headers, timeout=10).status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]


def test_count_0_applies_until_cleared(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="any", status=500, count=0)
    assert [client.create(BODY).status_code, client.query("x").status_code] == [500, 500]
    emulator.clear_faults()
    assert client.create(BODY).status_code == 200


def test_faults_apply_in_the_order_they_were_requested(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="create", status=500)
    emulator.fault(route="create", status=429)
    assert [client.create(BODY).status_code for _ in range(3)] == [500, 429, 200]


def test_drop_before_body_resets_at_once_and_makes_nothing(emulator: Emulator) -> None:
    emulator.fault(route="create", drop="before_body")
    with pytest.raises(ConnectionResetError):
        raw_create(emulator, send_body=False)
    assert counts(emulator) == (1, 0)


@pytest.mark.parametrize(("accept", "created"), [(None, 1), (True, 1), (False, 0)])
def test_drop_after_body_resets_without_an_answer(emulator: Emulator, accept: bool | None, created: int) -> None:
    emulator.fault(route="create", drop="after_body", **({} if accept is None else {"accept": accept}))
    with pytest.raises(ConnectionResetError):
        raw_create(emulator)
    assert counts(emulator) == (1, created)


def test_drop_mid_answer_breaks_a_json_answer_in_the_middle(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="create", drop="mid_answer")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.create(BODY)
    assert counts(emulator) == (1, 1)


def test_fault_applies_to_a_refused_request_too(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="create", drop="after_body")
    with pytest.raises(requests.ConnectionError):
        client.create({"model": "seedance-2.0"})
    assert counts(emulator) == (1, 0)


@pytest.mark.parametrize("after", [0, 1, 5000])
def test_drop_mid_answer_delivers_exactly_the_asked_bytes_of_a_download(
    emulator: Emulator, client: Client, after: int
) -> None:
    link = client.task(client.generate(resolution="480p", duration=4, generate_audio=False))["result_url"]
    whole = requests.get(link, timeout=30).content
    emulator.fault(route="download", drop="mid_answer", after_bytes=after)
    head, body = received_until_reset(emulator, link)
    assert f"Content-Length: {len(whole)}".encode() in head
    assert body == whole[:after]


def test_hang_serves_the_request_and_withholds_the_answer(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="create", hang=3600)
    with pytest.raises(requests.ReadTimeout):
        client.create(BODY, timeout=0.2)
    assert counts(emulator) == (1, 1)


def test_hang_without_accept_makes_nothing_and_ends_in_a_reset(emulator: Emulator) -> None:
    emulator.fault(route="create", hang=0.01, accept=False)
    with pytest.raises(ConnectionResetError):
        raw_create(emulator)
    assert counts(emulator) == (1, 0)


def test_hang_answers_in_the_end(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="create", hang=0.05)
    answer = client.create(BODY)
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.05


def test_delay_comes_before_the_request_is_served(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="create", delay=0.3)
    thread = threading.Thread(target=client.create, args=(BODY,))
    thread.start()
    while emulator.stats()["posts"] == 0:
        pass
    assert emulator.stats()["created"] == 0
    thread.join()
    assert counts(emulator) == (1, 1)


def test_download_can_be_empty_or_no_mp4(emulator: Emulator, client: Client) -> None:
    link = client.task(client.generate())["result_url"]
    emulator.fault(route="download", status=200, body="", headers={"Content-Type": "video/mp4"})
    emulator.fault(route="download", status=200, body="<html>")
    assert requests.get(link, timeout=10).content == b""
    assert requests.get(link, timeout=10).content == b"<html>"


@pytest.mark.parametrize("plain", [False, True])
def test_failing_generation_ends_in_failure_with_its_reason(emulator: Emulator, client: Client, plain: bool) -> None:
    fail = {"code": "InternalServiceError", "message": "it broke"} | ({"plain": True} if plain else {})
    emulator.fault(route="generation", fail=fail)
    task = client.task(client.generate())
    assert task["status"] == "FAILURE"
    reason = task["fail_reason"] if plain else json.loads(task["fail_reason"])["error"]["message"]
    assert reason == "it broke"
    assert task["data"]["error"] == {"code": "InternalServiceError", "message": "it broke"}
    assert emulator.stats()["refunded"] == 1


def test_failure_needs_neither_code_nor_message(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", fail={})
    assert client.task(client.generate())["status"] == "FAILURE"


def test_generation_faults_are_taken_in_order_of_creation(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", fail={"code": "X", "message": ""}, skip=1, count=2)
    statuses = [client.task(client.generate())["status"] for _ in range(4)]
    assert statuses == ["SUCCESS", "FAILURE", "FAILURE", "SUCCESS"]


def test_refused_request_uses_up_no_generation_fault(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", stuck=True)
    client.create({"model": "seedance-2.0"})
    assert client.task(client.generate())["status"] == "IN_PROGRESS"


def test_running_generation_can_be_made_to_fail(slow_client: Client) -> None:
    generation_id = slow_client.generate()
    slow_client.emulator.fault(route="generation", generation_id=generation_id, fail={"code": "X", "message": "y"})
    slow_client.emulator.finish()
    assert slow_client.task(generation_id)["status"] == "FAILURE"


def test_stuck_generation_stays_in_progress(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", stuck=True)
    task = client.task(client.generate())
    assert (task["status"], task["data"]["status"]) == ("IN_PROGRESS", "running")


@pytest.mark.parametrize("word", ["failed", "expired", "cancelled"])
def test_inner_word_ends_while_the_outer_status_runs_on(emulator: Emulator, client: Client, word: str) -> None:
    emulator.fault(route="generation", inner=word)
    task = client.task(client.generate())
    assert (task["status"], task["progress"], task["data"]["status"]) == ("IN_PROGRESS", "30%", word)


def test_no_link_withholds_the_link_for_so_many_queries(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", no_link=2)
    generation_id = client.generate()
    answers = [client.task(generation_id) for _ in range(3)]
    assert [task["status"] for task in answers] == ["SUCCESS"] * 3
    assert ["result_url" in task for task in answers] == [False, False, True]
    assert ["http" in json.dumps(task) for task in answers] == [False, False, True]


def test_status_word_stands_while_running_only(slow_client: Client) -> None:
    slow_client.emulator.fault(route="generation", status_word="PONDERING")
    generation_id = slow_client.generate()
    assert slow_client.task(generation_id)["status"] == "PONDERING"
    slow_client.emulator.finish()
    assert slow_client.task(generation_id)["status"] == "SUCCESS"


def test_lost_generation_is_never_found_but_was_made(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", lose=True)
    assert client.query(client.generate()).json()["code"] == "task_not_exist"
    assert emulator.stats()["created"] == 1


def test_generation_becomes_visible_after_its_time(emulator: Emulator, client: Client) -> None:
    emulator.fault(route="generation", visible_after=0.2)
    generation_id = client.generate()
    assert client.query(generation_id).json()["code"] == "task_not_exist"
    answer = client.query(generation_id)
    while answer.status_code == 400:
        answer = client.query(generation_id)
    assert answer.json()["data"]["status"] == "SUCCESS"


def test_fault_list_leaves_other_routes_alone() -> None:
    faults = FaultList()
    faults.add(Fault("query", status=500, count=0))
    faults.add(Fault("any", status=502, count=0))
    assert faults.take("generation") is None
    assert faults.take("unknown") is None
    taken = faults.take("create"), faults.take("query")
    assert [fault.status for fault in taken if fault is not None] == [502, 500]
