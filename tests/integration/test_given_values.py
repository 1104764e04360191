"""What was given must arrive: a value that renders to nothing is refused before anything is paid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.operators.video import CONTENT_FIELDS, SeedanceGenerateVideoOperator
from tests.harness import Task

LITERALS: dict[str, Any] = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 0.1}


def rendered(context: dict[str, Any], **arguments: Any) -> SeedanceGenerateVideoOperator:
    """Make an operator and render it as Airflow does, templates giving what they name and not text."""
    with DAG("given", render_template_as_native_obj=True):
        operator = SeedanceGenerateVideoOperator(task_id="generate", **{**LITERALS, **arguments})
    operator.render_template_fields(context)  # type: ignore[arg-type]
    return operator


@pytest.mark.parametrize("field", CONTENT_FIELDS)
def test_field_that_renders_to_none_is_named(field: str) -> None:
    assert rendered({"x": None}, **{field: "{{ x }}"}).rendered_to_none == (field,)


def test_field_that_was_left_out_or_given_as_none_is_not() -> None:
    assert rendered({"x": "a dog"}, prompt="{{ x }}", first_frame=None).rendered_to_none == ()


class Upstream:
    """What another task pushes, as Airflow resolves it when it renders."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def resolve(self, context: Any) -> Any:
        return self.value


def mapped(**arguments: Any) -> Any:
    """Make the operator of a mapped task's first instance, as Airflow does once it has resolved its arguments."""
    with DAG("given"):
        task = SeedanceGenerateVideoOperator.partial(task_id="generate", **LITERALS).expand(
            **{name: [value] for name, value in arguments.items()}
        )
    operator = task.unmap(arguments)
    operator.render_template_fields({})
    return operator


@pytest.mark.parametrize("make", [mapped, partial(rendered, {})])
@pytest.mark.parametrize(
    ("given", "posts"), [({"first_frame": None}, 0), ({"seed": None}, 0), ({"seed": 7}, 1)], ids=str
)
def test_upstream_that_gave_nothing_costs_nothing(
    emulator: Emulator, make: Callable[..., Any], given: dict[str, Any], posts: int
) -> None:
    arguments = given if make is mapped else {name: Upstream(value) for name, value in given.items()}
    task = Task(lambda: make(**arguments))
    if posts:
        task.run()
    else:
        with pytest.raises(SeedanceRequestError, match="given, and rendered to None") as caught:
            task.run()
        assert caught.value.field == next(iter(given))
    assert emulator.stats()["posts"] == posts
