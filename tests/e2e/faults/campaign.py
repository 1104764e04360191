"""One case of the campaign: a service of its own, its runs, and what became of the videos that were paid for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_seedance.emulator import Emulator, EmulatorControl
from tests.e2e.faults.board import RunState, TaskState
from tests.e2e.faults.stage import DEFERRING, FaultStage

#: Seconds until a run must have ended. Runs recover within a minute or two, but a busy machine takes longer.
PATIENCE = 300.0
#: A generation takes 90 s divided by this.
SPEED = 9.0


@dataclass(frozen=True)
class Verdict:
    """
    What became of a case's videos.

    :param posts: Paid calls that the service received.
    :param billed: Generations that it bills.
    :param wanted: Videos that were asked for: one per run, and one for each time a task is cleared after a success.
    :param delivered: Videos that a run's result names and that are complete in its folder.
    :param unknown: Generations whose id was lost, and that a failed task reported to a person.
    :param seconds: How long the case took.
    """

    case: str
    posts: int
    billed: int
    wanted: int
    delivered: int
    unknown: int
    seconds: float

    @property
    def duplicates(self) -> int:
        """Generations paid for beyond those wanted and those reported to a person."""
        return max(self.billed - self.unknown - self.wanted, 0)

    @property
    def losses(self) -> int:
        """Generations paid for and not delivered, except those reported to a person; videos wanted and missing."""
        return max(max(self.billed - self.unknown, self.wanted) - self.delivered, 0)


class CaseRun:
    """
    One Dag run of a case.

    :param number: Its number among the runs of the case.
    :param stand_still_at: The point at which its worker pauses, once.
    """

    def __init__(
        self, stage: FaultStage, case: Case, number: int, *, stand_still_at: str = "", dag_id: str = DEFERRING
    ) -> None:
        self.stage = stage
        self.dag_id = dag_id
        self.folder = stage.folder / case.slug / str(number)
        self.folder.mkdir(parents=True)
        self._stand_still_at = stand_still_at
        params = {
            "prompt": f"{case.name}, video {number}",
            "connection": case.conn_id,
            "folder": str(self.folder),
            "stand_still_at": stand_still_at,
        }
        self.prompt = params["prompt"]
        self.run_id = stage.rest.trigger(dag_id, params)

    def generate(self) -> TaskState:
        """Return the state of the task that generates."""
        return self.stage.board.now(self.run_id).tasks["generate"]

    def wait_for(self, true: Callable[[RunState], bool], what: str, timeout: float = PATIENCE) -> RunState:
        """Wait until something is true of the run."""
        return self.stage.board.wait_for(self.run_id, true, timeout, what)

    def wait_until_deferred(self) -> None:
        """Wait until a triggerer has the trigger of the task that generates."""
        self.wait_for(
            lambda run: run.tasks["generate"].state == "deferred" and run.tasks["generate"].triggerer_id is not None,
            "the deferral",
        )

    def wait_until_it_stands_still(self) -> None:
        """Wait until its worker has paused at its point."""
        wait_until(lambda: (self.folder / self._stand_still_at).exists(), f"{self._stand_still_at} of {self.run_id}")

    def go_on(self) -> None:
        """Let the paused worker continue."""
        (self.folder / self._stand_still_at).unlink()

    def wait_until_over(self, state: str = "success") -> None:
        """
        Wait until the run is over.

        :raises AssertionError: if it ended in another state; with the log of the last try.
        """
        over = self.wait_for(lambda run: run.state in ("success", "failed"), f"the end as {state}")
        if over.state != state:
            raise AssertionError(f"{self.run_id} ended as {over.state}, not {state}:\n{self.log()}")

    def wait_until_failed(self, error: str) -> None:
        """
        Wait until the task that generates has failed with this error.

        :raises AssertionError: if it ended otherwise.
        """
        ends = ("success", "failed", "upstream_failed")
        task = self.wait_for(lambda run: run.tasks["generate"].state in ends, "the failure").tasks["generate"]
        assert task.state == "failed", f"{self.run_id} is {task.state}"
        wait_until(lambda: error in self.log(), f"{error} in the log of {self.run_id}")
        self.wait_until_over("failed")

    def log(self) -> str:
        """Return the log of the latest try of the task that generates."""
        return self.stage.rest.task_log(self.dag_id, self.run_id, "generate", self.generate().try_number)

    def kill_worker(self, signum: int = signal.SIGKILL) -> str:
        """
        Send a signal to the executor's worker that runs the task, and to the task's own process.

        :returns: The id of this try.
        """
        try_id = self.generate().id
        processes = self.stage.airflow.processes_of(try_id)
        assert processes, f"no worker holds the task of {self.run_id}"
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signum)
        return try_id

    def clear(self) -> None:
        """Clear the task, as a person does."""
        self.stage.rest.clear(self.dag_id, self.run_id, "generate")

    def mark(self, state: str) -> None:
        """Mark the task, as a person does."""
        self.stage.rest.mark(self.dag_id, self.run_id, "generate", state)

    def result(self) -> dict[str, Any] | None:
        """Return the task's result."""
        result: dict[str, Any] | None = self.stage.rest.xcom(self.dag_id, self.run_id, "generate")
        return result

    def delivered_id(self) -> str | None:
        """Return the id of the video it delivered: named by both results, and complete in its folder."""
        result, saved = self.result(), self.stage.rest.xcom(self.dag_id, self.run_id, "save")
        if not result or not saved or result["generation_id"] != saved["generation_id"]:
            return None
        path = Path(saved["path"].removeprefix("file://"))
        whole = path.is_file() and path.stat().st_size == saved["size"] > 0
        return str(result["generation_id"]) if whole else None


@dataclass
class Case:
    """
    A fault and the runs it hits, with a service of their own.

    :param name: What goes wrong.
    :param strike: Starts runs, breaks things, and waits until everything has ended.
    :param unknown: Generations whose id is lost by design, and which are reported to a person.
    :param cleared: How many further videos are asked for by clearing a task that succeeded.
    """

    name: str
    strike: Callable[[Case], None]
    unknown: int = 0
    cleared: int = 0
    runs: list[CaseRun] = field(default_factory=list)
    delivered: set[str] = field(default_factory=set)
    verdict: Verdict | None = None

    @property
    def slug(self) -> str:
        """Its name, as a folder's."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)

    @property
    def conn_id(self) -> str:
        """Its connection in Airflow."""
        return f"case-{self.slug}"

    def play(self, stage: FaultStage) -> Verdict:
        """
        Run the case to its end, and judge it.

        :returns: The verdict, which is kept as ``verdict`` even if the case fails.
        """
        began = time.monotonic()
        self.stage = stage
        with ExitStack() as self.stack:
            self.service: EmulatorControl = self.stack.enter_context(Emulator(speed=SPEED))
            try:
                self.connect(self.service.url)
                self.strike(self)
            finally:
                self.verdict = self._judge(time.monotonic() - began)
        return self.verdict

    def connect(self, url: str, api_key: str = "sk-emulator") -> None:
        """Point its connection to this address, with this key."""
        extra = json.dumps({"timeout": 5})
        self.stage.rest.put_connection(self.conn_id, conn_type="seedance", host=url, password=api_key, extra=extra)

    def run(self, **options: Any) -> CaseRun:
        """Start a run. Takes the options of :class:`CaseRun`."""
        self.runs.append(CaseRun(self.stage, self, len(self.runs) + 1, **options))
        return self.runs[-1]

    def wait_until_delivered(self, runs: Sequence[CaseRun] | None = None) -> None:
        """Wait until runs, by default all, have succeeded, and record what they delivered."""
        for run in self.runs if runs is None else runs:
            run.wait_until_over()
            if delivered := run.delivered_id():
                self.delivered.add(delivered)

    def _judge(self, seconds: float) -> Verdict:
        generations = self.service.generations()
        good = {made["id"] for made in generations if made["status"] == "SUCCESS"}
        return Verdict(
            case=self.name,
            posts=self.service.stats()["posts"],
            billed=self.service.stats()["billed"],
            wanted=len(self.runs) + self.cleared,
            delivered=len(self.delivered & good),
            unknown=self.unknown,
            seconds=seconds,
        )


def wait_until(true: Callable[[], Any], what: str, timeout: float = PATIENCE) -> None:
    """
    Wait until something is true.

    :raises TimeoutError: if that takes too long.
    """
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come in {timeout:.0f} s")
        time.sleep(0.25)


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the lines of a table of verdicts."""
    titles = ("posts", "billed", "delivered", "reported", "duplicates", "losses", "seconds")
    width = max((len(verdict.case) for verdict in verdicts), default=4)
    yield f"{'case':{width}}" + "".join(f"{title:>12}" for title in titles)
    for one in verdicts:
        numbers = (one.posts, one.billed, one.delivered, one.unknown, one.duplicates, one.losses, round(one.seconds))
        yield f"{one.case:{width}}" + "".join(f"{number:12}" for number in numbers)
    sums = [sum(getattr(one, name) for one in verdicts) for name in ("posts", "billed", "delivered", "unknown")]
    sums += [sum(one.duplicates for one in verdicts), sum(one.losses for one in verdicts)]
    yield f"{'all':{width}}" + "".join(f"{number:12}" for number in sums)
