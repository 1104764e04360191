"""A video is changed to match a picture; its camera motion stays."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_video_editing",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param(
            "Replace the water in @video1 with the perfume from @image1, keep the same camera motion", type="string"
        ),
        "image": Param("https://example.com/perfume.jpg", type="string", description="A link, or asset://<id>"),
        "video": Param("https://example.com/original.mp4", type="string", description="A link, or asset://<id>"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        reference_images=["{{ params.image }}"],
        reference_videos=["{{ params.video }}"],
        ratio="16:9",
        duration=5,
    )

    SeedanceToObjectStorageOperator(task_id="save", generation=generate.output, path="{{ params.target }}/")
