"""One measurement of download.py: one video, by one contestant in a fresh process."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.download_contestants import CONTESTANTS, Place, set_environment

#: Bytes of the video that each process transfers first, to load what is loaded once per process.
WARM_UP = 64 * 1024
#: Seconds between two readings of a command's memory.
TICK = 0.01
MIB = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """
    What a transfer took.

    :param seconds: From start to end, including what Airflow's operators do before and after.
    :param cpu: CPU seconds of its process, all threads; or of all commands.
    :param memory: Peak bytes above those of the same process before the transfer; for a command, its whole peak.
    """

    seconds: float
    cpu: float
    memory: float


def measure(name: str, place: Place, size: int, home: str, result: Connection) -> None:
    """
    Measure in this process, which must be a fresh one.

    :param name: A name in ``CONTESTANTS``.
    :param size: Bytes of the video.
    :param home: A scratch directory.
    :param result: Receives None when the transfer is about to start, and then the :class:`Cost`.
    """
    set_environment(place, home)
    make = CONTESTANTS[name].make
    assert make is not None
    transfer = make(place)
    transfer(WARM_UP)
    Path(place.target).unlink(missing_ok=True)
    gc.collect()
    with suppress(OSError):  # if not allowed, the peak is that since the process began, which is no less
        Path("/proc/self/clear_refs").write_text("5")
    result.send(None)
    before, cpu, begun = _memory("self", "VmRSS"), time.process_time(), time.monotonic()
    transfer(size)
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    result.send(Cost(seconds, cpu, _memory("self", "VmHWM") - before))


def measure_commands(commands: list[list[str]]) -> Cost:
    """
    Measure a pipeline of commands.

    :raises RuntimeError: if one fails.
    """
    begun, cpu = time.monotonic(), 0.0
    running: dict[int, subprocess.Popen[bytes]] = {}
    source = None
    for command in commands:
        last = command is commands[-1]
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL if last else subprocess.PIPE)
        if source is not None:
            source.close()
        source = process.stdout
        running[process.pid] = process
    peaks = dict.fromkeys(running, 0)
    while running:
        for pid, process in list(running.items()):
            # not the peak that wait4 returns: a child's starts at its parent's
            peaks[pid] = max(peaks[pid], _memory(str(pid), "VmHWM"))
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                process.returncode = os.waitstatus_to_exitcode(status)
                cpu += used.ru_utime + used.ru_stime
                del running[pid]
                if process.returncode:
                    raise RuntimeError(f"{process.args!r} ended with {process.returncode}.")
        time.sleep(TICK)
    return Cost(time.monotonic() - begun, cpu, sum(peaks.values()))


def hash_rate(size: int = 128 * MIB) -> float:
    """Return the bytes per second that Python hashes here with SHA-256, doing nothing else."""
    piece, hashed = bytes(MIB), hashlib.sha256()
    begun = time.monotonic()
    for _ in range(size // MIB):
        hashed.update(piece)
    return size / (time.monotonic() - begun)


def _memory(process: str, field: str) -> int:
    """Return a field of a process' status in bytes; 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path("/proc", process, "status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0
