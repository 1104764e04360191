"""
Every day a list of prompts becomes a folder of videos, by dynamic task mapping.

Each mapped task submits, waits and is retried by itself, so one refused prompt does not affect the others. Put the
tasks into a pool with *include deferred* ticked and as many slots as your account may run at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_daily_batch",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={"target": Param("file:///tmp/seedance", type="string", description="Folder to save to")},
):

    @task
    def prompts() -> list[str]:
        """Replace this with your own source: a table, a feed, a queue."""
        return [
            "Macro shot of vivid flower petals on a tree, gradually zooming in",
            "A paper boat sails down a rain-filled street, seen from above",
        ]

    generate = SeedanceGenerateVideoOperator.partial(
        task_id="generate",
        resolution="480p",
        ratio="9:16",
        duration=4,
    ).expand(prompt=prompts())

    SeedanceToObjectStorageOperator.partial(
        task_id="save",
        path="{{ params.target }}/{{ run_id }}/",
    ).expand(generation=generate.output)
