"""What was given must arrive: a value that renders to nothing is refused before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.operators.video import CONTENT_FIELDS, SeedanceGenerateVideoOperator
from tests.clock import QuickClock
from tests.harness import Task
from tests.integration.dags import load

LITERALS: dict[str, Any] = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 0.1}


def rendered(context: dict[str, Any], **arguments: Any) -> SeedanceGenerateVideoOperator:
    """Make an operator and render it as Airflow does, templates giving what they name and not text."""
    with DAG("given", render_template_as_native_obj=True):
        operator = SeedanceGenerateVideoOperator(task_id="generate", **{**LITERALS, **arguments})
    operator.render_template_fields(context)  # type: ignore[arg-type]
    return operator


@pytest.mark.parametrize("field", CONTENT_FIELDS)
@pytest.mark.parametrize("value", [None, "", " ", "None", "null", [], {}, "[]"], ids=repr)
def test_field_that_renders_to_nothing_is_named(field: str, value: Any) -> None:
    assert rendered({"x": value}, **{field: "{{ x }}"}).rendered_to_nothing == (field,)


def test_field_that_was_left_out_or_given_as_nothing_is_not() -> None:
    operator = rendered({"x": "a dog"}, prompt="{{ x }}", first_frame=None, reference_images=[], extra_body={})
    assert operator.rendered_to_nothing == ()


@pytest.mark.parametrize("value", [False, 0, "0", -1], ids=repr)
def test_false_and_zero_are_something(value: Any) -> None:
    assert rendered({"x": value}, seed="{{ x }}", generate_audio="{{ x }}").rendered_to_nothing == ()


class Upstream:
    """What another task pushes, as Airflow resolves it when it renders."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def resolve(self, context: Any) -> Any:
        return self.value


def mapped(partial: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """Make and render the operator of a mapped task's first instance as Airflow does."""
    with DAG("given") as dag:
        task = SeedanceGenerateVideoOperator.partial(task_id="generate", **LITERALS, **(partial or {})).expand(
            **{name: [value] for name, value in arguments.items()}
        )
    context: dict[str, Any] = {"ti": SimpleNamespace(map_index=0), "dag": dag, "dag_run": SimpleNamespace(conf={})}
    task.render_template_fields(context)  # type: ignore[arg-type]
    return context["task"]


@pytest.mark.parametrize("make", [mapped, partial(rendered, {})])
@pytest.mark.parametrize(
    ("given", "posts"),
    [
        ({"first_frame": None}, 0),
        ({"seed": None}, 0),
        ({"seed": "None"}, 0),
        ({"model": ""}, 0),
        ({"reference_images": []}, 0),
        ({"seed": 7}, 1),
    ],
    ids=str,
)
def test_upstream_that_gave_nothing_costs_nothing(
    emulator: Emulator, make: Callable[..., Any], given: dict[str, Any], posts: int
) -> None:
    arguments = given if make is mapped else {name: Upstream(value) for name, value in given.items()}
    task = Task(lambda: make(**arguments))
    if posts:
        task.run()
    else:
        with pytest.raises(SeedanceRequestError, match=r"rendered to|is '', which|is 'None', not") as caught:
            task.run()
        assert caught.value.field == next(iter(given))
    assert emulator.stats()["posts"] == posts


def test_none_in_the_constant_part_of_a_mapped_task_counts_as_not_given() -> None:
    constant: dict[str, Any] = {"seed": None, "reference_images": []}
    assert mapped(partial=constant, ratio="1:1").rendered_to_nothing == ()
    assert mapped(partial=constant, first_frame=None).rendered_to_nothing == ("first_frame",)
    assert mapped(partial={"seed": Upstream(None)}, ratio="1:1").rendered_to_nothing == ("seed",)


DAG_FILE = """
from airflow.sdk import DAG, task
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator as Video

literals = {"resolution": "480p", "duration": 4, "poll_interval": 0.1}

with DAG("given_in_airflow", schedule=None) as dag:
    one = Video(task_id="one", prompt="a cat", **literals)  # without return_last_frame

    @task
    def rows():
        return [{"prompt": None}]

    Video(task_id="frame", prompt="a cat", first_frame=one.output["last_frame_url"], **literals)
    Video(task_id="mistyped", prompt="a cat", first_frame=one.output["vidoe_url"], **literals)
    Video(task_id="listed", prompt="a cat", reference_images=[one.output["last_frame_url"]], **literals)
    Video(task_id="template", prompt="{{ ti.xcom_pull(task_ids='one', key='promt') }}", **literals) << one
    Video.partial(task_id="row", seed=None, **literals).expand_kwargs(rows())
    Video.partial(task_id="good", seed=None, **literals).expand(prompt=["a dog"])
"""


def test_upstream_that_pushed_nothing_costs_no_second_video(
    emulator: Emulator, airflow_db: None, quick_clock: QuickClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "given.py"
    path.write_text(DAG_FILE)
    bundle = {
        "name": "given",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(tmp_path)},
    }
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    run = load(path)["given_in_airflow"].test()
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    assert {name for name, state in states.items() if state == "success"} == {"one", "rows", "good"}
    assert {name for name, state in states.items() if state == "failed"} == {
        "frame",
        "mistyped",
        "listed",
        "template",
        "row",
    }
    assert emulator.stats()["posts"] == 2
