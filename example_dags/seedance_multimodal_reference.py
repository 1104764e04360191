"""A character, a scene and a piece of music become one video."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_multimodal_reference",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param(
            "The character from @image1 dances in the scene from @video1, with @audio1 as background music",
            type="string",
        ),
        "image": Param("https://example.com/character.jpg", type="string", description="A link, or asset://<id>"),
        "video": Param("https://example.com/clip.mp4", type="string", description="A link, or asset://<id>"),
        "audio": Param("https://example.com/bgm.mp3", type="string", description="A link, or asset://<id>"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        reference_images=["{{ params.image }}"],
        reference_videos=["{{ params.video }}"],
        reference_audios=["{{ params.audio }}"],
        ratio="16:9",
        duration=11,
    )

    SeedanceToObjectStorageOperator(task_id="save", generation=generate.output, path="{{ params.target }}/")
