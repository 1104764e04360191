"""
A video's `video_path` is a file like any other: here Airflow's own `FileTransferOperator` copies it.

Unlike a link, the path does not expire: each read requests a new link. It works wherever `ObjectStoragePath` works.
`SeedanceToObjectStorageOperator` does more: it checks that the video is complete, never leaves an incomplete one, and
returns its checksum.
"""

from __future__ import annotations

from airflow.providers.common.io.operators.file_transfer import FileTransferOperator
from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator

with DAG(
    dag_id="seedance_file_transfer",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("A paper boat sails down a rain-filled street, seen from above", type="string"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        resolution="480p",
        duration=4,
    )

    FileTransferOperator(
        task_id="save",
        # src, dst and source_conn_id are templates; dest_conn_id is not
        src=generate.output["video_path"],
        dst="{{ params.target }}/{{ run_id }}.mp4",
        # a try that was killed may have left half a file
        overwrite=True,
    )
