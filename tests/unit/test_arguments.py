"""Waits and switches: checked alike in every operator and sensor when it is made, before anything can be paid."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.operators.assets import SeedanceCreateAssetOperator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.asset import SeedanceAssetSensor
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor

video = partial(SeedanceGenerateVideoOperator, task_id="t", prompt="A cat")
asset = partial(SeedanceCreateAssetOperator, task_id="t", group_id="g", name="n", source="/data/a.png")
generation_sensor = partial(SeedanceGenerationSensor, task_id="t", generation="asyntask_1")
asset_sensor = partial(SeedanceAssetSensor, task_id="t", asset="asset-1")

WAITS: list[tuple[Callable[..., Any], str]] = [
    (video, "poll_interval"),
    (video, "timeout"),
    (asset, "poll_interval"),
    (asset, "timeout"),
    (generation_sensor, "poke_interval"),
    (generation_sensor, "timeout"),
    (asset_sensor, "poke_interval"),
    (asset_sensor, "timeout"),
]
SWITCHES: list[tuple[Callable[..., Any], str]] = [
    (video, "wait_for_completion"),
    (video, "deferrable"),
    (video, "durable"),
    (asset, "wait_until_active"),
    (asset, "deferrable"),
    (generation_sensor, "deferrable"),
    (asset_sensor, "deferrable"),
]


@pytest.mark.parametrize(("make", "name"), WAITS)
@pytest.mark.parametrize("value", ["300", math.inf, math.nan, None, 0, -1, True, 1e12, "soon"], ids=str)
def test_wait_that_is_no_positive_number_is_refused(make: Callable[..., Any], name: str, value: Any) -> None:
    with pytest.raises(SeedanceRequestError, match="not a number of seconds above 0") as refused:
        make(**{name: value})
    assert refused.value.field == name


@pytest.mark.parametrize(("make", "name"), WAITS)
@pytest.mark.parametrize("value", [7, 0.5])
def test_wait_is_a_number_of_seconds(make: Callable[..., Any], name: str, value: float) -> None:
    assert getattr(make(**{name: value}), name) == value


def test_sensor_takes_a_timedelta_as_airflows_own_do() -> None:
    assert generation_sensor(timeout=timedelta(minutes=2)).timeout == 120
    with pytest.raises(SeedanceRequestError, match="timeout is -1"):
        generation_sensor(timeout=timedelta(seconds=-1))


@pytest.mark.parametrize(("make", "name"), SWITCHES)
@pytest.mark.parametrize("value", ["False", "false", "true", "", 0, 1, None], ids=repr)
def test_switch_that_is_neither_true_nor_false_is_refused(make: Callable[..., Any], name: str, value: Any) -> None:
    with pytest.raises(SeedanceRequestError, match="neither True nor False") as refused:
        make(**{name: value})
    assert refused.value.field == name


@pytest.mark.parametrize(("make", "name"), SWITCHES)
@pytest.mark.parametrize("value", [False, True])
def test_switch_is_true_or_false(make: Callable[..., Any], name: str, value: bool) -> None:
    assert getattr(make(**{name: value}), name) is value


@pytest.mark.parametrize(
    ("make", "name"), [(generation_sensor, "generation"), (asset_sensor, "asset")], ids=["generation", "asset"]
)
@pytest.mark.parametrize("value", [None, "", "None", "null"], ids=repr)
def test_sensor_without_an_id_says_that_the_upstream_task_pushed_nothing(
    make: Callable[..., Any], name: str, value: Any
) -> None:
    with pytest.raises(SeedanceRequestError, match="the upstream task pushed nothing under that key") as refused:
        make(**{name: value})
    assert refused.value.field == name
