"""The example Dags, parsed as the Dag processor does and run in this process."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

EXAMPLES = sorted((Path(__file__).parents[2] / "example_dags").glob("*.py"))

#: Examples that do something with a finished video.
DOWNSTREAM = {
    f"seedance_{name}"
    for name in ("asset_producer_consumer", "file_transfer", "http_to_s3", "storyboard", "taskflow", "to_s3")
}


def load(path: Path) -> Any:
    """Parse a file as the Dag processor does, and return its Dags by id."""
    newer, older = "airflow.dag_processing.dagbag", "airflow.models.dagbag"
    bag = import_module(newer if find_spec(newer) else older).DagBag(str(path))
    assert bag.import_errors == {}
    return bag.dags


def path_of(file: str) -> Path:
    """Return where ``seedance_<file>.py`` is."""
    return next(path for path in EXAMPLES if path.stem == f"seedance_{file}")


def example(file: str, dag: str | None = None) -> Any:
    """Return the Dag of ``seedance_<file>.py``, or one of its Dags."""
    return load(path_of(file))[f"seedance_{dag or file}"]


def run(dag: Any, conf: Mapping[str, str], retries: int = 0) -> Any:
    """
    Run a Dag in this process until it has succeeded, its triggers inline.

    :param retries: Retries of each task, without a delay. Default: none, because they would only cost time.
    :returns: The Dag run.
    """
    for task in dag.tasks:
        task.retries, task.retry_delay = retries, timedelta(0)
    given = {name: value for name, value in conf.items() if name in dag.params}
    dag_run = dag.test(run_conf=given)
    assert str(dag_run.state) == "success"
    return dag_run
