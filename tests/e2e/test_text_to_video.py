"""The first example Dag on a real Airflow: what a user may rely on, observed from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools.emulator_process import EMULATOR_KEY
from tools.video_facts import video_facts

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

DAG_ID = "seedance_text_to_video"


@dataclass
class Run:
    """One Dag run, as it was seen while it went on."""

    state: str = ""
    #: Numbers of processes that held ``generate``, looked up while it was in the state.
    workers: dict[str, list[int]] = field(default_factory=dict)
    posts: int = 0
    generated: dict[str, Any] = field(default_factory=dict)
    generation_id: str = ""
    saved: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def run(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the Dag from trigger to end, watched all the way."""
    airflow, seen = stage.airflow, Run()
    posts_before = stage.emulator.stats()["posts"]
    airflow.wait_for_dag(DAG_ID)
    run_id = airflow.rest.trigger(DAG_ID, {"target": f"file://{tmp_path_factory.mktemp('videos')}"})

    def over() -> bool:
        before = airflow.rest.task_instance(DAG_ID, run_id, "generate")
        workers = len(airflow.processes_of(before["id"]))
        # counts only if it was in the same state before and after the look
        if airflow.rest.task_instance(DAG_ID, run_id, "generate")["state"] == before["state"]:
            seen.workers.setdefault(before["state"], []).append(workers)
        seen.state = airflow.rest.run_state(DAG_ID, run_id)
        return seen.state in ("success", "failed")

    airflow.wait_for(over, 150, lambda: f"Dag run {run_id} is not over")
    seen.posts = stage.emulator.stats()["posts"] - posts_before
    assert seen.state == "success", airflow.rest.task_log(DAG_ID, run_id, "generate")
    seen.generation_id = airflow.rest.xcom(DAG_ID, run_id, "generate", "generation_id")
    seen.generated = airflow.rest.xcom(DAG_ID, run_id, "generate")
    seen.saved = airflow.rest.xcom(DAG_ID, run_id, "save")
    return seen


def test_generate_is_deferred_while_the_service_works(run: Run) -> None:
    assert "deferred" in run.workers


def test_no_worker_process_holds_the_task_while_it_is_deferred(run: Run) -> None:
    held = run.workers["deferred"]
    # the worker that submitted may still be going at first; then there is none until the end
    assert held[-1] == 0
    assert held == sorted(held, reverse=True)


def test_worker_processes_are_seen_while_the_task_runs(run: Run) -> None:
    """Else seeing none of them during the deferral would mean nothing."""
    assert max(run.workers["running"]) > 0


def test_one_generation_is_paid_for(run: Run) -> None:
    assert run.posts == 1


def test_result_names_the_generation_whose_id_was_pushed(run: Run) -> None:
    assert run.generated["generation_id"] == run.generation_id


def test_saved_file_is_a_playable_mp4_as_asked_for(run: Run) -> None:
    path = Path(run.saved["path"].removeprefix("file://"))
    assert path.stat().st_size == run.saved["size"] > 0
    facts = video_facts(path)
    assert (facts.video_codec, facts.width, facts.height, facts.frame_rate) == ("h264", 1280, 720, 24.0)
    assert facts.seconds == pytest.approx(5, abs=0.1)
    assert facts.audio_codec == "aac"


def test_no_log_holds_the_key(run: Run, stage: Stage) -> None:
    logs = [path for path in stage.airflow.logs.rglob("*.log") if path.name != "emulator.log"]
    assert any("task_id=generate" in str(path) for path in logs)
    assert [path for path in logs if EMULATOR_KEY in path.read_text(errors="replace")] == []
