"""The distribution: what is built, and that it works in an environment with nothing else of the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_seedance import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
CONSTRAINTS = CHECKOUT / "constraints" / "airflow-3.3.2.txt"
NAME = "airflow-provider-seedance"

RUN_A_DAG = """
import json, os, sys
from pathlib import Path

import airflow_provider_seedance
from airflow_provider_seedance.emulator import Emulator

with Emulator(speed=300) as emulator:
    os.environ["AIRFLOW_CONN_SEEDANCE_DEFAULT"] = emulator.connection_json()
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    bag = DagBag(sys.argv[1])
    run = bag.dags["seedance_text_to_video"].test(run_conf={"target": f"file://{sys.argv[2]}"})
    report = {
        "state": str(run.state),
        "errors": bag.import_errors,
        "posts": emulator.stats()["posts"],
        "package": airflow_provider_seedance.__file__,
    }
    Path(sys.argv[2], "report.json").write_text(json.dumps(report))
"""


def uv(*arguments: str | Path) -> None:
    """Run the uv that ``make`` installs, else the one on PATH."""
    own = CHECKOUT / ".uv" / "bin" / "uv"
    program = str(own) if own.exists() else shutil.which("uv")
    assert program, "uv is missing: run the end-to-end tests with 'make e2e', which installs it"
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([program, *map(str, arguments)], cwd=CHECKOUT, env=environment, check=True)


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own, and a scratch folder to work in."""

    folder: Path

    def run(self, program: str, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, outside the checkout and with an Airflow home of its own."""
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        environment = {
            **kept,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(work / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        done = subprocess.run(
            [self.folder / "bin" / program, *map(str, arguments)],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--build-constraint", CONSTRAINTS, "--out-dir", folder, CHECKOUT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def install(folder: Path, wheel: Path, extras: str) -> Environment:
    environment = Environment(folder / "env")
    uv("venv", "--quiet", "--python", "3.11", environment.folder)
    uv(
        *("pip", "install", "--quiet", "--python", environment.folder / "bin" / "python"),
        *("--constraint", CONSTRAINTS, f"{NAME}{extras} @ file://{wheel}", "apache-airflow==3.3.2"),
    )
    return environment


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and what it needs, without its extras."""
    return install(tmp_path_factory.mktemp("bare"), wheel, "")


@pytest.fixture(scope="module")
def complete(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and the emulator's extra."""
    return install(tmp_path_factory.mktemp("complete"), wheel, "[emulator]")


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"airflow_provider_seedance-{__version__}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    package, metadata = "airflow_provider_seedance", f"airflow_provider_seedance-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {package, metadata}
    assert f"{package}/py.typed" in names
    assert f"{metadata}/licenses/LICENSE" in names
    in_checkout = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / package).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == in_checkout


def test_wheel_says_what_it_needs(wheel: Path) -> None:
    metadata = zipfile.ZipFile(wheel).read(f"airflow_provider_seedance-{__version__}.dist-info/METADATA").decode()
    lines = metadata.splitlines()
    assert "Requires-Python: >=3.11" in lines
    assert "License-Expression: Apache-2.0" in lines
    assert "Classifier: Framework :: Apache Airflow :: Provider" in lines
    assert {line.partition(": ")[2] for line in lines if line.startswith("Provides-Extra")} == {"emulator", "media"}
    assert "Description-Content-Type: text/markdown" in lines
    assert "# airflow-provider-seedance" in metadata


def test_source_distribution_holds_what_a_packager_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= names
    assert any(name.startswith("example_dags/") for name in names)
    assert not [name for name in names if ".scratch" in name or ".venv" in name]


def test_airflow_lists_the_provider(bare: Environment) -> None:
    listed = json.loads(bare.run("airflow", "providers", "list", "--output", "json").stdout)
    assert [entry["version"] for entry in listed if entry["package_name"] == NAME] == [__version__]
    (found,) = json.loads(bare.run("airflow", "providers", "get", NAME, "--output", "json").stdout)
    assert found == {"Provider": NAME, "Version": __version__}


def test_emulator_without_its_extra_says_how_to_get_it(bare: Environment) -> None:
    done = bare.run("seedance-emulator", "--port", "0", check=False)
    assert done.returncode == 1
    assert f"pip install '{NAME}[emulator]'" in done.stderr


def test_operators_hook_and_sensors_need_no_extra(bare: Environment) -> None:
    script = (
        "import importlib.util\n"
        "from airflow_provider_seedance.files.inputs import load_media\n"
        "from airflow_provider_seedance.hooks.seedance import SeedanceHook\n"
        "from airflow_provider_seedance.hooks.async_client import AsyncClient\n"
        "from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator\n"
        "from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor\n"
        "print(importlib.util.find_spec('av'), importlib.util.find_spec('PIL'))"
    )
    assert bare.run("python", "-c", script).stdout.splitlines()[-1] == "None None"


def test_emulator_command_runs(complete: Environment) -> None:
    assert "--speed" in complete.run("seedance-emulator", "--help").stdout


def test_example_dag_runs_from_the_wheel(complete: Environment, tmp_path: Path) -> None:
    dags = complete.folder / "work" / "airflow" / "dags"
    dags.mkdir(parents=True)
    shutil.copy(CHECKOUT / "example_dags" / "seedance_text_to_video.py", dags)
    done = complete.run("python", "-c", RUN_A_DAG, dags, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["state"], report["errors"], report["posts"]) == ("success", {}, 1), f"{done.stdout}\n{done.stderr}"
    assert Path(report["package"]).is_relative_to(complete.folder)
    (video,) = tmp_path.glob("*.mp4")
    assert video.read_bytes()[4:8] == b"ftyp"
