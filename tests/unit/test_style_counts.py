"""What ``tools/style_counts.py`` counts, in a tree made up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.style_counts import count, main

MODULE = """
import functools
from collections.abc import Callable
from functools import partial
from typing import Any

ask: Callable[[], int] = int


class Poller:
    on_event: Callable[[], None]

    def __init__(self, ask: Callable[[str], int], *, log: "int") -> None:
        import json

        self.read: Callable[[], Any] = json.loads  # type: ignore[assignment]
        local: Callable[[], None] = print
        "type: ignore is not a comment here"

    def method(self, values: list[Any]) -> Any:
        def nested() -> int:
            from math import pi

            return int(pi)

        class Local:
            def method(self) -> None: ...

        return [partial(nested), functools.partial(nested), Local.partial(), lambda: 1, lambda: (lambda: 2)]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a package of two folders, a module at its top and an emulator."""
    package = tmp_path / "airflow_provider_seedance"
    for name, source in {"api/a.py": MODULE, "links.py": "\n", "emulator/server.py": "lambda: 1\nlambda: 2\n"}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(source)
    return tmp_path


def test_each_feature_is_counted(checkout: Path) -> None:
    lines = len(MODULE.splitlines())
    assert count(checkout) == {
        "lines in airflow_provider_seedance/": 1,
        "lines in airflow_provider_seedance/api": lines,
        "lines": lines + 1,
        "files": 2,
        "Callable parameters and attributes": 3,
        "nested functions": 1,
        "lambdas": 3,
        "partial calls": 2,
        "imports inside functions": 2,
        "annotations with Any": 3,
        "type: ignore comments": 1,
        "lines of the emulator": 2,
    }


def test_checkouts_are_shown_side_by_side(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "airflow_provider_seedance" / "jobs").mkdir(parents=True)
    (other / "airflow_provider_seedance" / "jobs" / "wait.py").write_text("pass\n")
    main([str(checkout), str(other)])
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == f"|  | {checkout} | {other} |"
    assert "| lines in airflow_provider_seedance/jobs | 0 | 1 |" in rows
    assert "| files | 2 | 1 |" in rows
