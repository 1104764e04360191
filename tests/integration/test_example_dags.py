"""Every example Dag parses without warnings and runs, on every Airflow that the provider supports."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator

EXAMPLES = sorted((Path(__file__).parents[2] / "example_dags").glob("*.py"))


def load(path: Path) -> Any:
    """Parse a file as the Dag processor does, and return its Dags by id."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    bag = DagBag(str(path))
    assert bag.import_errors == {}
    return bag.dags


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_parses_without_warnings(path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dags = load(path)
    assert dags
    ours = [w for w in caught if "seedance" in str(w.filename)]
    assert ours == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(
    path: Path, seedance_emulator: Emulator, airflow_db: None, quick_first_look: None, tmp_path: Path
) -> None:
    (dag,) = load(path).values()
    conf = {"target": f"file://{tmp_path}"} if "target" in dag.params else {}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "success"
    stats = seedance_emulator.stats()
    assert stats["posts"] == stats["created"] >= 1
    if conf:
        assert len(list(tmp_path.rglob("*.mp4"))) == stats["created"]
