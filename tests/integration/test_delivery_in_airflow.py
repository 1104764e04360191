"""A delivery is recorded once Airflow has the success, in plain and in mapped tasks, as Airflow runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from tests.integration.dags import example, run


@pytest.mark.no_cover
@pytest.mark.parametrize("file", ["text_to_video", "daily_batch"])
def test_every_delivery_is_recorded(
    file: str, emulator: Emulator, airflow_db: None, quick_clock: Any, tmp_path: Path
) -> None:
    stored = pytest.importorskip("airflow.models.task_state_store", reason="Airflow has no task state store before 3.3")
    from airflow.utils.session import create_session

    dag_run = run(example(file), {"target": f"file://{tmp_path}"})
    with create_session() as session:
        rows = session.query(stored.TaskStateStoreModel).filter_by(dag_id=dag_run.dag_id, run_id=dag_run.run_id).all()
        phases = [json.loads(row.value)["phase"] for row in rows if row.key == "seedance_generation"]
    assert phases == ["delivered"] * emulator.stats()["created"]
