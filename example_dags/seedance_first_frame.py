"""A picture starts to move: it is the video's first frame."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_first_frame",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("The camera slowly pulls back, leaves drift by", type="string"),
        "image": Param("https://example.com/frame.jpg", type="string", description="A link, asset://<id>, or a path"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        first_frame="{{ params.image }}",
        duration=5,
    )

    SeedanceToObjectStorageOperator(task_id="save", generation=generate.output, path="{{ params.target }}/")
