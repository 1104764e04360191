"""``make demo`` as people use it: started twice, interrupted, kept up, with a wrong key."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import requests

from tools.local_airflow import CHECKOUT
from tools.processes import processes_with
from tools.video_facts import video_facts

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

#: Seconds; two demos at once on two busy cores take about half of it.
LIMIT = 240

#: By this variable every process of a demo is found, and none of another.
MARK = "DEMO_UNDER_TEST"


class RunningDemo:
    """A demo in a process of its own."""

    def __init__(self, **environment: str) -> None:
        self.mark = secrets.token_hex(8)
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.demo"],
            cwd=CHECKOUT,
            env={**os.environ, **environment, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, text: str) -> None:
        """Wait for a line of output that contains a text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        pytest.fail(f"{text!r} never came:\n{self.output}")

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        self.output += self.process.communicate(timeout=LIMIT)[0]
        return self.process.returncode

    def left_over(self) -> list[str]:
        """Return the commands of its processes that still run."""
        return [process.command for process in processes_with(MARK, self.mark)]


@pytest.fixture
def start_demo() -> Iterator[Callable[..., RunningDemo]]:
    """A function that starts a demo with some environment variables; what it starts is ended after the test."""
    started: list[RunningDemo] = []

    def start(**environment: str) -> RunningDemo:
        started.append(RunningDemo(**environment))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.communicate(timeout=30)


def test_two_demos_at_once_both_end_with_a_playable_video(start_demo: Callable[..., RunningDemo]) -> None:
    demos = [start_demo(), start_demo()]
    for demo in demos:
        assert demo.end() == 0, demo.output
        video = re.findall(r"video: (\S+\.mp4)", demo.output)[-1]
        assert video_facts(CHECKOUT / video).frames == 120
        assert demo.left_over() == []


def test_demo_tells_what_happens_in_order(start_demo: Callable[..., RunningDemo]) -> None:
    demo = start_demo()
    for text in ("Airflow is up", "submitted: generation asyntask_", "deferred", "progress:", "succeeded", "saved"):
        demo.read_until(text)
    assert demo.end() == 0
    assert "0 worker processes hold the task" in demo.output


@pytest.mark.parametrize("moment", ["starting API server", "deferred"])
def test_interrupted_demo_leaves_no_process(moment: str, start_demo: Callable[..., RunningDemo]) -> None:
    demo = start_demo()
    demo.read_until(moment)
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 130
    assert demo.left_over() == []


def test_keep_leaves_airflow_up_until_interrupted(start_demo: Callable[..., RunningDemo]) -> None:
    demo = start_demo(KEEP="1")
    demo.read_until("Ctrl-C stops it")
    found = re.search(r"stays up: (\S+)  user (\S+)  password (\S+)", demo.output)
    assert found
    login = {"username": found[2], "password": found[3]}
    assert requests.post(f"{found[1]}/auth/token", json=login, timeout=10).status_code == 201
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 0
    assert demo.left_over() == []


def test_demo_with_a_wrong_key_fails_with_the_reason(start_demo: Callable[..., RunningDemo], stage: Stage) -> None:
    demo = start_demo(SEEDANCE_API_KEY="sk-surely-wrong", SEEDANCE_BASE_URL=stage.emulator.url)
    assert demo.end() == 1
    assert "SeedanceAuthError" in demo.output
    assert "The logs are in .scratch/" in demo.output
    assert "sk-surely-wrong" not in demo.output
    assert demo.left_over() == []
