"""What importing the provider costs, on every Airflow that it supports."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

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
    return imported_by(*DAG_MODULES, "airflow_provider_seedance.hooks.async_client", after="airflow.sdk")


@pytest.mark.parametrize("module", DAG_MODULES)
def test_parsing_a_dag_loads_no_http_client_and_no_codec(loaded_for_a_dag: dict[str, set[str]], module: str) -> None:
    assert top_level(loaded_for_a_dag[module]).isdisjoint(HEAVY)


def test_the_check_above_would_see_an_http_client(loaded_for_a_dag: dict[str, set[str]]) -> None:
    assert "aiohttp" in top_level(loaded_for_a_dag["airflow_provider_seedance.hooks.async_client"])


def test_provider_info_loads_the_standard_library_and_itself_only() -> None:
    name = "airflow_provider_seedance.get_provider_info"
    loaded = imported_by(name)[name]
    assert {found for found in loaded if found.partition(".")[0] not in sys.stdlib_module_names} == {
        "airflow_provider_seedance",
        name,
    }


#: Parts of Airflow that a worker with the task SDK alone does not have.
NOT_FOR_WORKERS = {"airflow.models", "airflow.utils", "airflow.settings", "airflow.configuration"}


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, and the names it takes from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_nothing_needs_more_of_airflow_than_the_task_sdk() -> None:
    package = Path(airflow_provider_seedance.__path__[0])
    found = {(path.name, name) for path in package.rglob("*.py") for name in imports_of(path)}
    prefixes = tuple(f"{module}." for module in NOT_FOR_WORKERS)
    assert not {(file, name) for file, name in found if f"{name}.".startswith(prefixes)}
    assert {file for file, name in found if name.startswith("airflow.triggers.")} == {"base.py"}


def test_no_private_name_is_imported_from_another_module() -> None:
    package = Path(airflow_provider_seedance.__path__[0])
    found = {(path.name, name) for path in package.rglob("*.py") for name in imports_of(path)}
    ours = {(file, name) for file, name in found if name.startswith("airflow_provider_seedance.")}
    assert not {(file, name) for file, name in ours if name.rpartition(".")[2].startswith("_") and "__" not in name}
