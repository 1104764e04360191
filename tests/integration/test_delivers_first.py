"""A video that was paid for is delivered, whatever its request renders to by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskDeferred
from jinja2 import UndefinedError
from PIL import Image

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from tests.harness import Task


class Raising:
    """What another task pushed, where it cannot be fetched any more."""

    def resolve(self, context: Any) -> Any:
        raise ConnectionError("the XCom backend is away")


#: What the fields are by the time the video is there.
BY_NOW: dict[str, dict[str, Any]] = {
    "prompt renders to None": {"prompt": "{{ none }}"},
    "template raises": {"prompt": "{{ nothing.of.this }}"},
    "XCom raises": {"prompt": Raising(), "first_frame": Raising()},
    "prompt of another type": {"prompt": "{{ [1, {2: 3}] }}"},
    "other prompt": {"prompt": "a dog"},
    "content of another type": {"content": "{{ 5 }}", "prompt": None},
    "extra_body of another type": {"extra_body": "{{ 'x' }}"},
    "another model": {"model": "{{ 7 }}"},
    "mode that is none": {"last_frame": "https://files.example/a.png"},
}


def task_that_becomes(changes: dict[str, Any], first_frame: Path) -> Task:
    """Make a task whose first try has good values, and whose later processes have these."""
    Image.new("RGB", (320, 320)).save(first_frame)
    made: list[int] = []

    def make() -> SeedanceGenerateVideoOperator:
        given: dict[str, Any] = {
            "prompt": "a cat",
            "resolution": "480p",
            "duration": 4,
            "first_frame": str(first_frame),
        }
        given["first_frame"] = str(first_frame)
        if made:
            first_frame.unlink(missing_ok=True)
            given.update(changes)
        made.append(1)
        with DAG("given", render_template_as_native_obj=True):
            operator = SeedanceGenerateVideoOperator(task_id="generate", **given)
        context: Any = {"none": None}
        operator.render_template_fields(context)
        return operator

    return Task(make)


@pytest.mark.parametrize("changes", BY_NOW.values(), ids=BY_NOW)
def test_finished_video_is_delivered(emulator: Emulator, tmp_path: Path, changes: dict[str, Any]) -> None:
    task = task_that_becomes(changes, tmp_path / "a.png")
    result = task.run()
    assert len(task.deferrals) == 1
    assert result["generation_id"] == emulator.generations()[0]["id"]
    assert result["video_url"]


@pytest.mark.parametrize("changes", BY_NOW.values(), ids=BY_NOW)
def test_retry_goes_on_with_what_was_paid_for(slow_emulator: Emulator, tmp_path: Path, changes: dict[str, Any]) -> None:
    task = task_that_becomes(changes, tmp_path / "a.png")
    operator, context = task.start()
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    task.try_number += 1
    slow_emulator.finish()
    assert task.run()["generation_id"] == slow_emulator.generations()[0]["id"]
    assert slow_emulator.stats()["posts"] == 1


def test_nothing_is_paid_for_what_cannot_be_rendered(emulator: Emulator) -> None:
    with DAG("given"):
        operator = SeedanceGenerateVideoOperator(task_id="generate", prompt="{{ nothing.of.this }}")
    operator.render_template_fields({})
    _, context = Task(lambda: operator).start()
    with pytest.raises(UndefinedError):
        operator.execute(context)
    assert emulator.stats()["posts"] == 0


def test_connection_that_cannot_be_rendered_fails_at_once() -> None:
    with DAG("given"):
        operator = SeedanceGenerateVideoOperator(task_id="t", prompt="x", seedance_conn_id="{{ nothing.of.this }}")
    with pytest.raises(UndefinedError):
        operator.render_template_fields({})
