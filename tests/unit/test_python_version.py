"""An older Python is told which one is needed, by make and by pip."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["exit 1", None], ids=["older", "missing"])
def test_make_names_the_python_that_is_needed(tmp_path: Path, script: str | None) -> None:
    python = tmp_path / "python3.10"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "python", f"PYTHON={python}"], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr


def test_make_takes_this_python() -> None:
    subprocess.run(["make", "--no-print-directory", "python", f"PYTHON={sys.executable}"], cwd=CHECKOUT, check=True)


def test_pip_is_told() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
