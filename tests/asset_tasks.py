"""Tasks that create groups and assets, and pictures to make them of."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from airflow_provider_seedance.operators.assets import SeedanceCreateAssetGroupOperator, SeedanceCreateAssetOperator
from tests.harness import Task

LINK = "https://example.com/hero.png"


def picture(width: int = 400, height: int = 400, colour: str = "red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(written, "png")
    return written.getvalue()


def uri(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def group_task(name: str = "my-project", *, run_id: str = "manual__1", **arguments: Any) -> Task:
    return Task(lambda: SeedanceCreateAssetGroupOperator(task_id="group", name=name, **arguments), run_id=run_id)


def asset_task(group_id: str, source: str = LINK, *, run_id: str = "manual__1", **arguments: Any) -> Task:
    given = {"task_id": "asset", "name": "hero", "poll_interval": 0.05, **arguments}
    return Task(lambda: SeedanceCreateAssetOperator(group_id=group_id, source=source, **given), run_id=run_id)
