"""
A prompt becomes a video file: generate it, then save it.

While the service works, the `generate` task is deferred and takes no worker slot. The service's link expires within
hours, so the second task copies the video to your own storage.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_text_to_video",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param(
            "A cat playing piano in a sunlit room, cinematic lighting",
            type="string",
            description="What the video shows",
        ),
        "target": Param(
            "file:///tmp/seedance", type="string", description="Folder to save to, such as s3://bucket/videos"
        ),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        ratio="16:9",
        duration=5,
    )

    save = SeedanceToObjectStorageOperator(
        task_id="save",
        generation=generate.output,
        path="{{ params.target }}/",
    )
