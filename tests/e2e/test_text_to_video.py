"""The first example Dag on a real Airflow: what a user may rely on, observed from outside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools.emulator_process import EMULATOR_KEY
from tools.video_facts import video_facts

if TYPE_CHECKING:
    from tests.e2e.conftest import Run, Stage


def test_generate_is_deferred_while_the_service_works(run: Run) -> None:
    assert run.workers_while_deferred


def test_no_worker_process_holds_the_task_while_it_is_deferred(run: Run) -> None:
    held = run.workers_while_deferred
    # the submitting worker may still be exiting at first; then there is none until the end
    assert held[-1] == 0
    assert held == sorted(held, reverse=True)


def test_worker_processes_are_seen_at_other_times(run: Run) -> None:
    """Otherwise, seeing none during the deferral would mean nothing."""
    assert max(run.workers_otherwise) > 0


def test_one_generation_is_paid_for(run: Run) -> None:
    assert run.posts == 1


def test_result_names_the_generation_whose_id_was_pushed(run: Run) -> None:
    assert run.generated["generation_id"] == run.generation_id


def test_saved_file_is_a_playable_mp4_as_asked_for(run: Run, s3: Any, tmp_path: Path) -> None:
    bucket, _, key = run.saved["path"].removeprefix("s3://").rpartition("@")[2].partition("/")
    assert key == f"made by airflow/{run.generation_id}.mp4"
    path = tmp_path / "saved.mp4"
    s3.download_file(bucket, key, path)
    assert path.stat().st_size == run.saved["size"] > 0
    facts = video_facts(path)
    assert (facts.video_codec, facts.width, facts.height, facts.frame_rate) == ("h264", 1280, 720, 24.0)
    assert facts.seconds == pytest.approx(5, abs=0.1)
    assert facts.audio_codec == "aac"


def test_no_log_holds_the_key(run: Run, stage: Stage) -> None:
    logs = [path for path in stage.airflow.logs.rglob("*.log") if path.name != "emulator.log"]
    assert any("task_id=generate" in str(path) for path in logs)
    assert [path for path in logs if EMULATOR_KEY in path.read_text(errors="replace")] == []
