"""A real Airflow and the emulator, once for all end-to-end tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.faults.stage import FaultStage, set_up
from tests.s3 import BUCKET, client, connection, s3_server
from tools.emulator_process import EMULATOR_KEY, EmulatorProcess
from tools.local_airflow import CHECKOUT, SCRATCH, LocalAirflow
from tools.processes import signals_interrupt

#: A generation takes 90 s divided by this: it ends at the trigger's second poll, so that the deferral can be watched.
SPEED = 6.0

DAG_ID = "seedance_text_to_video"
S3_CONN_ID = "e2e_s3"


@dataclass(frozen=True)
class Stage:
    """What the end-to-end tests run on."""

    airflow: LocalAirflow
    emulator: EmulatorProcess


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """A healthy Airflow with the example Dags, connected to an emulator of its own."""
    home = SCRATCH / "e2e" / "airflow"
    shutil.rmtree(home.parent, ignore_errors=True)
    airflow = LocalAirflow(home, CHECKOUT / "example_dags")
    with signals_interrupt(), ExitStack() as stack:
        stack.callback(airflow.family.stop)
        emulator = EmulatorProcess(airflow.family, SPEED)
        airflow.environment["AIRFLOW_CONN_SEEDANCE_DEFAULT"] = json.dumps(
            {"conn_type": "seedance", "host": emulator.url, "password": EMULATOR_KEY}
        )
        stack.enter_context(airflow)
        yield Stage(airflow, emulator)


@dataclass
class Run:
    """One run of ``seedance_text_to_video``, as observed while it ran."""

    run_id: str
    state: str = ""
    #: Numbers of processes that held ``generate``, counted while it was deferred.
    workers_while_deferred: list[int] = field(default_factory=list)
    #: The same, counted at all other times, and while it changed its state.
    workers_otherwise: list[int] = field(default_factory=list)
    posts: int = 0
    generated: dict[str, Any] = field(default_factory=dict)
    generation_id: str = ""
    saved: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="session")
def s3(stage: Stage) -> Iterator[Any]:
    """A client of an S3 with a bucket, which Airflow knows as ``S3_CONN_ID``."""
    with s3_server() as url:
        made = client(url)
        made.create_bucket(Bucket=BUCKET)
        fields = json.loads(connection(url))
        stage.airflow.rest.put_connection(S3_CONN_ID, **{**fields, "extra": json.dumps(fields["extra"])})
        yield made


@pytest.fixture(scope="session")
def run(stage: Stage, s3: Any) -> Run:
    """A run that saves to S3, from trigger to end, watched all the way."""
    airflow = stage.airflow
    posts_before = stage.emulator.stats()["posts"]
    airflow.wait_for_dag(DAG_ID)
    # with a space, because an unquoted one would break the link
    target = f"s3://{S3_CONN_ID}@{BUCKET}/made by airflow"
    seen = Run(airflow.rest.trigger(DAG_ID, {"target": target}))

    def over() -> bool:
        before = airflow.rest.task_instance(DAG_ID, seen.run_id, "generate")
        workers = len(airflow.processes_of(before["id"]))
        after = airflow.rest.task_instance(DAG_ID, seen.run_id, "generate")
        deferred = before["state"] == after["state"] == "deferred"
        (seen.workers_while_deferred if deferred else seen.workers_otherwise).append(workers)
        seen.state = airflow.rest.run_state(DAG_ID, seen.run_id)
        return seen.state in ("success", "failed")

    airflow.wait_for(over, 150, lambda: f"Dag run {seen.run_id} is not over")
    seen.posts = stage.emulator.stats()["posts"] - posts_before
    logs = [airflow.rest.task_log(DAG_ID, seen.run_id, task_id) for task_id in ("generate", "save")]
    assert seen.state == "success", "\n".join(logs)
    seen.generation_id = airflow.rest.xcom(DAG_ID, seen.run_id, "generate", "generation_id")
    seen.generated = airflow.rest.xcom(DAG_ID, seen.run_id, "generate")
    seen.saved = airflow.rest.xcom(DAG_ID, seen.run_id, "save")
    return seen


@pytest.fixture(scope="session")
def fault_stage() -> Iterator[FaultStage]:
    """A healthy Airflow on PostgreSQL with two triggerers, whose parts can be broken."""
    with set_up() as stage:
        yield stage
