from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance import __version__
from airflow_provider_seedance.api.paid_answer import SUBMIT_ATTEMPTS
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceAuthError,
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceServiceError,
)
from airflow_provider_seedance.hooks import seedance
from airflow_provider_seedance.hooks.endpoint import MAX_RESPONSE
from tests.clock import QuickClock
from tests.result_service import ResultService

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4}
GATEWAY_500 = {"code": "do_request_failed", "message": "x", "data": None}


def hook() -> seedance.SeedanceHook:
    """Make a hook whose waits are short."""
    return seedance.SeedanceHook(clock=QuickClock())


def test_a_generation_is_created_and_asked_for(emulator: Emulator) -> None:
    ours = hook()
    generation_id = ours.create_generation(BODY)
    assert generation_id.startswith("asyntask_")
    assert ours.get_generation(generation_id).generation_id == generation_id
    assert "seedance-2.0" in ours.list_models()


# -- the paid call: what is repeated, what is refused, what is lost


@pytest.mark.parametrize(
    ("fault", "posts", "created"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}, "json": {"error": {"message": "x", "type": "t"}}}, 2, 1),
        ({"status": 429, "json": {"error": {"message": "x", "type": "t"}}}, 2, 1),
        ({"status": 503, "json": {"code": "asset_copy_not_ready", "message": "x", "data": None}}, 2, 1),
        (
            {"status": 400, "json": {"code": "fail_to_fetch_task", "message": "asset is still processing and is not"}},
            2,
            1,
        ),
    ],
)
def test_what_created_nothing_and_passes_by_itself_is_repeated_in_place(
    emulator: Emulator, fault: dict[str, Any], posts: int, created: int
) -> None:
    emulator.fault(route="create", **fault)
    assert hook().create_generation(BODY)
    assert (emulator.stats()["posts"], emulator.stats()["created"]) == (posts, created)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            {"status": 500, "json": {"code": "build_request_failed", "message": "x", "data": None}},
            SeedanceServiceError,
        ),
        (
            {"status": 503, "json": {"error": {"message": "x", "type": "t", "code": "model_not_found"}}},
            SeedanceRequestError,
        ),
        ({"status": 400, "json": {"code": "invalid_request", "message": "x", "data": None}}, SeedanceRequestError),
        ({"status": 429, "headers": {"Retry-After": "3600"}, "body": "{}"}, SeedanceRateLimitError),
    ],
)
def test_what_was_refused_is_raised_after_one_post(
    emulator: Emulator, fault: dict[str, Any], expected: type[SeedanceError]
) -> None:
    emulator.fault(route="create", count=0, **fault)
    with pytest.raises(expected) as caught:
        hook().create_generation(BODY)
    assert type(caught.value) is expected
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "before_body"},
        {"drop": "after_body"},
        {"drop": "mid_answer"},
        {"hang": 5.0},
        {"status": 500, "body": "<html>oops</html>"},
        {"status": 500, "json": GATEWAY_500},
        {"status": 302, "headers": {"Location": "/elsewhere"}, "body": ""},
        {"status": 404, "json": {"detail": "Not Found"}},
        {"status": 403, "body": "<html>forbidden</html>"},
        {"status": 409, "json": {}},
        {"status": 200, "json": {"error": {"message": "x", "type": "t", "code": "invalid_json"}}},
        {"status": 502, "body": "<html>Bad Gateway</html>"},
        {"status": 503, "body": "<html>unavailable</html>"},
        {"status": 504, "json": {"message": "Endpoint request timed out"}},
        {"status": 524, "body": ""},
        {"status": 408, "body": ""},
        {"status": 500, "json": {"code": "invalid_response", "message": "task_id is empty", "data": None}},
        {"status": 500, "json": {"code": "unmarshal_response_body_failed", "message": "x", "data": None}},
        {"status": 500, "json": {"code": "read_response_body_failed", "message": "x", "data": None}},
        {"status": 200, "json": {"status": "queued"}, "accept": True},
        {"status": 200, "body": "<html>ok</html>"},
    ],
)
def test_what_was_lost_is_ambiguous_and_never_repeated(
    emulator: Emulator, connect: Callable[..., None], fault: dict[str, Any]
) -> None:
    connect(host=emulator.url, extra={"submit_timeout": 0.5})
    emulator.fault(route="create", count=0, **fault)
    with pytest.raises(SeedanceAmbiguousSubmissionError, match="lost"):
        hook().create_generation(BODY)
    assert emulator.stats()["posts"] == 1


def test_refused_connection_is_repeated_a_few_times_and_then_raised(
    connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    connect(host="http://127.0.0.1:1")
    with pytest.raises(SeedanceServiceError, match=r"127\.0\.0\.1:1 cannot be reached"):
        hook().create_generation(BODY)
    assert caplog.text.count("Nothing was created.") == SUBMIT_ATTEMPTS - 1


def test_a_new_connection_is_made_for_the_paid_call(emulator: Emulator) -> None:
    ours = hook()
    ours.list_models()
    pool = ours.get_conn().get_adapter(emulator.url).poolmanager  # type: ignore[attr-defined]
    before = list(pool.pools.keys())
    ours.create_generation(BODY)
    assert before
    assert emulator.stats()["created"] == 1


# -- calls without cost


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "json": GATEWAY_500},
        {"status": 502, "body": "<html>"},
        {"status": 429, "headers": {"Retry-After": "0"}, "body": "{}"},
        {"drop": "before_body"},
        {"drop": "mid_answer"},
    ],
)
def test_a_question_is_repeated_where_trouble_passes(emulator: Emulator, fault: dict[str, Any]) -> None:
    ours = hook()
    generation_id = ours.create_generation(BODY)
    emulator.fault(route="query", count=seedance.READ_ATTEMPTS - 1, **fault)
    assert ours.get_generation(generation_id).generation_id == generation_id


def test_an_unknown_generation_is_not_found_at_once(emulator: Emulator) -> None:
    with pytest.raises(SeedanceNotFoundError):
        hook().get_generation("asyntask_unknown")
    assert emulator.stats()["queries"] == 1


def test_an_answer_that_takes_too_long_does_not_hang(emulator: Emulator, connect: Callable[..., None]) -> None:
    connect(host=emulator.url, extra={"timeout": 0.2})
    emulator.fault(route="query", hang=5.0)
    with pytest.raises(SeedanceServiceError, match="in time"):
        hook().get_generation("asyntask_x", attempts=1)


def test_a_redirect_is_not_followed_and_names_the_host_field(emulator: Emulator) -> None:
    emulator.fault(route="query", status=302, headers={"Location": "http://127.0.0.1:1/"}, body="", count=0)
    with pytest.raises(SeedanceRequestError, match="redirect") as caught:
        hook().get_generation("asyntask_x")
    assert caught.value.field == "host"


def test_base_url_may_end_in_v1(emulator: Emulator, connect: Callable[..., None]) -> None:
    connect(host=f"{emulator.url}/v1/")
    assert hook().list_models()


# -- test_connection


def test_connection_test_costs_nothing(emulator: Emulator) -> None:
    assert hook().test_connection()[0] is True
    assert emulator.stats()["posts"] == 0


def test_connection_test_tells_a_bad_key(emulator: Emulator, connect: Callable[..., None]) -> None:
    connect(host=emulator.url, password="sk-wrong")
    works, said = hook().test_connection()
    assert not works
    assert "password" in said


@pytest.mark.parametrize(("key", "works"), [("sk-emulator", True), ("sk-wrong", False)])
def test_connection_test_asks_for_a_generation_where_the_model_list_is_missing(
    emulator: Emulator, connect: Callable[..., None], key: str, works: bool
) -> None:
    connect(host=emulator.url, password=key)
    invalid_url = {"error": {"message": "Invalid URL (GET /v1/models)", "type": "x", "code": ""}}
    emulator.fault(route="models", count=0, status=404, json=invalid_url)
    assert hook().test_connection()[0] is works


@pytest.mark.parametrize("models", [[], [{"id": "gpt-5"}]], ids=["none", "another service's"])
@pytest.mark.parametrize(
    ("status", "answer", "works"),
    [
        (400, {"code": "task_not_exist", "message": "task_not_exist", "data": None}, True),
        (404, {"detail": "Not Found"}, False),
        (404, {"error": {"message": "page not found", "type": "x", "code": "404"}}, False),
        (200, {"status": "ok"}, False),
        (200, {"code": "success", "data": {"task_id": "asyntask_connection_test", "status": "QUEUED"}}, False),
    ],
    ids=str,
)
def test_connection_is_valid_only_by_the_services_own_answer(
    emulator: Emulator, models: list[Any], status: int, answer: Any, works: bool
) -> None:
    emulator.fault(route="models", count=0, status=200, json={"data": models})
    emulator.fault(route="query", count=0, status=status, json=answer)
    assert hook().test_connection()[0] is works


def test_connection_test_tells_an_unreachable_host(connect: Callable[..., None]) -> None:
    connect(host="http://127.0.0.1:1")
    works, said = hook().test_connection()
    assert not works
    assert "127.0.0.1:1" in said


# -- secrets and TLS


def test_a_download_carries_no_key(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    ours = hook()
    generation_id = ours.create_generation(BODY)
    emulator.finish()
    url = ours.get_generation(generation_id).video_url
    assert url is not None
    with ours.download(url) as response:
        assert response.status_code == 200
    for request in emulator.requests():
        assert ("authorization" in request["headers"]) == (request["route"] != "download")


@pytest.fixture
def link(emulator: Emulator) -> str:
    """A link to a finished video."""
    generation_id = hook().create_generation(BODY)
    emulator.finish()
    return str(hook().get_generation(generation_id).video_url)


def test_redirect_of_a_download_is_followed_without_the_machines_credentials(
    emulator: Emulator, link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    emulator.fault(route="download", status=302, headers={"Location": link.replace("http://", "HTTP://")}, body="")
    with hook().download(link) as response:
        assert response.status_code == 200
    downloads = [request for request in emulator.requests() if request["route"] == "download"]
    assert len(downloads) == 2
    assert not any("authorization" in request["headers"] for request in downloads)


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/v.mp4", "file:///etc/passwd", "http://[::1"])
def test_redirect_of_a_download_to_anything_but_http_is_refused(emulator: Emulator, link: str, location: str) -> None:
    emulator.fault(route="download", status=302, headers={"Location": location}, body="")
    with pytest.raises((SeedanceServiceError, SeedanceRequestError)) as caught, hook().download(link):
        pass
    assert "Signature" not in str(caught.value)


def test_redirects_of_a_download_are_bounded(emulator: Emulator, link: str) -> None:
    emulator.fault(route="download", status=302, headers={"Location": link}, body="", count=0)
    with pytest.raises(SeedanceServiceError, match="more than 5 times"), hook().download(link):
        pass


@pytest.mark.usefixtures("emulator")
def test_error_of_whoever_downloads_stays_its_own(link: str) -> None:
    with pytest.raises(OSError, match="disk is full"), hook().download(link):
        raise OSError("The disk is full")


@pytest.mark.parametrize("asynchronous", [True, False])
def test_response_that_is_too_large_is_not_read_to_its_end(service: ResultService, asynchronous: bool) -> None:
    service.response = b" " * (MAX_RESPONSE + 1)

    async def poll() -> None:
        async with hook().shared_client() as client:
            await client.get_generation("asyntask_x")

    with pytest.raises(SeedanceServiceError, match="too large"):
        asyncio.run(poll()) if asynchronous else hook().get_generation("asyntask_x", attempts=1)


def test_both_clients_name_themselves(emulator: Emulator) -> None:
    ours = hook()

    async def poll() -> None:
        async with ours.shared_client() as client:
            with pytest.raises(SeedanceNotFoundError):
                await client.get_generation("asyntask_x")

    ours.list_models()
    asyncio.run(poll())
    agents = {request["headers"]["user-agent"] for request in emulator.requests()}
    assert agents == {f"airflow-provider-seedance/{__version__}"}


def test_repeated_read_is_not_said_to_have_created_nothing(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.fault(route="models", status=502, body="<html>")
    assert hook().list_models()
    assert "Retrying" in caplog.text
    assert "created" not in caplog.text


def test_plain_http_to_another_machine_is_warned_about_once(
    connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    connect(host="http://seedance.example")
    assert [hook().endpoint.sends_key_unencrypted for _ in range(3)] == [True] * 3
    assert caplog.text.count("unencrypted") == 1


def test_wrong_key_names_connection_and_field(emulator: Emulator, connect: Callable[..., None]) -> None:
    connect(host=emulator.url, password="sk-wrong")
    with pytest.raises(SeedanceAuthError, match="password of connection 'seedance_default'"):
        hook().create_generation(BODY)
