"""The tasks that are explored: each operator that pays, in the ways that it can wait."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedance.operators.assets import SeedanceCreateAssetGroupOperator, SeedanceCreateAssetOperator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from tests.exploration.world import Scenario

#: Seconds. A trigger's first poll comes after exactly this, so that jitter does not change the number of polls.
POLL_INTERVAL = 5.0
WAYS: dict[str, dict[str, Any]] = {
    "deferred": {"deferrable": True},
    "in the worker": {"deferrable": False},
    "not waiting": {"wait_for_completion": False},
}


def _video(
    name: str,
    *,
    retries: int = 2,
    on_ambiguous_submission: Any = "fail",
    renders_anew: bool = False,
    **way: Any,
) -> Scenario:
    def make(request: str) -> BaseOperator:
        return SeedanceGenerateVideoOperator(
            task_id="generate",
            prompt=request,
            retries=retries,
            poll_interval=POLL_INTERVAL,
            timeout=600.0,
            on_ambiguous_submission=on_ambiguous_submission,
            **way,
        )

    return Scenario(f"video {name}", make, retries, on_ambiguous_submission == "resubmit", renders_anew)


def _group(if_exists: Any) -> Scenario:
    def make(request: str) -> BaseOperator:
        return SeedanceCreateAssetGroupOperator(task_id="generate", name=request, if_exists=if_exists, retries=2)

    return Scenario(f"group {if_exists}", make)


def _asset(name: str, **way: Any) -> Scenario:
    def make(request: str) -> BaseOperator:
        return SeedanceCreateAssetOperator(
            task_id="generate",
            group_id="group-1",
            name="hero",
            source=f"https://example.com/{len(request)}.png",
            retries=2,
            timeout=600.0,
            poll_interval=POLL_INTERVAL,
            **way,
        )

    return Scenario(f"asset {name}", make)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        *(_video(name, **way) for name, way in WAYS.items()),
        *(
            _video(f"{name}, resubmit", retries=1, on_ambiguous_submission="resubmit", **way)
            for name, way in WAYS.items()
        ),
        _video("deferred, no retries", retries=0, **WAYS["deferred"]),
        _video("not waiting, rendered anew", renders_anew=True, **WAYS["not waiting"]),
        _group("reuse"),
        _group("create"),
        _asset("deferred", deferrable=True),
        _asset("in the worker", deferrable=False),
        _asset("not waiting", wait_until_active=False),
    )
}
