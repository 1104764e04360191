"""Text with web search: the model searches the web before it generates."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_web_search",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("Macro shot of vivid flower petals on a tree, gradually zooming in", type="string"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        web_search=True,
        ratio="16:9",
        duration=11,
    )

    SeedanceToObjectStorageOperator(task_id="save", generation=generate.output, path="{{ params.target }}/")
