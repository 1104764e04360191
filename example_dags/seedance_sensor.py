"""
Submit in one task, wait in another, and hand the link to a task of your own.

`submit` returns the id at once; the sensor waits in the triggerer and returns the result; the TaskFlow task reads the
result from XCom. Retries of the sensor cost nothing: only `submit` pays.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor

with DAG(
    dag_id="seedance_sensor",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={"prompt": Param("A lighthouse in a storm, waves against the rocks", type="string")},
):
    submit = SeedanceGenerateVideoOperator(
        task_id="submit",
        prompt="{{ params.prompt }}",
        resolution="480p",
        duration=4,
        wait_for_completion=False,
    )

    done = SeedanceGenerationSensor(task_id="wait", generation=submit.output)

    @task
    def publish(video: dict[str, Any]) -> dict[str, Any]:
        """Replace this with what you do with a video: register it, post it, pass its link to another system."""
        return {
            "id": video["generation_id"],
            "seconds": video["duration"],
            "tokens": video["total_tokens"],
            "link_until": video["video_url_expires_at"],
        }

    publish(done.output)
