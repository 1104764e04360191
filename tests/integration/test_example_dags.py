"""Every example Dag parses without warnings and runs, on every Airflow that the provider supports."""

from __future__ import annotations

import warnings
from pathlib import Path

import airflow
import pytest
from packaging.version import Version
from PIL import Image

from airflow_provider_seedance.emulator import Emulator
from tests.clock import QuickClock
from tests.integration.dags import DOWNSTREAM, EXAMPLES, example, load, run

#: Those that create assets are run twice below, on older versions once: there a run takes half a minute. What needs
#: more than a folder to save to is run in test_example_downstream.py.
ASSETS = {"seedance_character": (1, 1), "seedance_assets_from_storage": (1, 2)}
PLAIN = [path for path in EXAMPLES if path.stem not in DOWNSTREAM | set(ASSETS)]

# Airflow itself runs in this process, which takes half as long again when its every call is traced
pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_parses_without_warnings(path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dags = load(path)
    assert dags
    ours = [w for w in caught if "seedance" in str(w.filename)]
    assert ours == []


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Values for the examples' parameters: a folder to save to, and one with two pictures to read."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("hero", "villain"):
        Image.new("RGB", (400, 400), "red" if name == "hero" else "blue").save(folder / f"{name}.png")
    monkeypatch.setenv("AIRFLOW__SEEDANCE__ALLOWED_MEDIA_ROOTS", str(folder))
    return {"target": f"file://{tmp_path}/videos", "folder": f"file://{folder}"}


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_example_runs(
    path: Path,
    seedance_emulator: Emulator,
    airflow_db: None,
    quick_clock: QuickClock,
    tmp_path: Path,
    conf: dict[str, str],
) -> None:
    (dag,) = load(path).values()
    run(dag, conf)
    stats = seedance_emulator.stats()
    assert stats["posts"] == stats["created"]
    assert stats["created"] + stats["assets_created"] >= 1
    if "target" in dag.params:
        assert len(list(tmp_path.rglob("*.mp4"))) == stats["created"]


@pytest.mark.parametrize(("name", "made"), ASSETS.items())
def test_assets_are_paid_for_by_the_first_run_only(
    seedance_emulator: Emulator,
    airflow_db: None,
    quick_clock: QuickClock,
    conf: dict[str, str],
    name: str,
    made: tuple[int, int],
) -> None:
    dag = example(name.removeprefix("seedance_"))
    for _ in range(2 if Version(airflow.__version__).release >= (3, 3) else 1):
        run(dag, conf)
    stats = seedance_emulator.stats()
    assert (stats["asset_groups_created"], stats["assets_created"]) == made
    assert stats["asset_calls_billed"] == sum(made)
    assert stats["posts"] == stats["created"]
