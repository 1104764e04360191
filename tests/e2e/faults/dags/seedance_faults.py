"""
Dags for the fault campaign: one video, generated and saved, by a worker that pauses at a chosen point.

The provider's own code runs unchanged. Around it, the operator pauses, once, at the point that the run's param
``stand_still_at`` names: it creates a file of that name in the run's folder, and continues when the test removes it.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from airflow.sdk import DAG, Param

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator


class StandStill:
    """
    The one point of a run at which its worker pauses.

    :param params: The run's params.
    """

    def __init__(self, params: Any) -> None:
        self._point, self._folder = params["stand_still_at"], Path(params["folder"])

    def at(self, point: str) -> None:
        """Pause if this is the point and no worker was here before."""
        if point != self._point:
            return
        try:
            (self._folder / "was here").touch(exist_ok=False)
        except FileExistsError:
            return
        marker = self._folder / point
        marker.touch()
        while marker.exists():
            time.sleep(0.1)


class WatchedStore:
    """The task's state store, with a point before and after each write of a phase."""

    def __init__(self, store: Any, stand_still: StandStill) -> None:
        self._store = store
        self._stand_still = stand_still

    def get(self, key: str, default: Any = None) -> Any:
        return self._store.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._stand_still.at(f"before {value['phase']}")
        self._store.set(key, value)
        self._stand_still.at(f"after {value['phase']}")

    def delete(self, key: str) -> None:
        self._store.delete(key)


class StoppableGenerateVideoOperator(SeedanceGenerateVideoOperator):
    """The operator, with points before and after its methods and its writes."""

    def execute(self, context: Any) -> Any:
        stand_still = self._watch(context)
        result = super().execute(context)
        stand_still.at("before return")
        return result

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        stand_still = self._watch(context)
        stand_still.at("execute_complete")
        result = super().execute_complete(context, event)
        stand_still.at("before return")
        return result

    def _defer(self, poller: Any) -> NoReturn:
        self._stand_still.at("before deferral")
        super()._defer(poller)

    def _watch(self, context: Any) -> StandStill:
        self._stand_still = StandStill(context["params"])
        context["task_state_store"] = WatchedStore(context["task_state_store"], self._stand_still)
        return self._stand_still


for dag_id, deferrable in (("seedance_faults_deferring", True), ("seedance_faults_waiting", False)):
    with DAG(
        dag_id,
        schedule=None,
        max_active_runs=200,
        max_active_tasks=200,
        params={
            "prompt": Param("", type="string"),
            "connection": Param("seedance_default", type="string"),
            "folder": Param("", type="string"),
            "stand_still_at": Param("", type="string"),
        },
        # enough tries for a service that is broken for a minute
        default_args={"retries": 25, "retry_delay": timedelta(seconds=2)},
    ):
        generate = StoppableGenerateVideoOperator(
            task_id="generate",
            prompt="{{ params.prompt }}",
            resolution="480p",
            duration=4,
            deferrable=deferrable,
            poll_interval=2,
            seedance_conn_id="{{ params.connection }}",
        )
        SeedanceToObjectStorageOperator(
            task_id="save",
            generation=generate.output,
            path="{{ params.folder }}/",
            seedance_conn_id="{{ params.connection }}",
        )
