"""Fixtures of the tests over HTTP: an emulator, and the connection to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits before a trigger's first look and between tries of a call; their number and kind stay."""
    monkeypatch.setattr("airflow_provider_seedance.api.polling.FIRST_POLL_DELAY", 0.05)
    monkeypatch.setattr("airflow_provider_seedance.hooks.base.READ_BACKOFF", 0.01)
    monkeypatch.setattr("airflow_provider_seedance.hooks.base.SUBMIT_BACKOFF", 0.01)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define the connection ``seedance_default`` with these fields."""

    def define(extra: Mapping[str, Any] | None = None, **fields: Any) -> None:
        connection = {"conn_type": "seedance", "password": "sk-emulator", **fields, "extra": extra or {}}
        monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", json.dumps(connection))

    return define


@pytest.fixture(scope="module")
def _shared_emulator() -> Iterator[Emulator]:
    with Emulator(speed=300) as emulator:
        yield emulator


@pytest.fixture
def emulator(_shared_emulator: Emulator, connect: Callable[..., None]) -> Emulator:
    """A module's emulator without memory of the tests before; ``seedance_default`` points to it. 0.3 s a generation."""
    _shared_emulator.reset()
    _shared_emulator.set_api_keys("sk-emulator")
    connect(host=_shared_emulator.url)
    return _shared_emulator
