"""What all tests share: an Airflow home of their own, set before Airflow is imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.clock import QuickClock

# Airflow reads its configuration when it is imported, so this cannot wait for a fixture.
_HOME = tempfile.TemporaryDirectory(prefix="seedance-airflow-")
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME.name,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent.parent / "example_dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME.name}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_NO_ANALYTICS": "true",
    }
)


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A migrated metadata database, which ``dag.test()`` needs."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    """A clock that shortens waits, handed to all tasks and triggers of the test: for what ``dag.test()`` runs."""
    from airflow_provider_seedance.tasks import SeedanceTask
    from airflow_provider_seedance.triggers.base import BaseSeedanceTrigger

    clock = QuickClock()
    monkeypatch.setattr(SeedanceTask, "clock", clock)
    monkeypatch.setattr(BaseSeedanceTrigger, "clock", clock)
    return clock
