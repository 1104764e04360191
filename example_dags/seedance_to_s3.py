"""
A prompt becomes an object in S3. Needs `apache-airflow-providers-amazon[s3fs]`.

The video is streamed in parts of 8 MiB, and the object appears once it is complete. Google Cloud Storage and Azure use
the same code path: write `gs://…` (`apache-airflow-providers-google`) or `abfs://…`
(`apache-airflow-providers-microsoft-azure`) instead of `s3://…`, and their connection instead of `aws_default`.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_to_s3",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("A lighthouse in a storm, waves against the rocks", type="string"),
        "bucket": Param("my-bucket", type="string", description="Bucket to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        resolution="480p",
        duration=4,
        return_last_frame=True,
    )

    SeedanceToObjectStorageOperator(
        task_id="save",
        generation=generate.output,
        # {model} and {generation_id} are filled in by the operator, {{ … }} by Airflow
        path="s3://{{ params.bucket }}/videos/{model}/{generation_id}.mp4",
        what="both",
        conn_id="aws_default",
    )
