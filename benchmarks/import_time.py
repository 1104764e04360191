"""
Measure what parsing a Dag file costs beyond ``airflow.sdk``: importing this provider's operators, and its peers'.

    python -m benchmarks.import_time

Every measurement has a fresh interpreter, in which DAG, task and BaseOperator are imported first, as any Dag file does.
It needs the dependency group ``bench``. It exits 0 whatever it measures: timing is not a test.
"""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TypedDict

#: Targets: what the provider may add, in ms, and the modules that it may not load.
WANTED_MS = 30.0
HEAVY = ("requests", "aiohttp", "httpx", "av", "PIL")

#: Packages whose modules a Dag file imports.
OURS = ("operators", "sensors", "transfers", "triggers")
PEERS = {
    "dbt-cloud": ["airflow.providers.dbt.cloud.operators.dbt"],
    "http": ["airflow.providers.http.operators.http"],
}

_PROBE = """
import importlib, json, sys, time
from airflow.sdk import DAG, BaseOperator, task
before, wall, cpu = set(sys.modules), time.perf_counter(), time.process_time()
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
new = set(sys.modules) - before
heavy = sorted(new & set(json.loads(sys.argv[2])))
print(json.dumps({"wall_ms": wall * 1000, "cpu_ms": cpu * 1000, "modules": len(new), "heavy": heavy}))
"""


class Cost(TypedDict):
    """What an import cost: times in ms, modules loaded, and which of ``HEAVY`` were among them."""

    wall_ms: float
    cpu_ms: float
    modules: float
    heavy: list[str]


def our_modules() -> list[str]:
    """Return the modules of this provider that Airflow or a Dag file imports."""
    modules = ["airflow_provider_seedance.get_provider_info"]
    for package in OURS:
        spec = find_spec(f"airflow_provider_seedance.{package}")
        assert spec is not None
        found = pkgutil.iter_modules(spec.submodule_search_locations, f"airflow_provider_seedance.{package}.")
        modules += [module.name for module in found]
    return modules


def probe(modules: Sequence[str], home: str) -> Cost:
    """Import in a fresh interpreter and return what that took. Byte code is kept in ``home``, as an installer would."""
    command = [sys.executable, "-c", _PROBE, json.dumps(modules), json.dumps(HEAVY)]
    env = os.environ | {"AIRFLOW_HOME": home, "PYTHONPYCACHEPREFIX": home}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    measured: Cost = json.loads(done.stdout.splitlines()[-1])
    return measured


def median(costs: list[Cost]) -> Cost:
    """Return the medians of several measurements."""
    return Cost(
        wall_ms=statistics.median(cost["wall_ms"] for cost in costs),
        cpu_ms=statistics.median(cost["cpu_ms"] for cost in costs),
        modules=statistics.median(cost["modules"] for cost in costs),
        heavy=costs[0]["heavy"],
    )


def main() -> None:
    """Measure in turn, and print medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0].strip())
    parser.add_argument("--repeat", type=int, default=7, help="fresh interpreters for each; medians are printed (7)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    subjects = {"ours": our_modules(), **PEERS}
    runs: dict[str, list[Cost]] = {name: [] for name in subjects}
    with tempfile.TemporaryDirectory(prefix="import-time-") as home:
        for modules in subjects.values():
            probe(modules, home)  # compiles
        for _ in range(args.repeat):
            for name, modules in subjects.items():
                runs[name].append(probe(modules, home))
    medians = {name: median(costs) for name, costs in runs.items()}
    met = medians["ours"]["wall_ms"] < WANTED_MS and not medians["ours"]["heavy"]
    if args.json:
        print(json.dumps({"medians": medians, "met": met}, indent=2))
        return
    print(f"On top of airflow.sdk, medians of {args.repeat}; load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':>10}  {'ms':>6}  {'CPU ms':>6}  {'new modules':>11}  of {', '.join(HEAVY)}")
    for name, cost in medians.items():
        numbers = f"{cost['wall_ms']:6.1f}  {cost['cpu_ms']:6.1f}  {cost['modules']:11.0f}"
        print(f"{name:>10}  {numbers}  {', '.join(cost['heavy']) or 'none'}")
    print(f"\n{'PASS' if met else 'FAIL'}  under {WANTED_MS:g} ms, and none of these modules")
    if not met:
        imports = f"from airflow.sdk import DAG, BaseOperator, task; import {', '.join(subjects['ours'])}"
        print(f"What contributes: {sys.executable} -X importtime -c '{imports}'")


if __name__ == "__main__":
    main()
