from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator


def test_fixture_gives_a_running_emulator_and_the_default_connection(seedance_emulator: Emulator) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_SEEDANCE_DEFAULT"])
    assert connection == {
        "conn_type": "seedance",
        "host": seedance_emulator.url,
        "password": seedance_emulator.api_key,
    }
    headers = {"Authorization": f"Bearer {connection['password']}"}
    assert requests.get(f"{connection['host']}/v1/models", headers=headers, timeout=10).status_code == 200


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
