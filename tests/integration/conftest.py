"""Fixtures of the tests over HTTP: an emulator, and the connection to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from tests.result_service import MIB, ResultService, mp4, result_service
from tests.s3 import BUCKET, client, connection, emptied, s3_server


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
    """A module's emulator, reset for each test; ``seedance_default`` points to it. A generation takes 0.3 s."""
    _shared_emulator.reset()
    _shared_emulator.set_api_keys("sk-emulator")
    connect(host=_shared_emulator.url)
    return _shared_emulator


@pytest.fixture
def group_id(emulator: Emulator) -> str:
    """The id of a group of the key's."""
    return SeedanceHook().create_asset_group("my-project")


@pytest.fixture
def slow_emulator(connect: Callable[..., None]) -> Iterator[Emulator]:
    """An emulator whose generations take as long as the service's, so that a test decides when they finish."""
    with Emulator(speed=1) as emulator:
        connect(host=emulator.url)
        yield emulator


@pytest.fixture(scope="session")
def _s3_url() -> Iterator[str]:
    """One S3 for all tests: Airflow keeps a connection's storage for the lifetime of a process."""
    with s3_server() as url:
        yield url


@pytest.fixture
def s3(_s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 with one empty bucket, which ``aws_default`` connects to as well."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(_s3_url))
    made = client(_s3_url)
    made.create_bucket(Bucket=BUCKET)
    yield made
    emptied(made)
    made.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def service(connect: Callable[..., None]) -> Iterator[ResultService]:
    """A service whose one generation has the file that a test puts there; ``seedance_default`` points to it."""
    with result_service(mp4(3 * MIB)) as service:
        connect(host=service.url)
        yield service
