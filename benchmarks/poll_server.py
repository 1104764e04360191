"""
A lean TLS server for poll_cost.py: prepared responses, one raw protocol, counters in shared memory.

It must never limit a measurement, so all it knows of HTTP is that a GET ends with an empty line.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

#: Paths of a generation, by the kind of client; ``{}`` is its id.
GENERATION_PATH = "/v1/video/generations/{}"
DBT_PATH = "/api/v2/accounts/1/runs/{}/"
#: Answers 404 until the generation is done, which is what HttpSensorTrigger waits on.
EXISTS_PATH = "/exists/{}"


def generation_id(index: int) -> str:
    """Return the id of a generation, with 32 characters after the prefix as in the service's ids."""
    return f"asyntask_{index:032d}"


class Board:
    """
    What server and client share in memory.

    :param context: The multiprocessing context that starts both.
    :param jobs: How many generations there are.
    """

    def __init__(self, context: BaseContext, jobs: int) -> None:
        self.polls = context.RawValue("q", 0)
        self.connections = context.RawValue("q", 0)
        self.handshakes = context.RawValue("q", 0)
        self.resumed = context.RawValue("q", 0)
        #: Generations below this index are done.
        self.done_below = context.RawValue("q", 0)
        #: When the server first answered that, by ``time.monotonic``, which all processes of a machine share.
        self.said_done_at = context.RawArray("d", jobs)


@dataclass(slots=True)
class _Job:
    index: int
    running: bytes
    done: bytes


class _Server(asyncio.Protocol):
    """One connection: made when it is accepted, and called back when TLS is established."""

    def __init__(self, board: Board, jobs: dict[bytes, _Job]) -> None:
        self._board = board
        self._jobs = jobs
        self._pending = b""
        board.connections.value += 1

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._board.handshakes.value += 1
        self._board.resumed.value += transport.get_extra_info("ssl_object").session_reused

    def data_received(self, data: bytes) -> None:
        *requests, self._pending = (self._pending + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._answer(request.split(b" ", 2)[1]))

    def _answer(self, path: bytes) -> bytes:
        job = self._jobs.get(path) or self._jobs.setdefault(path, _job(path.decode()))
        board = self._board
        board.polls.value += 1
        if job.index >= board.done_below.value:
            return job.running
        if not board.said_done_at[job.index]:
            board.said_done_at[job.index] = time.monotonic()
        return job.done


def _job(path: str) -> _Job:
    name = path.rstrip("/").rpartition("/")[2]
    index = int(name.removeprefix("asyntask_"))
    if path == DBT_PATH.format(name):
        return _Job(index, _http(200, _dbt_run(index, 3)), _http(200, _dbt_run(index, 10)))
    done = _http(200, _succeeded(name))
    return _Job(index, _http(404, {"error": "not yet"}) if path == EXISTS_PATH.format(name) else _running(name), done)


def _running(name: str) -> bytes:
    return _http(200, _envelope(name, "IN_PROGRESS", fail_reason="", finish_time=0, progress="50%", data=None))


def _succeeded(name: str) -> dict[str, Any]:
    link = (
        f"https://bucket.example/{name}.mp4?X-Tos-Date=20260427T111505Z&X-Tos-Expires=86400&X-Tos-Signature={'0' * 64}"
    )
    upstream = {
        "id": "cgt-20260427191505-9j2q7",
        "model": "doubao-seedance-2-0-260128",
        "status": "succeeded",
        "content": {"video_url": link},
        "created_at": 1777288506,
        "updated_at": 1777288796,
        "draft": False,
        "duration": 5,
        "framespersecond": 24,
        "generate_audio": True,
        "ratio": "16:9",
        "resolution": "720p",
        "seed": 4304,
        "service_tier": "default",
        "usage": {"completion_tokens": 108900, "total_tokens": 108900},
    }
    return _envelope(
        name, "SUCCESS", result_url=link, fail_reason="", finish_time=1777288800, progress="100%", data=upstream
    )


def _envelope(name: str, status: str, **rest: Any) -> dict[str, Any]:
    """Build the response to a query (contract.md#query-response)."""
    task = {
        "task_id": name,
        "action": "generate",
        "status": status,
        "submit_time": 1777288506,
        "start_time": 1777288508,
        "request_id": "20260427111505260254000NBdvZFoP",
    }
    return {"code": "success", "message": "", "data": task | rest}


def _dbt_run(index: int, status: int) -> dict[str, Any]:
    """Build dbt Cloud's response (API v2, "retrieve run")."""
    started, unset = "2026-04-27 11:15:05.260254+00:00", None
    run = {
        "id": index,
        "trigger_id": index,
        "account_id": 1,
        "environment_id": 1,
        "project_id": 1,
        "job_definition_id": 1,
        "status": status,
        "dbt_version": "latest",
        "git_branch": "main",
        "git_sha": "0" * 40,
        "status_message": unset,
        "owner_thread_id": unset,
        "executed_by_thread_id": "scheduler-run-0",
        "deferring_run_id": unset,
        "artifacts_saved": False,
        "artifact_s3_path": unset,
        "has_docs_generated": False,
        "has_sources_generated": False,
        "notifications_sent": False,
        "scribe_enabled": True,
        "created_at": started,
        "updated_at": started,
        "dequeued_at": started,
        "started_at": started,
        "finished_at": unset,
        "last_checked_at": unset,
        "last_heartbeat_at": unset,
        "should_start_at": started,
        "trigger": unset,
        "job": unset,
        "environment": unset,
        "run_steps": [],
        "status_humanized": {3: "Running", 10: "Success"}[status],
        "in_progress": status == 3,
        "is_complete": status == 10,
        "is_success": status == 10,
        "is_error": False,
        "is_cancelled": False,
        "href": f"https://cloud.example/deploy/1/projects/1/runs/{index}/",
        "duration": "00:01:00",
        "queued_duration": "00:00:01",
        "run_duration": "00:00:59",
        "duration_humanized": "1 minute",
    }
    outcome = {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""}
    return {"status": outcome, "data": run}


def _http(status: int, body: object) -> bytes:
    raw = json.dumps(body, separators=(",", ":")).encode()
    reason = {200: "OK", 404: "Not Found"}[status]
    head = (
        f"HTTP/1.1 {status} {reason}\r\n"
        "Server: nginx\r\n"
        "Date: Mon, 27 Apr 2026 11:15:05 GMT\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(raw)}\r\n"
        "Connection: keep-alive\r\n"
        "X-Oneapi-Request-Id: 20260427111505260254000NBdvZFoP\r\n"
        "\r\n"
    )
    return head.encode() + raw


def serve(board: Board, certificate: str, port: Connection) -> None:
    """
    Serve on loopback until the process is ended.

    :param certificate: Path of a file with private key and certificate chain.
    :param port: Receives the port once it listens.
    """
    asyncio.run(_serve(board, certificate, port))


async def _serve(board: Board, certificate: str, port: Connection) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    jobs: dict[bytes, _Job] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Server(board, jobs), "127.0.0.1", 0, ssl=context, backlog=4096)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
