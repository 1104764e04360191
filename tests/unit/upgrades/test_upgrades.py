"""
What an older release left in Airflow's database must load in every later one.

The files in ``data`` are what release 0.1.0 stores. They are never edited: a change that breaks them breaks a rolling
upgrade, in which triggers, events and records of both releases are alive at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from airflow_provider_seedance.api.outcomes import from_event
from airflow_provider_seedance.api.submission import ASSET, SubmissionRecord
from airflow_provider_seedance.exceptions import SeedanceEventError

DATA = Path(__file__).parent / "data"


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


@pytest.mark.parametrize("name", ["generation_trigger_1.json", "asset_trigger_1.json"])
def test_stored_trigger_loads_and_means_the_same(name: str) -> None:
    stored = load(name)
    trigger = resolve_name(stored["classpath"])(**stored["kwargs"])
    path, kwargs = trigger.serialize()
    assert path == stored["classpath"]
    assert {name: kwargs[name] for name in stored["kwargs"]} == stored["kwargs"]


@pytest.mark.parametrize("event", load("generation_events_1.json"), ids=lambda event: event["outcome"])
def test_stored_event_is_understood(event: dict[str, Any]) -> None:
    generation_id, decision = from_event(event)
    assert generation_id == event["generation_id"]
    assert (decision.outcome, decision.reason, decision.message) == (
        event["outcome"],
        event["reason"],
        event["message"],
    )


@pytest.mark.parametrize("event", load("asset_events_1.json"), ids=lambda event: event["outcome"])
def test_stored_event_of_an_asset_is_understood(event: dict[str, Any]) -> None:
    asset_id, decision = from_event(event, key="asset_id")
    assert (asset_id, decision.outcome) == (event["asset_id"], event["outcome"])


def test_stored_record_of_a_creation_is_understood() -> None:
    record = SubmissionRecord.from_dict(load("asset_record_1.json"), ASSET)
    assert (record.fingerprint, record.first_try, record.phase) == ("5e1f", 1, "submitted")
    assert (record.created_id, record.known) == ("asset-1", ("asset-0",))


def test_stored_intent_of_a_creation_is_understood() -> None:
    record = SubmissionRecord.from_dict({**load("asset_record_1.json"), "id": None}, ASSET)
    assert (record.phase, record.created_id, record.known) == ("intent", None, ("asset-0",))


@pytest.mark.parametrize("record", load("submission_records_1.json"), ids=lambda record: record["phase"])
def test_stored_record_is_understood(record: dict[str, Any]) -> None:
    assert SubmissionRecord.from_dict(record).to_dict() == record


def test_event_of_a_later_release_is_refused_with_the_remedy() -> None:
    with pytest.raises(SeedanceEventError, match="same version of airflow-provider-seedance"):
        from_event({"version": 2, "generation_id": "asyntask_1", "outcome": "succeeded"})
