"""
Airflow's own `HttpToS3Operator` downloads the video by its signed link, if only that operator will do.

It needs an HTTP connection with a scheme and no host, because the link has its own:

    export AIRFLOW_CONN_SEEDANCE_LINKS='{"conn_type": "http", "schema": "https"}'

Prefer `SeedanceToObjectStorageOperator` (see `seedance_to_s3`), above all for large files: this one holds the whole
video in memory, starts over if a download is interrupted, does not check the file, stores the signed link in Airflow's
database as a rendered template, and cannot succeed once the link has expired, at most 12 hours after the generation.
"""

from __future__ import annotations

from airflow.providers.amazon.aws.transfers.http_to_s3 import HttpToS3Operator
from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator

with DAG(
    dag_id="seedance_http_to_s3",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("A cat playing piano in a sunlit room, cinematic lighting", type="string"),
        "bucket": Param("my-bucket", type="string", description="Bucket to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        resolution="480p",
        duration=4,
    )

    save = HttpToS3Operator(
        task_id="save",
        http_conn_id="seedance_links",
        # together with the connection's "https://", this is the link
        endpoint="{{ ti.xcom_pull(task_ids='generate', key='video_url').partition('://')[2] }}",
        s3_bucket="{{ params.bucket }}",
        s3_key="videos/{{ ti.xcom_pull(task_ids='generate', key='generation_id') }}.mp4",
        # a try that was killed may have written it
        replace=True,
        extra_options={"timeout": 60},
    )

    generate >> save
