"""
A TaskFlow task reads a video straight from the service, without saving it first.

`ObjectStoragePath(video["video_path"])` opens it like a local file: it streams, supports seeking, and continues with a
new link if one expires. Here the task writes a catalog entry with the video's checksum.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator

with DAG(
    dag_id="seedance_taskflow",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    params={
        "prompt": Param("Macro shot of vivid flower petals on a tree, gradually zooming in", type="string"),
        "target": Param("file:///tmp/seedance", type="string", description="Folder of the catalog"),
    },
):
    generate = SeedanceGenerateVideoOperator(
        task_id="generate",
        prompt="{{ params.prompt }}",
        resolution="480p",
        duration=4,
    )

    @task
    def catalogue(video: dict[str, Any], folder: str) -> str:
        """Write a catalog entry with the video's facts and the SHA-256 of its bytes."""
        with ObjectStoragePath(video["video_path"]).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        known = ("generation_id", "video_path", "model", "resolution", "ratio", "duration", "prompt_fingerprint")
        # Airflow 3.0 omits what the service did not report
        entry = {name: video.get(name) for name in known} | {"sha256": digest, "size": size}
        place = ObjectStoragePath(folder) / f"{video['generation_id']}.json"
        if place.protocol == "file":  # object stores have no folders
            place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w") as file:
            json.dump(entry, file, indent=2)
        return str(place)

    catalogue(generate.output, "{{ params.target }}")
