"""
Every file under a storage prefix becomes an asset, by dynamic task mapping.

Safe to run again: files that are already assets are found by name and content, and cost nothing. A local folder must be
listed in the setting ``[seedance] allowed_media_roots``, since a parameter names it.
"""

from __future__ import annotations

from airflow.sdk import DAG, ObjectStoragePath, Param, get_current_context, task

from airflow_provider_seedance.operators.assets import (
    SeedanceCreateAssetGroupOperator,
    SeedanceCreateAssetOperator,
)

with DAG(
    dag_id="seedance_assets_from_storage",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "folder": Param(
            "file:///tmp/seedance-assets", type="string", description="Folder to read, such as s3://bucket/characters"
        )
    },
):
    group = SeedanceCreateAssetGroupOperator(task_id="group", name="from-storage")

    @task
    def files() -> list[dict[str, str]]:
        """Name each asset after its file."""
        folder = ObjectStoragePath(get_current_context()["params"]["folder"])
        return [
            {"name": path.stem[:51], "source": str(path)}
            for path in sorted(folder.iterdir(), key=str)
            if path.is_file()
        ]

    SeedanceCreateAssetOperator.partial(
        task_id="create",
        group_id=group.output,
        map_index_template="{{ task.name }}",
    ).expand_kwargs(files())
