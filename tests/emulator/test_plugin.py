from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.hooks.seedance import SeedanceHook


def test_fixture_gives_a_running_emulator_and_the_default_connection(seedance_emulator: Emulator) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_SEEDANCE_DEFAULT"])
    assert connection == {
        "conn_type": "seedance",
        "host": seedance_emulator.url,
        "password": seedance_emulator.api_key,
    }
    headers = {"Authorization": f"Bearer {connection['password']}"}
    assert requests.get(f"{connection['host']}/v1/models", headers=headers, timeout=10).status_code == 200


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is nowhere, for all that has no exception."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "intranet.example")
    monkeypatch.delenv("NO_PROXY", raising=False)


@pytest.mark.usefixtures("proxy", "seedance_emulator")
async def test_fixture_works_with_a_proxy_in_the_environment() -> None:
    generation_id = SeedanceHook().create_generation(
        {"model": "seedance-2.0", "content": [{"type": "text", "text": "x"}]}
    )
    async with SeedanceHook().shared_client() as client:
        assert (await client.get_generation(generation_id)).generation_id == generation_id
    assert os.environ["no_proxy"].startswith("intranet.example,")


@pytest.mark.parametrize("seedance_emulator", [{"api_keys": ["sk-other"]}], indirect=True)
def test_fixture_takes_settings_by_indirect_parametrization(seedance_emulator: Emulator) -> None:
    assert seedance_emulator.api_key == "sk-other"


@pytest.mark.parametrize(
    "module", ["airflow_provider_seedance.emulator", "airflow_provider_seedance.emulator.pytest_plugin"]
)
def test_import_loads_nothing_heavy(module: str) -> None:
    script = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        f"import {module}\n"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['airflow_provider_seedance']"
