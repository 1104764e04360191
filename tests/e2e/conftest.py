"""A real Airflow and the emulator, once for all end-to-end tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.e2e.faults.stage import FaultStage, set_up
from tools.emulator_process import EMULATOR_KEY, EmulatorProcess
from tools.local_airflow import CHECKOUT, SCRATCH, LocalAirflow
from tools.processes import signals_interrupt

#: A generation takes 90 s divided by this: over at the trigger's second poll, so that deferral can be watched.
SPEED = 6.0


@dataclass(frozen=True)
class Stage:
    """What the end-to-end tests play on."""

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


@pytest.fixture(scope="session")
def fault_stage() -> Iterator[FaultStage]:
    """A healthy Airflow on PostgreSQL, with two triggerers, whose parts can be broken."""
    with set_up() as stage:
        yield stage
