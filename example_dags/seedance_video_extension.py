"""Clips are joined and continued, in the given order."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_video_extension",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("@video1, then the door opens and @video2 follows", type="string"),
        "first": Param("https://example.com/one.mp4", type="string", description="A link, or asset://<id>"),
        "second": Param("https://example.com/two.mp4", type="string", description="A link, or asset://<id>"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        reference_videos=["{{ params.first }}", "{{ params.second }}"],
        duration=8,
    )

    SeedanceToObjectStorageOperator(task_id="save", generation=generate.output, path="{{ params.target }}/")
