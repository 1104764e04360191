"""Tasks in their own process: without OpenLineage, and with Airflow itself sending the events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from airflow_provider_seedance.emulator import Emulator

WITHOUT_OPENLINEAGE = """
import sys


class Missing:
    def find_spec(self, name, path=None, target=None):
        # Airflow asks the installed provider for its info, which needs only these two
        kept = ("airflow.providers.openlineage", "airflow.providers.openlineage.get_provider_info")
        if name.startswith(("openlineage", "airflow.providers.openlineage")) and name not in kept:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator
from tests.harness import Task

made = Task(lambda: SeedanceGenerateVideoOperator(task_id="generate", prompt="a cat", poll_interval=0.1)).run()
Task(lambda: SeedanceGenerationSensor(task_id="wait", generation=made)).run()
Task(lambda: SeedanceToObjectStorageOperator(task_id="save", generation=made, path=sys.argv[1])).run()
assert not [name for name in sys.modules if name.startswith("openlineage") or name.endswith("openlineage.extractors")]
"""

A_DAG = """
from airflow.sdk import DAG

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator

with DAG("lineage_dag"):
    SeedanceGenerateVideoOperator.partial(task_id="generate", poll_interval=0.1).expand(prompt=["my secret plan"])
"""

RUN_THE_DAG = """
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

from airflow_provider_seedance.api import polling

polling.FIRST_POLL_DELAY = 0.05
initdb()
assert DagBag().dags["lineage_dag"].test().state == "success"
"""


def in_a_new_process(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_tasks_run_where_openlineage_is_not_installed(emulator: Emulator, tmp_path: Path) -> None:
    in_a_new_process(WITHOUT_OPENLINEAGE, f"{tmp_path}/video.mp4")
    assert (tmp_path / "video.mp4").exists()


def test_airflow_sends_the_events_of_a_mapped_task_that_deferred(emulator: Emulator, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(log), "append": True}
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "lineage_dag.py").write_text(A_DAG)
    in_a_new_process(
        RUN_THE_DAG,
        AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(transport),
        AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "dags"),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{tmp_path}/airflow.db",
    )
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (complete,) = [e for e in events if e["eventType"] == "COMPLETE" and e["job"]["name"] == "lineage_dag.generate"]
    generation_id = emulator.generations()[0]["id"]
    (output,) = complete["outputs"]
    assert output["namespace"] == emulator.url.replace("http://", "seedance://")
    assert output["name"] == f"generation/{generation_id}"
    assert complete["run"]["facets"]["seedance"]["generation_id"] == generation_id
    assert complete["run"]["facets"]["seedance"]["total_tokens"] > 1000
    assert "secret plan" not in log.read_text()
