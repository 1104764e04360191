"""Every client against a peer that trickles, floods, lies and hangs up."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from airflow_provider_seedance.api.calls import CreateAssetGroup, CreateGeneration, PaidCall
from airflow_provider_seedance.exceptions import SeedanceAmbiguousSubmissionError, SeedanceError, SeedanceServiceError
from airflow_provider_seedance.files.download import ResultFile
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from tests.clock import VirtualClock
from tests.hostile_peer import (
    GENERATION_ID,
    Behaviour,
    accepted,
    answer,
    answers,
    closes_after,
    gzip_bomb,
    hostile_peer,
    resets_after,
    trickles,
)
from tests.result_service import ResultService, mp4

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4}
MIB = 2**20
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"

#: What never ends, a little at a time.
TRICKLES = {
    "status": trickles(b"HTTP/1.1 ", b"2"),
    "header": trickles(b"HTTP/1.1 200 OK\r\nX: "),
    "headers": trickles(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", every=0.05),
    "continue": trickles(b"", CONTINUE),
    "flood of continue": trickles(b"", CONTINUE * 2000, every=0.0),
    "redirect": trickles(answer(b"", "Location: /x", status="302 Found", length=10**9)),
    "body": trickles(answer(b'{"id": "', length=10**9)),
    "endless body": trickles(answer(b'{"id": "', length=None)),
    "chunks": trickles(answer(b"", CHUNKED, length=None), b"1\r\nx\r\n"),
    "chunk size": trickles(answer(b"", CHUNKED, length=None), b"0"),
}


def hook() -> SeedanceHook:
    return SeedanceHook(clock=VirtualClock())


def ask_asynchronously() -> None:
    async def poll() -> None:
        async with hook().shared_client() as client:
            await client.get_generation("asyntask_x")

    asyncio.run(poll())


def ask() -> None:
    hook().get_generation("asyntask_x", attempts=1)


CLIENTS = pytest.mark.parametrize("client", [ask, ask_asynchronously])


# -- a deadline


@CLIENTS
@pytest.mark.parametrize("way", TRICKLES)
def test_question_ends_in_time(connect: Callable[..., None], client: Callable[[], None], way: str) -> None:
    with hostile_peer(TRICKLES[way]) as peer:
        connect(host=peer.url, extra={"timeout": 0.3})
        with pytest.raises(SeedanceServiceError):
            client()


@pytest.mark.parametrize("way", TRICKLES)
def test_paid_call_ends_in_its_own_time_and_in_doubt(connect: Callable[..., None], way: str) -> None:
    with hostile_peer(TRICKLES[way]) as peer:
        connect(host=peer.url, extra={"timeout": 1000, "submit_timeout": 0.3})
        with pytest.raises(SeedanceAmbiguousSubmissionError):
            hook().create_generation(BODY)
        assert len(peer.requests) == 1


@pytest.mark.parametrize("timeout", [0.3, (5, 0.3)])
def test_session_of_the_hook_keeps_its_users_timeouts(connect: Callable[..., None], timeout: Any) -> None:
    with hostile_peer(TRICKLES["header"], closes_after(answer(b"{}"))) as peer:
        connect(host=peer.url)
        session = hook().get_conn()
        with pytest.raises(requests.exceptions.RequestException):
            session.get(peer.url, timeout=timeout)
        assert session.get(peer.url).json() == {}


def test_proxy_that_trickles_its_answer_to_connect_ends_in_time(connect: Callable[..., None]) -> None:
    with hostile_peer(trickles(b"HTTP/1.1 200 OK\r\nX: ")) as proxy:
        connect(host="https://service.example", extra={"submit_timeout": 0.3, "proxy": proxy.url})
        answered = hook().send(CreateGeneration(b"{}"))
    assert answered.verdict == "repeat"


# -- a size


@CLIENTS
@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br"])
def test_bomb_is_not_inflated(
    connect: Callable[..., None], client: Callable[[], None], status: str, encoding: str
) -> None:
    bomb = answer(gzip_bomb(256 * MIB), f"Content-Encoding: {encoding}", "Location: /x", status=status)
    with hostile_peer(closes_after(bomb)) as peer:
        connect(host=peer.url)
        tracemalloc.start()
        try:
            with pytest.raises(SeedanceServiceError, match=r"too large|compressed"):
                client()
            assert tracemalloc.get_traced_memory()[1] < 64 * MIB
        finally:
            tracemalloc.stop()


@CLIENTS
def test_compression_that_was_not_asked_for_is_read(connect: Callable[..., None], client: Callable[[], None]) -> None:
    body = gzip.compress(b'{"task_id": "asyntask_x", "status": "NOT_START"}')
    with hostile_peer(closes_after(answer(body, "Content-Encoding: gzip"))) as peer:
        connect(host=peer.url)
        client()
        assert b"\r\naccept-encoding: identity\r\n" in peer.requests[0].lower()


@CLIENTS
@pytest.mark.parametrize(
    "said",
    [
        answer(b"x" * 100, "Content-Encoding: gzip"),
        answer(b"\x1f\x8b\x08\0", "Content-Encoding: gzip"),
        answer(b"{", length=100),
        answer(b"", "Content-Length: 5, 7", length=None),
        answer(b"zz\r\n", CHUNKED, length=None),
        answer(b"", *["X: x"] * 300),
        answer(b"", "X: " + "x" * 100_000),
        answer(b"{}", "Location: http://[::1", status="302 Found"),
        b"\x16\x03\x01",
        b"HTTP/9.9 abc\r\n\r\n",
    ],
)
def test_rubbish_is_a_typed_error(connect: Callable[..., None], client: Callable[[], None], said: bytes) -> None:
    with hostile_peer(closes_after(said)) as peer:
        connect(host=peer.url, extra={"timeout": 5, "submit_timeout": 5})
        with pytest.raises(SeedanceError):
            client()
        assert hook().send(CreateGeneration(b"{}")).verdict == "lost"


# -- an early end


def _chunked(body: bytes) -> bytes:
    return answer(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), CHUNKED, length=None)


FORMS = {"length": answer(accepted()), "chunks": _chunked(accepted()), "neither": answer(accepted(), length=None)}


@pytest.mark.parametrize("end", [resets_after, closes_after])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", [CreateGeneration(b"{}"), CreateAssetGroup("name")])
def test_paid_answer_that_ends_at_any_byte_is_accepted_or_lost(
    connect: Callable[..., None], form: str, end: Callable[[bytes], Behaviour], call: PaidCall
) -> None:
    full = FORMS[form]
    with hostile_peer(*(end(full[:length]) for length in range(len(full) + 1))) as peer:
        connect(host=peer.url, extra={"submit_timeout": 20})
        ours = hook()
        received = [ours.send(call) for _ in range(len(full) + 1)]
        assert len(peer.requests) == len(full) + 1
    assert {got.verdict for got in received} <= {"accepted", "lost"}
    assert {got.created_id for got in received if got.verdict == "accepted"} <= {GENERATION_ID}
    assert {got.created_id for got in received if got.verdict == "lost"} == {None}
    if end is closes_after:
        assert received[-1].verdict == "accepted"


# -- what is not taken from a peer


@CLIENTS
def test_redirect_takes_the_key_nowhere(connect: Callable[..., None], client: Callable[[], None]) -> None:
    with hostile_peer(closes_after(answer(b"{}"))) as elsewhere:
        redirect = answer(b"", f"Location: {elsewhere.url}/v1/video", status="307 Temporary Redirect")
        with hostile_peer(closes_after(redirect)) as peer:
            connect(host=peer.url)
            with pytest.raises(SeedanceError):
                client()
        assert len(peer.requests) == 1
        assert elsewhere.connections == 0


def test_cookie_is_not_kept_by_either_client(connect: Callable[..., None]) -> None:
    running = b'{"task_id": "asyntask_x", "status": "NOT_START"}'

    async def poll() -> None:
        async with hook().shared_client() as client:
            for _ in range(2):
                await client.get_generation("asyntask_x")

    with hostile_peer(closes_after(answer(running, "Set-Cookie: a=b; Path=/", "Connection: close"))) as peer:
        connect(host=peer.url.replace("127.0.0.1", "localhost"))
        ours = hook()
        for _ in range(2):
            ours.get_generation("asyntask_x")
        asyncio.run(poll())
        assert len(peer.requests) == 4
    assert not any(b"cookie" in request.lower() for request in peer.requests)


def test_paid_call_is_made_on_a_connection_of_its_own(connect: Callable[..., None]) -> None:
    models = answer(b'{"data": []}')
    with hostile_peer(answers(models, models, answer(accepted())), answers(answer(accepted()))) as peer:
        connect(host=peer.url)
        ours = hook()
        ours.list_models()
        ours.list_models()
        assert peer.connections == 1
        assert ours.create_generation(BODY) == GENERATION_ID
        assert peer.connections == 2


# -- downloads


@pytest.fixture
def result(service: ResultService) -> Callable[[str], ResultFile]:
    """Open the file of a generation whose first link leads to this address, and whose later ones to the service."""

    def open_file(first_link: str) -> ResultFile:
        ours = hook()
        return ResultFile(ours, replace(ours.get_generation("asyntask_x"), video_url=f"{first_link}/v.mp4?Signature=s"))

    return open_file


@pytest.mark.parametrize("way", ["status", "headers", "continue", "body"])
def test_slow_download_is_ended_and_resumed_with_a_fresh_link(
    service: ResultService, connect: Callable[..., None], result: Callable[[str], ResultFile], way: str
) -> None:
    connect(host=service.url, extra={"timeout": 0.3})
    slow = trickles(answer(b"", length=len(service.data))) if way == "body" else TRICKLES[way]
    with hostile_peer(slow) as peer, result(peer.url) as file:
        assert file.readall() == service.data
        assert len(peer.requests) == 1
    assert service.ranges == [None]


def test_download_that_stays_slow_ends(connect: Callable[..., None], service: ResultService) -> None:
    with hostile_peer(TRICKLES["body"]) as peer:
        task = {"task_id": "asyntask_x", "status": "SUCCESS", "data": {"content": {"video_url": f"{peer.url}/v.mp4"}}}
        service.response = json.dumps({"data": task}).encode()
        connect(host=service.url, extra={"timeout": 0.2})
        ours = hook()
        with (
            pytest.raises(SeedanceServiceError, match=r"interrupted 5 times.*did not answer in time"),
            ResultFile(ours, ours.get_generation("asyntask_x")) as file,
        ):
            file.readall()
        assert len(peer.requests) == 5


def test_time_that_the_reader_takes_is_not_the_storages(connect: Callable[..., None], service: ResultService) -> None:
    connect(host=service.url, extra={"timeout": 0.5})
    service.data = mp4(8 * MIB)
    ours = hook()
    with ResultFile(ours, ours.get_generation("asyntask_x")) as file:
        received = file.read(MIB)
        time.sleep(0.6)
        received += file.readall()
    assert received == service.data
    assert len(service.ranges) == 1


@pytest.mark.parametrize("length", [-1, None])
def test_file_that_is_too_large_is_not_read_to_its_end(
    connect: Callable[..., None],
    service: ResultService,
    result: Callable[[str], ResultFile],
    length: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__SEEDANCE__MAX_VIDEO_BYTES", str(MIB))
    with (
        hostile_peer(closes_after(answer(bytes(3 * MIB), length=length))) as peer,
        pytest.raises(SeedanceServiceError, match="max_video_bytes") as caught,
    ):
        result(peer.url).readall()
    assert "Signature" not in str(caught.value)


@pytest.mark.parametrize(
    "link", ["http://[::1/v?s3cret", "http://a..b/v?s3cret", "http:///v?s3cret", "http://h:x/?s3cret"]
)
def test_malformed_link_is_the_services_failure(connect: Callable[..., None], link: str) -> None:
    connect(host="http://127.0.0.1:1")
    with pytest.raises(SeedanceServiceError) as caught, hook().download(link):
        pass
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("location", ["http://[::1", "http://a..b/v", "//", "http://user:pass@[bad", "\x00"])
def test_malformed_redirect_of_a_download_is_a_typed_error(connect: Callable[..., None], location: str) -> None:
    with hostile_peer(closes_after(answer(b"", f"Location: {location}", status="302 Found"))) as peer:
        connect(host="http://127.0.0.1:1")
        with pytest.raises(SeedanceError) as caught, hook().download(f"{peer.url}/v?Signature=s3cret"):
            pass
    assert "s3cret" not in str(caught.value)
    assert "pass" not in str(caught.value)
