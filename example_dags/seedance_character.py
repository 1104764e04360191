"""
One character, uploaded once and used every day.

The group and the asset are created, and paid for, by the first run only: later runs find them by name and content. If
the picture changes under the same name, it becomes a new asset.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.assets import (
    SeedanceCreateAssetGroupOperator,
    SeedanceCreateAssetOperator,
)
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

with DAG(
    dag_id="seedance_character",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "picture": Param(
            "https://example.com/example.png", type="string", description="The character: a link, or a path"
        ),
        "target": Param("file:///tmp/seedance", type="string", description="Folder to save to"),
    },
):
    group = SeedanceCreateAssetGroupOperator(task_id="group", name="my-project")

    character = SeedanceCreateAssetOperator(
        task_id="character",
        group_id=group.output,
        name="character-reference",
        source="{{ params.picture }}",
    )

    generate = SeedanceGenerateVideoOperator.partial(
        task_id="generate",
        reference_images=[character.output["asset_uri"]],
        resolution="480p",
        ratio="9:16",
        duration=4,
    ).expand(
        prompt=[
            "The person in @image1 walks down a sunny street, cinematic quality",
            "The person in @image1 drinks coffee by the window, morning light",
            "The person in @image1 waves from a passing train",
        ]
    )

    SeedanceToObjectStorageOperator.partial(task_id="save", path="{{ params.target }}/{{ run_id }}/").expand(
        generation=generate.output
    )
