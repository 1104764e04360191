"""One measurement of poll_cost.py: N generations in one event loop of this process, as a triggerer would run them."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import astuple, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from benchmarks.poll_clients import CONTESTANTS, Maker, Trigger, set_environment
from benchmarks.poll_server import Board

#: Seconds between two readings of the event loop's lag. Each costs CPU time, which is counted with the polls'.
TICK = 0.02
#: Ticks between two readings of the memory.
MEMORY_TICKS = 25
#: Seconds after its start in which our trigger does not poll: Airflow can fail a task whose deferral is shorter.
FIRST_POLL_DELAY = 5.0


@dataclass(frozen=True)
class Plan:
    """
    What to measure.

    :param contestant: A name in ``CONTESTANTS``.
    :param generations: How many wait at the same time.
    :param interval: Seconds between two polls of one generation.
    :param seconds: Length of the measured window.
    """

    contestant: str
    generations: int
    interval: float
    seconds: float


@dataclass(frozen=True)
class Figures:
    """
    What was measured; all but ``kb_per_generation`` and the latencies within the window.

    :param cpu_ms: CPU time of this process per poll, in ms; all threads.
    :param connections: TCP connections per poll, as the server counted them.
    :param handshakes: Full TLS handshakes per poll, as the server counted them.
    :param resumed: Resumed TLS handshakes per poll.
    :param lag_p99_ms: How late the event loop ran a callback that was due, 99th percentile.
    :param lag_max_ms: The worst of these.
    :param kb_per_generation: Peak memory above that of one generation done before, per generation.
    :param latency_ms: From the server's "done" to the trigger's event, median.
    :param latency_p99_ms: The same, 99th percentile.
    :param kept_up: Polls made per poll due.
    :param loop_load: CPU time of this process per second.
    :param server_load: CPU time of the server per second. It must stay well below 1.
    :param others_load: CPU time of everything else on the machine per second: measure again if it is not near 0.
    """

    cpu_ms: float
    connections: float
    handshakes: float
    resumed: float
    lag_p99_ms: float
    lag_max_ms: float
    kb_per_generation: float
    latency_ms: float
    latency_p99_ms: float
    kept_up: float
    loop_load: float
    server_load: float
    others_load: float


def measure(plan: Plan, board: Board, server_pid: int, port: int, ca_file: str, home: str, result: Connection) -> None:
    """
    Measure in this process, which must be a fresh one.

    :param plan: What to measure.
    :param board: Shared with the server.
    :param server_pid: The server's process.
    :param port: The server's port.
    :param ca_file: Verifies the server's certificate.
    :param home: A scratch directory.
    :param result: Receives the :class:`Figures`.
    """
    set_environment(port, ca_file, home)
    _become_triggerer()
    maker = CONTESTANTS[plan.contestant](plan.interval, port, ca_file)
    result.send(asyncio.run(_Run(plan, board, server_pid, maker).run()))


def _become_triggerer() -> None:
    """Load what a triggerer's process loads, and log as it does, in JSON lines, to nowhere."""
    import airflow.jobs.triggerer_job_runner  # noqa: F401
    from airflow.sdk.log import configure_logging

    configure_logging(json_output=True, output=Path(os.devnull).open("wb"), sending_to_supervisor=True)  # noqa: SIM115


@dataclass(frozen=True)
class _Counts:
    """Counters at one moment, or their differences; times in seconds."""

    seconds: float
    cpu: float
    server_cpu: float
    machine_cpu: float
    polls: int
    connections: int
    handshakes: int
    resumed: int


class _Run:
    def __init__(self, plan: Plan, board: Board, server_pid: int, maker: Maker) -> None:
        self._plan = plan
        self._board = board
        self._maker = maker
        self._self = psutil.Process()
        self._server = psutil.Process(server_pid)
        self._peak = 0
        self._lags: list[float] = []
        self._watching = False

    async def run(self) -> Figures:
        plan, board = self._plan, self._board
        # one generation first, to its end: what is loaded once per process is not a cost per generation
        board.done_below.value = 1
        await _wait_for(self._maker(0))
        gc.collect()
        before = self._self.memory_info().rss
        ticker = asyncio.create_task(self._tick())
        latencies: list[float] = []
        waits = await self._start_spread(lambda index: self._latency_of(index, latencies))
        # until all have polled once at their own pace, and one more round
        await asyncio.sleep(max(plan.interval, FIRST_POLL_DELAY) + plan.interval)
        window = await self._window()
        board.done_below.value = plan.generations + 1
        await asyncio.gather(*waits)
        ticker.cancel()
        seconds, polls = window.seconds, window.polls
        return Figures(
            cpu_ms=window.cpu * 1000 / polls,
            connections=window.connections / polls,
            handshakes=(window.handshakes - window.resumed) / polls,
            resumed=window.resumed / polls,
            lag_p99_ms=_percentile(self._lags, 99) * 1000,
            lag_max_ms=max(self._lags) * 1000,
            kb_per_generation=(self._peak - before) / 1024 / plan.generations,
            latency_ms=statistics.median(latencies) * 1000,
            latency_p99_ms=_percentile(latencies, 99) * 1000,
            kept_up=polls / (plan.generations * seconds / plan.interval),
            loop_load=window.cpu / seconds,
            server_load=window.server_cpu / seconds,
            others_load=max(window.machine_cpu - window.cpu - window.server_cpu, 0) / seconds,
        )

    async def _start_spread(self, wait: Callable[[int], Coroutine[None, None, None]]) -> list[asyncio.Task[None]]:
        """Start all, spread evenly over one interval: starting together would be an artifact of the benchmark."""
        plan = self._plan
        waits: list[asyncio.Task[None]] = []
        begun = time.monotonic()
        while len(waits) < plan.generations:
            due = min(int((time.monotonic() - begun) / plan.interval * plan.generations), plan.generations)
            waits += [asyncio.create_task(wait(index)) for index in range(len(waits) + 1, due + 1)]
            await asyncio.sleep(0.01)
        return waits

    async def _latency_of(self, index: int, latencies: list[float]) -> None:
        await _wait_for(self._maker(index))
        latencies.append(time.monotonic() - self._board.said_done_at[index])

    async def _window(self) -> _Counts:
        """Return what was counted during the measured window."""
        self._lags.clear()
        self._watching = True
        begun = self._count()
        await asyncio.sleep(self._plan.seconds)
        ended = self._count()
        self._watching = False
        return _Counts(*(now - then for now, then in zip(astuple(ended), astuple(begun), strict=True)))

    def _count(self) -> _Counts:
        board, server, machine = self._board, self._server.cpu_times(), psutil.cpu_times()
        return _Counts(
            seconds=time.monotonic(),
            cpu=time.process_time(),
            server_cpu=server.user + server.system,
            machine_cpu=sum(machine) - machine.idle - getattr(machine, "iowait", 0.0),
            polls=board.polls.value,
            connections=board.connections.value,
            handshakes=board.handshakes.value,
            resumed=board.resumed.value,
        )

    async def _tick(self) -> None:
        """
        Record the lag of the loop, and the memory of the process.

        While the loop is blocked, no tick is taken. The ticks due in that time count too, each as late as it would have
        been; without them, a pause of 150 ms would weigh as little as one of 1 ms.
        """
        ticks = 0
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            late = time.monotonic() - due
            while self._watching and late > 0:
                self._lags.append(late)
                late -= TICK
            ticks += 1
            if ticks % MEMORY_TICKS == 0:
                self._peak = max(self._peak, self._self.memory_info().rss)


async def _wait_for(trigger: Trigger) -> None:
    """Run a trigger as the triggerer does: each task has a greenback portal, so that synchronous code can await."""
    import greenback

    await greenback.ensure_portal()
    async for event in trigger.run():
        payload = getattr(event, "payload", event)
        outcome = payload.get("outcome") or payload.get("status") if isinstance(payload, dict) else "success"
        if outcome not in ("succeeded", "success"):
            raise RuntimeError(f"A trigger failed: {payload}")


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
