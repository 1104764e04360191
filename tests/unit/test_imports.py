"""What importing the provider costs, on every Airflow that it supports."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import airflow_provider_seedance

MODULES = [
    module.name
    for module in pkgutil.walk_packages(airflow_provider_seedance.__path__, "airflow_provider_seedance.")
    if not module.name.endswith(".__main__")
]

#: What a Dag file imports, and what Airflow imports at its start.
DAG_MODULES = (
    "airflow_provider_seedance.get_provider_info",
    "airflow_provider_seedance.links",
    "airflow_provider_seedance.operators.video",
    "airflow_provider_seedance.operators.assets",
    "airflow_provider_seedance.sensors.generation",
    "airflow_provider_seedance.sensors.asset",
    "airflow_provider_seedance.triggers.generation",
    "airflow_provider_seedance.triggers.asset",
    "airflow_provider_seedance.transfers.seedance_to_object_storage",
)

HEAVY = {"requests", "aiohttp", "av", "PIL", "openlineage"}


def imported_by(*modules: str, after: str = "sys") -> dict[str, set[str]]:
    """Return what a new interpreter loads for each of these in turn, once it has imported ``after``."""
    script = (
        "import importlib, json, sys\n"
        f"importlib.import_module({after!r})\n"
        "loaded = {}\n"
        f"for name in {modules!r}:\n"
        "    before = set(sys.modules)\n"
        "    importlib.import_module(name)\n"
        "    loaded[name] = sorted(set(sys.modules) - before)\n"
        "print(json.dumps(loaded))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: set(found) for name, found in json.loads(done.stdout.splitlines()[-1]).items()}


def top_level(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("name", MODULES)
def test_module_imports(name: str) -> None:
    assert importlib.import_module(name).__name__ == name


@pytest.fixture(scope="module")
def loaded_for_a_dag() -> dict[str, set[str]]:
    """What each module loads beyond ``airflow.sdk`` and beyond those before it; last, one that must be heavy."""
    return imported_by(*DAG_MODULES, "airflow_provider_seedance.hooks.shared_client", after="airflow.sdk")


@pytest.mark.parametrize("module", DAG_MODULES)
def test_parsing_a_dag_loads_no_http_client_and_no_codec(loaded_for_a_dag: dict[str, set[str]], module: str) -> None:
    assert top_level(loaded_for_a_dag[module]).isdisjoint(HEAVY)


def test_the_check_above_would_see_an_http_client(loaded_for_a_dag: dict[str, set[str]]) -> None:
    assert "aiohttp" in top_level(loaded_for_a_dag["airflow_provider_seedance.hooks.shared_client"])


def test_provider_info_loads_the_standard_library_and_itself_only() -> None:
    name = "airflow_provider_seedance.get_provider_info"
    loaded = imported_by(name)[name]
    assert {found for found in loaded if found.partition(".")[0] not in sys.stdlib_module_names} == {
        "airflow_provider_seedance",
        name,
    }
