"""The documentation is true: its code runs, its tables match the code, its links work."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator

from airflow_provider_seedance import exceptions, version_compat
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.submission import SubmissionRecord
from airflow_provider_seedance.emulator import EmulatorControl
from airflow_provider_seedance.emulator.__main__ import main
from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.get_provider_info import get_provider_info
from airflow_provider_seedance.hooks.endpoint import Endpoint
from airflow_provider_seedance.operators.assets import SeedanceCreateAssetGroupOperator, SeedanceCreateAssetOperator
from airflow_provider_seedance.operators.video import CONTENT_FIELDS, SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

CHECKOUT = Path(__file__).resolve().parents[2]
README = CHECKOUT / "README.md"
PAGES = [README, CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def is_dag(self) -> bool:
        return "with DAG(" in self.text

    @property
    def is_for_pytest(self) -> bool:
        return "pytest" in self.text


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def named(block: Block) -> str:
    return f"{block.page.name}:{block.line}"


def section(page: Path, heading: str) -> str:
    """Return the text under a heading, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row in a text, without the header rows."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [at for at, row in enumerate(cells) if set(row[0]) <= set("-:")]
    return [row for at, row in enumerate(cells) if at not in rules and at + 1 not in rules]


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# -- code


def test_blocks_are_found() -> None:
    assert len([block for block in PYTHON if block.is_dag]) >= 4
    assert {block.language for block in BLOCKS} <= {"python", "json"}


@pytest.mark.parametrize("block", [b for b in PYTHON if not b.is_dag and not b.is_for_pytest], ids=named)
def test_code_runs(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", "")
    exec(compile(block.text, named(block), "exec"), {})


#: Runs each Dag of the documentation; generations are over at once.
RUN_EVERY_DAG = """
import pytest
from airflow.dag_processing.dagbag import DagBag

BAG = DagBag()


@pytest.mark.parametrize("seedance_emulator", [{"speed": 100_000}], indirect=True)
@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_dag_runs(dag_id, seedance_emulator):
    assert BAG.import_errors == {}
    assert BAG.dags[dag_id].test().state == "success"
    assert seedance_emulator.stats()["billed"] >= 1
"""


@pytest.mark.skipif(
    find_spec("airflow.dag_processing.dagbag") is None, reason="the README is for Airflow 3.2 and later"
)
def test_dags_and_tests_run_in_a_project_of_a_users_own(tmp_path: Path) -> None:
    """Every Dag in a folder, and every test next to it, run by pytest as the section on testing says."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "tests").mkdir()
    dag_ids = []
    for block in (block for block in PYTHON if block.is_dag):
        found = re.search(r'with DAG\("(\w+)"', block.text)
        assert found, f"{named(block)} names no Dag"
        text = re.sub(r"(s3|file)://[\w/-]+/(?=[\w.-]*[\"{])", f"file://{tmp_path}/", block.text)
        (tmp_path / "dags" / f"{found[1]}.py").write_text(text)
        dag_ids.append(found[1])
    tests = [block for block in PYTHON if block.is_for_pytest and "def test_" in block.text]
    (conftest,) = (block for block in PYTHON if block.is_for_pytest and block not in tests)
    (tmp_path / "tests" / "conftest.py").write_text(conftest.text)
    for number, block in enumerate(tests):
        (tmp_path / "tests" / f"test_{block.page.stem.lower()}_{number}.py").write_text(block.text)
    (tmp_path / "tests" / "test_every_dag.py").write_text(f"DAG_IDS = {dag_ids}\n{RUN_EVERY_DAG}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert f"{len(dag_ids) + 4} passed" in done.stdout
    assert list(tmp_path.glob("**/*.mp4"))


# -- connections


@pytest.mark.parametrize("value", re.findall(r"export AIRFLOW_CONN_SEEDANCE_DEFAULT='(.*)'", README.read_text()))
def test_connection_in_an_environment_variable_is_read(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", value)
    conn = BaseHook.get_connection("seedance_default")
    endpoint = Endpoint.from_connection(conn, conn.extra_dejson)
    assert (endpoint.base_url, endpoint.api_key) == ("https://ai.alad.com", "sk-your-key")
    assert endpoint.timeout == 60


def test_connection_table_is_the_form() -> None:
    (connection_type,) = get_provider_info()["connection-types"]
    table = rows(section(README, "Make the connection"))
    listed = {name: label for label, cell, *_ in table for name in code_in(cell)}
    fields = connection_type["conn-fields"]
    assert {name for name in listed if name.startswith("extra.")} == {f"extra.{name}" for name in fields}
    for name, field in fields.items():
        assert listed[f"extra.{name}"] == field["label"]
    for name, label in connection_type["ui-field-behaviour"]["relabeling"].items():
        assert label in listed[name]
    assert connection_type["hook-name"] in section(README, "Make the connection")


# -- tables


def test_parameter_table_is_the_operators_signature() -> None:
    signature = inspect.signature(SeedanceGenerateVideoOperator.__init__).parameters
    airflows = inspect.signature(BaseOperator.__init__).parameters
    own = {name: value.default for name, value in signature.items() if name not in airflows}
    own.pop("kwargs", None)
    table = rows(section(README, "Parameters of the operator"))
    listed = {code_in(name)[0]: ast.literal_eval(code_in(default)[0]) for name, default, _ in table}
    assert listed == own
    assert list(listed) == list(own)


@pytest.mark.parametrize("kind", [SeedanceCreateAssetGroupOperator, SeedanceCreateAssetOperator])
def test_asset_tables_are_the_operators_signatures(kind: Any) -> None:
    parameters = inspect.signature(kind.__init__).parameters
    own = {name: value.default for name, value in parameters.items() if name not in ("self", "kwargs")}
    table = rows(section(CHECKOUT / "docs" / "assets.md", kind.__name__))
    listed = {
        code_in(name)[0]: inspect.Parameter.empty if default == "required" else ast.literal_eval(code_in(default)[0])
        for name, default, _ in table
    }
    assert listed == own


def test_transfers_table_is_its_signature() -> None:
    parameters = inspect.signature(SeedanceToObjectStorageOperator.__init__).parameters
    own = {name: value.default for name, value in parameters.items() if name not in ("self", "kwargs")}
    table = [row for row in rows(section(CHECKOUT / "docs" / "storage.md", "The transfer")) if len(row) == 3]
    listed = {
        code_in(name)[0]: inspect.Parameter.empty if default == "required" else ast.literal_eval(code_in(default)[0])
        for name, default, _ in table
        if code_in(name)[0] in own
    }
    assert listed == own
    assert set(SeedanceToObjectStorageOperator.template_fields) == set(own)


def test_templates_are_those_that_the_text_names() -> None:
    assert (CONTENT_FIELDS[0], CONTENT_FIELDS[-1]) == ("prompt", "extra_body")
    assert tuple(SeedanceGenerateVideoOperator.template_fields) == (*CONTENT_FIELDS, "seedance_conn_id")


def test_result_table_is_what_comes_back() -> None:
    generation = Generation.from_response({"data": {"status": "SUCCESS"}}, generation_id="asyntask_abc")
    listed = [name for row in rows(section(README, "What comes back")) for name in code_in(row[0])]
    assert sorted(listed) == sorted(generation.to_result(expected_tokens=1))


def test_exception_table_is_complete_and_tells_retries_truly() -> None:
    every = {
        name
        for name, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, exceptions.SeedanceError) and kind is not exceptions.SeedanceError
    } | {exceptions.SeedanceSensorTimeoutError.__name__}
    listed = {code_in(row[0])[0]: row[2] for row in rows(section(README, "When something fails"))}
    assert set(listed) == every
    not_retried = {kind.__name__ for kind in exceptions.NON_RETRYABLE_ERRORS} | {"SeedanceSensorTimeoutError"}
    assert {name for name, retried in listed.items() if retried == "no"} == not_retried
    minutes = version_compat.RATE_LIMIT_RETRY_DELAY // 60
    assert listed["SeedanceRateLimitError"] == f"yes, after {minutes} minutes"


def test_record_is_shown_as_it_is_stored() -> None:
    (block,) = (block for block in BLOCKS if block.language == "json")
    shown = json.loads(block.text)
    assert SubmissionRecord.from_dict(shown).to_dict() == shown


def test_metrics_table_is_what_is_counted() -> None:
    sources = "".join(path.read_text() for path in (CHECKOUT / "airflow_provider_seedance").rglob("*.py"))
    counted = {f"seedance.generations.{name}" for name in re.findall(r'\bcount\("(\w+)"', sources)}
    counted |= set(re.findall(r'timing\("([\w.]+)"', sources)) | {"seedance.assets.poll_errors"}
    listed = {code_in(row[0])[0] for row in rows(section(CHECKOUT / "docs" / "operations.md", "Metrics"))}
    assert listed == counted


def test_emulators_flags_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(section(CHECKOUT / "docs" / "emulator.md", "As a command"))
    listed = {flag for row in table for flag in code_in(row[0])}
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert len(listed) > 5
    assert listed <= known


def test_emulators_methods_exist() -> None:
    table = rows(section(CHECKOUT / "docs" / "emulator.md", "In tests"))
    listed = {found.partition("(")[0] for row in table for found in code_in(row[0])}
    assert len(listed) > 5
    assert listed <= {name for name, _ in inspect.getmembers(EmulatorControl, inspect.isfunction)}


def test_emulators_faults_are_taken() -> None:
    for routes, kind, _ in rows(section(CHECKOUT / "docs" / "emulator.md", "Faults")):
        example = code_in(kind)[0].replace("…", "'x'")
        fields = ast.parse(f"fault({example})", mode="eval").body
        assert isinstance(fields, ast.Call)
        values = {word.arg: ast.literal_eval(word.value) for word in fields.keywords}
        for route in code_in(routes) or ["query"]:
            Fault.from_json({"route": route, **values})


def test_make_targets_are_in_the_makefile() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    described = set(re.findall(r"^([a-z0-9-]+):.*##", makefile, re.MULTILINE))
    listed = {code_in(row[0])[0].removeprefix("make ") for row in rows(section(README, "Developing"))}
    assert listed == described - {"help"}
    named_anywhere = set(re.findall(r"\bmake ([a-z][a-z-]*)\b(?=`|\)|,| +#| KEEP)", README.read_text()))
    assert named_anywhere <= described


# -- links


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    if not target.startswith("https://")
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_links_lead_somewhere(page: Path, target: str) -> None:
    path, _, fragment = target.partition("#")
    file = (page.parent / path) if path else page
    assert file.exists()
    if fragment:
        assert fragment in {anchor(heading) for heading in re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)}


def test_folders_named_exist() -> None:
    text = section(README, "What is where")
    tree = [line for line in text.splitlines() if line.startswith("    ")]
    names = [name for line in tree for name in re.findall(r"(\w[\w.]*/|\w+\.py)(?=\s|$)", line.partition("  " * 8)[0])]
    assert {"airflow_provider_seedance/", "example_dags/", "exceptions.py"} <= set(names)
    for name in names:
        assert (CHECKOUT / name).exists() or (CHECKOUT / "airflow_provider_seedance" / name).exists(), name
