"""From one picture to another: the first and the last frame of the video."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_first_and_last_frame",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("Day turns into night over the city", type="string"),
        "first": Param("https://example.com/day.jpg", type="string", description="A link, asset://<id>, or a path"),
        "last": Param("https://example.com/night.jpg", type="string", description="A link, asset://<id>, or a path"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        first_frame="{{ params.first }}",
        last_frame="{{ params.last }}",
        duration=5,
    )

    SeedanceToObjectStorageOperator(task_id="save", generation=generate.output, path="{{ params.target }}/")
