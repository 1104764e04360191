"""
One Dag makes the video of the day; another runs whenever there is a new one.

They share an Airflow Asset and nothing else. Its URI is fixed when the Dag is parsed; the Asset's event says which
video it was this time: `path`, `sha256`, `generation_id`, `duration` and more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, Asset, ObjectStoragePath, Param, get_current_context, task

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

TARGET = "file:///tmp/seedance"
VIDEO_OF_THE_DAY = Asset(name="seedance_video_of_the_day", uri=f"{TARGET}/video_of_the_day")

with DAG(
    dag_id="seedance_asset_producer",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("The sun rises over a sleeping town", type="string"),
        "target": Param(TARGET, type="string", description="Folder to save to"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        resolution="480p",
        duration=4,
    )

    SeedanceToObjectStorageOperator(
        task_id="save",
        generation=generate.output,
        path="{{ params.target }}/{{ run_id }}/{generation_id}.mp4",
        outlets=[VIDEO_OF_THE_DAY],
    )

with DAG(
    dag_id="seedance_asset_consumer",
    schedule=[VIDEO_OF_THE_DAY],
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
):

    @task
    def take() -> list[dict[str, Any]]:
        """
        Return the videos that triggered this run, checked.

        There are several if they came faster than runs, and none if the run was triggered by hand.
        """
        events = get_current_context()["triggering_asset_events"].get(VIDEO_OF_THE_DAY, ())
        taken = []
        for event in events:
            path = ObjectStoragePath(event.extra["path"])
            if path.stat().st_size != event.extra["size"]:
                raise ValueError(f"{path} is no longer the video of generation {event.extra['generation_id']}.")
            taken.append({name: event.extra[name] for name in ("generation_id", "path", "duration", "sha256")})
        return taken

    @task
    def publish(video: dict[str, Any]) -> str:
        """Replace this with what you do with a video: post it, cut it, show it to someone."""
        return f"{video['path']}: {video['duration']} s, SHA-256 {video['sha256']}"

    publish.expand(video=take())
