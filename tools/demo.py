"""
Make a video from one prompt in a real Airflow: what ``make demo`` runs.

Environment: ``SEEDANCE_API_KEY`` (with ``SEEDANCE_BASE_URL``, if it is not the default) asks the real service, which
costs money; without it a local emulator answers. ``KEEP=1`` leaves Airflow up until Ctrl-C. ``SEEDANCE_PROMPT`` is
what the video shows.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests

from tools.emulator_process import EMULATOR_KEY, EmulatorProcess
from tools.local_airflow import CHECKOUT, SCRATCH, LocalAirflow
from tools.processes import Interrupted, ProcessDiedError, signals_interrupt
from tools.video_facts import video_facts

DAG_ID = "seedance_text_to_video"
DEFAULT_BASE_URL = "https://ai.alad.com"

#: The emulator's generations take 90 s divided by this: long enough to watch, and over at the trigger's second poll.
EMULATOR_SPEED = 6.0
#: Seconds that the Dag run may take, with the emulator and with the real service.
EMULATOR_LIMIT = 150.0
SERVICE_LIMIT = 3900.0
#: Seconds between two checks of the generation's progress, likewise.
EMULATOR_INTERVAL = 1.0
SERVICE_INTERVAL = 15.0

#: How many runs' folders are kept in .scratch.
KEPT_RUNS = 5

_STARTED = time.monotonic()


class DemoFailedError(Exception):
    """The demo's Dag run failed."""


def say(text: str) -> None:
    """Print a line with the time of day and the seconds since the start."""
    print(f"{datetime.now():%H:%M:%S} {time.monotonic() - _STARTED:5.1f} s  {text}", flush=True)


class Service:
    """The service as the demo itself uses it, next to Airflow: base URL, key, and a generation's progress."""

    def __init__(self, url: str, key: str, *, real: bool) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self.real = real
        self.limit = SERVICE_LIMIT if real else EMULATOR_LIMIT
        self._every = SERVICE_INTERVAL if real else EMULATOR_INTERVAL
        self._next_check = 0.0
        self._session = requests.Session()
        self._session.trust_env = real

    def connection(self) -> str:
        """Return the Airflow connection as JSON."""
        return json.dumps({"conn_type": "seedance", "host": self.url, "password": self.key})

    def progress(self, generation_id: str) -> str | None:
        """Return a generation's status and progress, or None if it is too early to ask again or the request fails."""
        if time.monotonic() < self._next_check:
            return None
        self._next_check = time.monotonic() + self._every
        try:
            answer = self._session.get(
                f"{self.url}/v1/video/generations/{generation_id}",
                headers={"Authorization": f"Bearer {self.key}"},
                timeout=10,
                allow_redirects=False,
            )
            data = answer.json()["data"]
            return f"{data['status']} {data['progress']}"
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return None

    def clean(self, text: str) -> str:
        """Return a text without the key and without the query strings of links."""
        return re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]+", r"\1?…", text.replace(self.key, "***"))


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for this run, lock it while the run lasts, and remove those of older runs."""
    SCRATCH.mkdir(exist_ok=True)
    folder = SCRATCH / f"demo-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    folder.mkdir()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for old in sorted(SCRATCH.glob("demo-*"), key=lambda path: path.stat().st_mtime)[:-KEPT_RUNS]:
            with contextlib.suppress(OSError), (old / ".lock").open() as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while that run lasts
                shutil.rmtree(old)
        yield folder


class Demo:
    """
    One run of the demo's Dag, reported as it happens.

    :param airflow: Runs the Dag.
    :param service: Generates the video.
    :param videos: The folder to save to.
    """

    def __init__(self, airflow: LocalAirflow, service: Service, videos: Path) -> None:
        self.airflow = airflow
        self.service = service
        self.videos = videos
        self.run_id = ""
        self.generation_id: str | None = None
        self._reported: set[str] = set()
        self._most_workers = 0
        self._progress = ""

    def run(self) -> Path:
        """
        Trigger the Dag and report what happens until the video is saved.

        :returns: The file.
        :raises DemoFailedError: if a task or the Dag run fails.
        """
        self.airflow.wait_for_dag(DAG_ID)
        conf = {"target": f"file://{self.videos}"}
        if prompt := os.environ.get("SEEDANCE_PROMPT"):
            conf["prompt"] = prompt
        self.run_id = self.airflow.rest.trigger(DAG_ID, conf)
        say(f"triggered: Dag {DAG_ID}, run {self.run_id}")
        limit = self.service.limit
        self.airflow.wait_for(self._report, limit, lambda: f"Dag run {self.run_id} is not over")
        saved = self._xcom("save")
        path = Path(saved["path"].removeprefix("file://"))
        say(f"saved: {saved['size']:,} bytes")
        return path

    def _report(self) -> bool:
        """Report what is new. Return True at the end of the run."""
        state = self.airflow.rest.run_state(DAG_ID, self.run_id)
        tasks = {task["task_id"]: task for task in self.airflow.rest.task_instances(DAG_ID, self.run_id)}
        generate = tasks["generate"]
        self._report_generation(generate)
        for task in tasks.values():
            if task["state"] in ("failed", "upstream_failed", "up_for_retry"):
                raise DemoFailedError(f"task '{task['task_id']}' is in state {task['state']}.\n{self._log_of(task)}")
        if state == "failed":
            raise DemoFailedError(f"Dag run {self.run_id} failed")
        return bool(state == "success")

    def _report_generation(self, generate: dict[str, Any]) -> None:
        workers = len(self.airflow.processes_of(generate["id"]))
        self._most_workers = max(workers, self._most_workers)
        if self.generation_id is None:
            self.generation_id = self._xcom("generate", "generation_id")
            if self.generation_id is None:
                return
        self._once("submitted", f"submitted: generation {self.generation_id}")
        # the submitting worker needs a moment to exit; the state must be the same before and after counting
        if generate["state"] == "deferred" and workers == 0 and self._state("generate") == "deferred":
            before = f" ({self._most_workers} did while it submitted)" if self._most_workers else ""
            self._once("deferred", f"deferred: the triggerer waits, and 0 worker processes hold the task{before}")
        if "generated" not in self._reported:
            progress = self.service.progress(self.generation_id)
            if progress and progress != self._progress:
                self._progress = progress
                say(f"progress: {progress}")
        if generate["state"] == "success" and "generated" not in self._reported:
            result = self._xcom("generate")
            facts = [f"{result[key]}{unit}" for key, unit in _RESULT_FACTS if result.get(key) is not None]
            self._once("generated", f"succeeded: {', '.join(facts)}")

    def _once(self, key: str, text: str) -> None:
        if key not in self._reported:
            self._reported.add(key)
            say(text)

    def _state(self, task_id: str) -> str:
        state: str = self.airflow.rest.task_instance(DAG_ID, self.run_id, task_id)["state"]
        return state

    def _xcom(self, task_id: str, key: str = "return_value") -> Any:
        return self.airflow.rest.xcom(DAG_ID, self.run_id, task_id, key)

    def _log_of(self, task: dict[str, Any]) -> str:
        log = self.airflow.rest.task_log(DAG_ID, self.run_id, task["task_id"], max(task["try_number"], 1))
        return f"The end of its log:\n{self.service.clean(_tail(log))}"


_RESULT_FACTS = (("model", ""), ("resolution", ""), ("ratio", ""), ("duration", " s"), ("total_tokens", " tokens"))


def _tail(text: str, lines: int = 30) -> str:
    return "\n".join(line[:400] for line in text.splitlines()[-lines:])


def make_video(folder: Path, *, keep: bool) -> None:
    """
    Start everything, run the demo, and stop everything.

    :param folder: For Airflow's home and the video.
    :param keep: Leave Airflow up until a signal arrives.
    """
    key = os.environ.get("SEEDANCE_API_KEY", "")
    url = os.environ.get("SEEDANCE_BASE_URL") or DEFAULT_BASE_URL
    airflow = LocalAirflow(folder / "airflow", CHECKOUT / "example_dags")
    with contextlib.ExitStack() as stack:
        stack.callback(airflow.family.stop)
        if key:
            service = Service(url, key, real=True)
            say(f"service: {service.url}, for real (this costs money)")
        else:
            service = Service(EmulatorProcess(airflow.family, EMULATOR_SPEED).url, EMULATOR_KEY, real=False)
            say(f"service: the emulator, at {service.url} (no key, no cost)")
        airflow.environment["AIRFLOW_CONN_SEEDANCE_DEFAULT"] = service.connection()
        say(
            f"Airflow {version('apache-airflow')}: starting API server, scheduler, Dag processor and triggerer; "
            f"home {_shown(airflow.home)}"
        )
        try:
            stack.enter_context(airflow)
            say(f"Airflow is up: {airflow.url}")
            video = Demo(airflow, service, folder / "videos").run()
            facts = video_facts(video)
        except ProcessDiedError as error:
            raise DemoFailedError(service.clean(str(error))) from None
        except Interrupted:
            say("interrupted: stopping Airflow")
            raise
        summary = f"video: {_shown(video)}\n  {facts}"
        if keep:
            say(summary)
            say(f"Airflow stays up: {airflow.url}  user {airflow.username}  password {airflow.password}")
            say("Ctrl-C stops it")
            with contextlib.suppress(Interrupted):
                airflow.run_until_interrupted()
        say("stopping Airflow")
    if not keep:
        say(summary)


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main() -> int:
    """
    Run the demo.

    :returns: The exit status: 0, 1 after a failure, 128 + the signal's number after a signal.
    """
    keep = os.environ.get("KEEP", "") not in ("", "0")
    logs = SCRATCH
    try:
        with signals_interrupt(), scratch_folder() as folder:
            logs = folder / "airflow" / "logs"
            make_video(folder, keep=keep)
    except Interrupted as interrupted:
        say(f"stopped by {interrupted}; nothing is left running")
        return 128 + interrupted.signum
    except Exception as error:
        print(f"\nFAILED: {error or type(error).__name__}\n\nThe logs are in {_shown(logs)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
