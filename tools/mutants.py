"""
Break the code on purpose, and see whether a test notices: mutation testing by mutmut, module by module.

    python -m tools.mutants                       every module that tools/mutants.toml names
    python -m tools.mutants api/redact.py …       some of them

A mutant is one small change, such as ``<`` to ``<=`` or an argument left out; it is killed if a test fails. Prints the
survivors of each module, and exits with status 1 if there is one that ``tools/mutants.toml`` does not allow. mutmut
changes the bodies of functions, class methods and static methods: neither properties nor module-level constants.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_seedance"
SCRATCH = CHECKOUT / ".scratch" / "mutants"
#: What the tests of a module may need, beside the package.
_COPIED = ("tests", "example_dags", "docs", "tools", "README.md")
_SURVIVING = ("survived", "no tests")


@dataclass
class Allowed:
    """
    Survivors that are allowed.

    :param reason: Why.
    :param module: The module that they are in; every module by default.
    :param pattern: A regular expression that is found in the changed lines, as they were.
    :param becomes: A regular expression that is found in them as they are changed.
    :param is_wording: Whether only those are meant that change no more than the letters of a text with blanks in it.
    """

    reason: str
    pattern: str = ""
    module: str | None = None
    becomes: str = ""
    is_wording: bool = False
    is_used: bool = False

    def covers(self, module: str, was: str, becomes: str) -> bool:
        """Return whether it allows a survivor, and remember that it did."""
        covers = (
            self.module in (None, module)
            and re.search(self.pattern, was) is not None
            and re.search(self.becomes, becomes) is not None
            and (not self.is_wording or _is_wording(was, becomes))
        )
        self.is_used |= covers
        return covers


def _is_wording(was: str, becomes: str) -> bool:
    """Return whether a mutant differs in the case of letters, or in the XX that mutmut puts around a text."""
    return was.casefold() == becomes.replace("XX", "").casefold() and re.search(r'"[^"]* [^"]*"', was) is not None


def run_mutmut(module: str, tests: Sequence[str]) -> dict[str, str]:
    """
    Test the mutants of a module.

    :param module: Its path in the package.
    :param tests: What pytest is to run.
    :returns: The diff of each mutant that survived; nothing for the others.
    :raises SystemExit: The tests fail without a mutant.
    """
    place = SCRATCH / module.removesuffix(".py").replace("/", "-")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in (PACKAGE, *_COPIED):
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place / name)
    settings = {
        "source_paths": [PACKAGE],
        "only_mutate": [f"{PACKAGE}/{module}"],
        "also_copy": [PACKAGE, *_COPIED],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "--timeout=60"],
        "pytest_add_cli_args_test_selection": list(tests),
    }
    table = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    project = (CHECKOUT / "pyproject.toml").read_text()
    (place / "pyproject.toml").write_text(f"{project}\n[tool.mutmut]\nuse_git_change_detection = false\n{table}")
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
    with (place / "log").open("w") as log:
        done = subprocess.run(command, cwd=place, stdout=log, stderr=subprocess.STDOUT, check=False)
    results = place / "mutants" / PACKAGE / f"{module}.meta"
    statuses = json.loads(results.read_text())["exit_code_by_key"] if results.exists() else {}
    if done.returncode or not statuses or None in statuses.values():
        raise SystemExit(f"{module}: mutmut failed, see {place / 'log'}")
    with contextlib.chdir(place):
        return {
            name: get_diff_for_mutant(name, path=f"{PACKAGE}/{module}")
            if status_by_exit_code[status] in _SURVIVING
            else ""
            for name, status in statuses.items()
        }


def changed_lines(diff: str, sign: str) -> str:
    """Return the lines of a diff that have this sign, without it."""
    return "\n".join(line[1:].strip() for line in diff.splitlines()[2:] if line.startswith(sign))


def report(module: str, diffs: Mapping[str, str], allowed: Sequence[Allowed], seconds: float) -> int:
    """
    Print what became of a module's mutants.

    :returns: The number of survivors that are not allowed.
    """
    survivors = {name: diff for name, diff in diffs.items() if diff}
    bad = {
        name: diff
        for name, diff in survivors.items()
        if not any(rule.covers(module, changed_lines(diff, "-"), changed_lines(diff, "+")) for rule in allowed)
    }
    for name, diff in bad.items():
        print(f"\n{name.rpartition('.')[2]}\n- {changed_lines(diff, '-')}\n+ {changed_lines(diff, '+')}")
    killed = len(diffs) - len(survivors)
    print(
        f"{module}: {len(diffs)} mutants, {killed} killed, {len(survivors) - len(bad)} survived as allowed, "
        f"{len(bad)} survived; {seconds:.0f} s",
        flush=True,
    )
    return len(bad)


def main(arguments: Sequence[str]) -> None:
    """
    Test the mutants of these modules, or of all.

    :raises SystemExit: A survivor is not allowed, a rule for one is not needed, or a module is not listed.
    """
    listed = tomllib.loads((CHECKOUT / "tools" / "mutants.toml").read_text())
    modules, allowed = listed["modules"], [Allowed(**rule) for rule in listed["allowed"]]
    if unknown := set(arguments) - set(modules):
        raise SystemExit(f"tools/mutants.toml does not list {', '.join(sorted(unknown))}")
    chosen = arguments or list(modules)
    bad = 0
    for module in chosen:
        start = time.monotonic()
        diffs = run_mutmut(module, modules[module])
        bad += report(module, diffs, allowed, time.monotonic() - start)
    needless = [rule for rule in allowed if rule.module in chosen and not rule.is_used]
    for rule in needless:
        print(f"not needed: {rule.module}: {rule.pattern}")
    if bad or needless:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
