"""
Processes that reliably end with the one that started them.

Airflow's components start further processes, some of them in sessions of their own (LocalExecutor workers, task
supervisors, log servers), and rename them. So a family of processes is recognized by a random mark in its environment,
which every descendant inherits, and not by its tree or its names.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

#: The environment variable that carries the family's mark.
MARK = "SEEDANCE_LOCAL_AIRFLOW"

#: Seconds that processes get to exit by themselves before they are killed.
GRACE = 4.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessDiedError(RuntimeError):
    """A process that should keep running has ended; the message has the end of its log."""


class Interrupted(KeyboardInterrupt):
    """
    A signal asks the program to stop.

    :param signum: The signal's number; ``128 + signum`` is the exit status that shells expect.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """
    Raise :class:`Interrupted` on SIGINT, SIGTERM and SIGHUP, so that ``finally`` clauses run.

    SIGINT is included because a shell's background jobs start with it ignored.
    """

    def interrupt(signum: int, _frame: FrameType | None) -> None:
        raise Interrupted(signum)

    with _handlers(interrupt):
        yield


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Ignore the same signals, so that a second Ctrl-C cannot cut a cleanup short."""
    with _handlers(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum in _SIGNALS}
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)


@dataclass(frozen=True)
class ProcessInfo:
    """One running process, as ``/proc`` shows it."""

    pid: int
    command: str


@dataclass
class Child:
    """A process that the family started itself."""

    name: str
    process: subprocess.Popen[bytes]
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path

    def tail(self, lines: int = 40) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class ProcessFamily:
    """
    A set of processes that start, are found and end together.

    :param cwd: The working directory of every process.
    :param logs: The folder for one log file per process, ``<name>.log``.
    """

    def __init__(self, cwd: Path, logs: Path) -> None:
        self.mark = secrets.token_hex(16)
        self.cwd = cwd
        self.logs = logs
        self.children: dict[str, Child] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """
        Start a process in its own session, with its output appended to its log.

        :param name: Its name in the family; the name of an ended process may be reused.
        :param command: Program and arguments.
        :param environment: Its whole environment; the family's mark is added.
        """
        environment = {**environment, MARK: self.mark}
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, process, command, environment, log)
        self.children[name] = child
        return child

    def start_python(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
        """
        Start this Python interpreter with some arguments, so that renamed descendants can still be found.

        A process title overwrites the space of the first command line and must not reach the mark behind it, so the
        command line is padded with an ``-X`` option that nothing reads.
        """
        command = [sys.executable, "-X", f"family={self.mark}{'-' * 64}", *arguments]
        return self.start(name, command, {**environment, "SPT_NOENV": "1"})

    def check(self) -> None:
        """
        Raise if a process of the family has ended.

        :raises ProcessDiedError: with its exit status and the end of its log.
        """
        for child in self.children.values():
            status = child.process.poll()
            if status is not None:
                raise ProcessDiedError(
                    f"{child.name} ended with status {status}. The end of {child.log}:\n{child.tail()}"
                )

    def wait(self, name: str, timeout: float) -> None:
        """
        Wait until a process has exited, and forget it.

        :param timeout: Seconds.
        :raises ProcessDiedError: if its exit status is not 0.
        :raises subprocess.TimeoutExpired: if it takes longer.
        """
        child = self.children[name]
        if child.process.wait(timeout) != 0:
            self.check()
        del self.children[name]

    def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        """
        Send a signal to a process, wait until it has exited, and forget it.

        :param signum: SIGKILL, the default, goes to its whole process group, as when its machine goes down. Any other
            signal, such as SIGTERM, goes to the process alone, as service managers send it.
        :raises subprocess.TimeoutExpired: if it has not exited after 60 s.
        """
        process = self.children[name].process
        if signum == signal.SIGKILL:
            os.killpg(process.pid, signum)
        else:
            process.send_signal(signum)
        process.wait(60)
        del self.children[name]

    def members(self) -> list[ProcessInfo]:
        """Return every running process that carries the family's mark, by ascending pid."""
        return processes_with(MARK, self.mark)

    def stop(self) -> None:
        """End every process of the family, however deep: by SIGTERM, then, after :data:`GRACE`, by SIGKILL."""
        with signals_wait():
            # not the groups: Airflow's triggerer does not exit if its subprocess gets the signal as well
            for child in self.children.values():
                child.process.terminate()
            deadline = time.monotonic() + GRACE
            while self._alive() and time.monotonic() < deadline:
                time.sleep(0.1)
            # several rounds, because a process may fork while its siblings are killed
            while self._alive():
                for child in self.children.values():
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.process.pid, signal.SIGKILL)
                for member in self.members():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(member.pid, signal.SIGKILL)
                time.sleep(0.1)
            self.children.clear()

    def _alive(self) -> bool:
        running = [child for child in self.children.values() if child.process.poll() is None]
        return bool(running or self.members())


def processes_with(variable: str, value: str) -> list[ProcessInfo]:
    """Return every running process that was started with this variable in its environment (Linux only)."""
    wanted = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # processes come and go, and other users' are not readable
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(ProcessInfo(int(folder.name), command.strip()))
    return sorted(found, key=lambda process: process.pid)
