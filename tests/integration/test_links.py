"""The extra link after a task has run against the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceGenerationFailedError
from airflow_provider_seedance.links import SeedanceVideoLink
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from tests.harness import Task

CAT = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 0.1}


class Linked(Task):
    """A task instance that remembers the last operator it made, which ended it."""

    def __init__(self, kind: type[Any], **arguments: Any) -> None:
        def make() -> Any:
            self.last = kind(task_id="task", **arguments)
            return self.last

        super().__init__(make)

    @property
    def link(self) -> str:
        """The link as Airflow asks for it when a task has ended."""
        key: Any = None
        return SeedanceVideoLink().get_link(self.last, ti_key=key)


@pytest.mark.parametrize("deferrable", [True, False])
def test_operator_links_to_the_video(emulator: Emulator, deferrable: bool) -> None:
    task = Linked(SeedanceGenerateVideoOperator, deferrable=deferrable, **CAT)
    result = task.run()
    assert "Signature=" in task.link
    assert task.link == result["video_url"]


@pytest.mark.parametrize("deferrable", [True, False])
def test_sensor_links_to_the_video(emulator: Emulator, deferrable: bool) -> None:
    submit = Linked(SeedanceGenerateVideoOperator, wait_for_completion=False, **CAT)
    generation_id = submit.run()
    assert submit.link == ""
    task = Linked(SeedanceGenerationSensor, generation=generation_id, deferrable=deferrable, poke_interval=0.1)
    result = task.run()
    assert f"{generation_id}/video.mp4" in task.link
    assert task.link == result["video_url"]


def test_task_that_failed_has_no_link(emulator: Emulator) -> None:
    emulator.fault(route="generation", fail={"code": "InternalServiceError", "message": "boom"})
    task = Linked(SeedanceGenerateVideoOperator, **CAT)
    with pytest.raises(SeedanceGenerationFailedError):
        task.run()
    assert task.link == ""


@pytest.mark.no_cover
def test_airflow_stores_a_link_for_each_mapped_task(
    emulator: Emulator, airflow_db: None, quick_clock: Any, tmp_path: Path
) -> None:
    example = Path(__file__).parents[2] / "example_dags" / "seedance_daily_batch.py"
    run = DagBag(str(example)).dags["seedance_daily_batch"].test(run_conf={"target": f"file://{tmp_path}"})
    assert str(run.state) == "success"
    generated = [ti for ti in run.get_task_instances() if ti.task_id == "generate"]
    assert len(generated) > 1
    links = set()
    for ti in generated:
        result, link = (
            ti.xcom_pull(task_ids="generate", map_indexes=ti.map_index, key=key)
            for key in ("return_value", "_link_SeedanceVideoLink")
        )
        assert link == result["video_url"]
        links.add(link)
    assert len(links) == len(generated)
