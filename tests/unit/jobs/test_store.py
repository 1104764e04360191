"""The submission record in a task state store that fails, is missing, or belongs to somebody else."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_seedance.api.submission import ASSET, SubmissionRecord, Tries
from airflow_provider_seedance.exceptions import SeedanceServiceError
from airflow_provider_seedance.jobs.store import RECORD_ATTEMPTS, SubmissionStore
from tests.clock import VirtualClock

RECORD = SubmissionRecord("f00d", 1_000_000.0, "submitted", 1, "asyntask_1", max_tries=2)


class Airflow:
    """
    A task state store and a task instance, of which the first writes fail.

    :param failing: Number of writes that fail.
    :param states: What Airflow says of the run's task instances.
    """

    def __init__(self, failing: int = 0, states: Mapping[str, Any] | None = None) -> None:
        self.failing = failing
        self.states = states or {}
        self.values: dict[str, Any] = {}
        self.asked: dict[str, Any] = {}
        self.dag_id, self.task_id, self.map_index, self.run_id = "videos", "generate", -1, "manual__1"

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self._fail()
        self.values[key] = value

    def delete(self, key: str) -> None:
        self._fail()
        self.values.pop(key, None)

    def _fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise RuntimeError("API_SERVER_ERROR")

    def get_task_states(self, **which: Any) -> Mapping[str, Any]:
        self.asked = which
        return self.states


def store_in(airflow: Airflow | None, **arguments: Any) -> tuple[SubmissionStore, VirtualClock]:
    clock = VirtualClock()
    context: Any = SimpleNamespace(get={"task_state_store": airflow}.get)
    return SubmissionStore(context, clock=clock, **arguments), clock


def test_record_is_read_as_it_was_written() -> None:
    airflow = Airflow()
    store, _ = store_in(airflow)
    assert store.get() is None
    store.put(RECORD)
    assert list(airflow.values) == ["seedance_generation"]
    assert store.get() == RECORD
    store.clear()
    assert airflow.values == {}


def test_assets_record_has_a_key_of_its_own() -> None:
    airflow = Airflow()
    store, _ = store_in(airflow, kind=ASSET)
    record = SubmissionRecord("f00d", 1_000_000.0, "submitted", 1, "asset-1", known=("a", "b"))
    store.put(record)
    assert list(airflow.values) == ["seedance_asset"]
    assert store.get() == record


def test_record_from_the_future_is_not_believed() -> None:
    store, clock = store_in(Airflow())
    store.put(dataclasses.replace(RECORD, submitted_at=clock.time + 86_400))
    with pytest.raises(SeedanceServiceError):
        store.get()


@pytest.mark.parametrize("arguments", [{"airflow": None}, {"airflow": Airflow(failing=9), "durable": False}])
def test_nothing_is_kept_without_a_store_or_where_it_is_not_wanted(
    arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store, _ = store_in(**arguments)
    store.put(RECORD)
    store.put_with_retries(RECORD)
    store.put_or_warn(None)
    store.clear()
    assert store.get() is None
    assert ("no task state store" in caplog.text) is (arguments.get("durable", True))


def test_id_is_written_with_patience_that_grows_and_ends() -> None:
    airflow = Airflow(failing=6)
    store, clock = store_in(airflow)
    store.put_with_retries(RECORD)
    assert store.get() == RECORD
    assert clock.pauses == [1, 2, 4, 8, 15, 15]

    airflow.failing = 10**6
    with pytest.raises(RuntimeError, match="API_SERVER_ERROR"):
        store.put_with_retries(RECORD)
    assert 10**6 - airflow.failing == RECORD_ATTEMPTS


def test_each_failed_write_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    store, _ = store_in(Airflow(failing=2))
    with caplog.at_level(logging.WARNING):
        store.put_with_retries(RECORD)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_intent_is_undone_with_patience_and_a_failure_is_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    airflow = Airflow()
    store, clock = store_in(airflow)
    store.put(RECORD.with_phase("intent"))
    airflow.failing = 2
    store.put_or_warn(RECORD)
    assert store.get() == RECORD
    airflow.failing = 2
    store.put_or_warn(None)
    assert store.get() is None
    assert clock.pauses == [1, 2, 1, 2]

    airflow.failing = 10**6
    store.put_or_warn(None)
    assert "RuntimeError" in caplog.records[-1].getMessage()


SUCCESS = {"manual__1": {"generate": "success"}}


@pytest.mark.parametrize(
    ("states", "created_id", "phase"),
    [
        (SUCCESS, "asyntask_1", "delivered"),
        (SUCCESS, "asyntask_2", "submitted"),
        ({"manual__1": {"generate": "running"}}, "asyntask_1", "submitted"),
        ({"manual__2": {"generate": "success"}}, "asyntask_1", "submitted"),
        ({}, "asyntask_1", "submitted"),
    ],
)
def test_delivery_is_recorded_once_airflow_has_the_success(
    states: Mapping[str, Any], created_id: str, phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    airflow = Airflow(states=states)
    store, _ = store_in(airflow)
    store.put(RECORD)
    store.mark_delivered(created_id, Tries(4, 5), airflow)
    kept = store.get()
    assert kept is not None
    assert (kept.phase, kept.created_id) == (phase, "asyntask_1")
    assert (kept.first_try, kept.max_tries) == ((4, 5) if phase == "delivered" else (1, 2))
    assert caplog.text == ""
    assert airflow.asked == {"dag_id": "videos", "map_index": -1, "task_ids": ["generate"], "run_ids": ["manual__1"]}


def test_delivery_that_cannot_be_recorded_is_a_warning_that_names_it(caplog: pytest.LogCaptureFixture) -> None:
    airflow = Airflow(states=SUCCESS)
    store, _ = store_in(airflow)
    store.put(RECORD)
    airflow.failing = 1
    store.mark_delivered("asyntask_1", Tries(1, 2), airflow)
    assert "generation asyntask_1" in caplog.text
    assert "RuntimeError" in caplog.text


def test_delivery_without_a_record_or_a_store_is_nothing(caplog: pytest.LogCaptureFixture) -> None:
    airflow = Airflow(states=SUCCESS)
    store_in(airflow)[0].mark_delivered("asyntask_1", Tries(1, 2), airflow)
    store_in(None)[0].mark_delivered("asyntask_1", Tries(1, 2), airflow)
    assert airflow.values == {}
    assert "could not be recorded" not in caplog.text
