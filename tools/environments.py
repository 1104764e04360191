"""
Create virtual environments with exact versions, by uv, for ``make``. Uses the standard library only.

    python tools/environments.py install 3.3.2     the environment for one Airflow, if it is not up to date
    python tools/environments.py install lowest    that with the lowest versions that pyproject.toml allows
    python tools/environments.py constraints       renew constraints/*.txt from the package index

``.venv`` is for the newest Airflow and has everything. ``.venv-airflow-<version>`` are for the older ones,
``.venv-lowest`` is for the lower bounds, and they have what their tests need. Two calls at the same time wait for each
other.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CONSTRAINTS = CHECKOUT / "constraints"

#: The version of uv that is installed into .uv.
UV_VERSION = "0.13.9"
UV_HOME = CHECKOUT / ".uv"
UV = UV_HOME / "bin" / "uv"

#: The Airflow that the demo and the whole suite run on, and the older ones that are tested as well.
NEWEST = "3.3.2"
OLDER = ("3.0.6", "3.1.8", "3.2.2")
#: Stands for the version of Airflow, and of everything else that a user installs, which pyproject.toml gives as the
#: lower bound.
LOWEST = "lowest"

#: The Python that the constraint files are resolved for.
PYTHON = "3.11"


def install(airflow: str) -> None:
    """
    Create the environment for an Airflow version, or update it if something that it is made from has changed.

    :param airflow: :data:`NEWEST`, one of :data:`OLDER`, or :data:`LOWEST`.
    """
    environment = CHECKOUT / (".venv" if airflow == NEWEST else f".venv-{_name(airflow)}")
    constraints = CONSTRAINTS / f"{_name(airflow)}.txt"
    stamp = environment / ".installed"
    with _lock(environment.name):
        if _newer(stamp, constraints, CHECKOUT / "pyproject.toml", Path(__file__)):
            return
        _say(f"installing Apache Airflow {airflow} and the project into {environment.name}")
        _bootstrap_uv()
        _uv("venv", "--quiet", "--allow-existing", "--python", sys.executable, str(environment))
        python = environment / "bin" / "python"
        _uv(
            *("pip", "install", "--quiet", "--python", str(python)),
            # the build backend gets the same versions as everything else
            *("--constraint", str(constraints), "--build-constraint", str(constraints)),
            *("--editable", f"{CHECKOUT}[emulator]", *_groups(airflow)),
            *("apache-airflow", "apache-airflow-providers-common-io", "apache-airflow-providers-standard"),
        )
        # so that Airflow's first start is as quick as any other
        subprocess.run([python, "-m", "compileall", "-q", "-j", "0", environment / "lib"], check=False)
        stamp.touch()


def renew_constraints() -> None:
    """
    Resolve every environment against the package index and write its exact versions.

    ``constraints/airflow-<version>.in`` has the Airflow version and the bounds that it needs; ``lowest.in`` has the
    latter, and pyproject.toml the versions.
    """
    with _lock(".uv"):
        _bootstrap_uv()
    for airflow in (LOWEST, *OLDER, NEWEST):
        source = CONSTRAINTS / f"{_name(airflow)}.in"
        target = CONSTRAINTS / f"{_name(airflow)}.txt"
        _say(f"resolving {target.relative_to(CHECKOUT)}")
        resolved = _uv(
            *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", PYTHON),
            *("--extra", "emulator", *_groups(airflow), "pyproject.toml", str(source), "-"),
            standard_input=_lower_bounds() if airflow == LOWEST else "",
            capture=True,
        )
        lines = resolved.splitlines()
        if odd := [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[\w.!+]+", line)]:
            raise SystemExit(f"{source.name} does not resolve to plain name==version lines: {odd}")
        target.write_text("".join(f"{line}\n" for line in lines))


def _name(airflow: str) -> str:
    return LOWEST if airflow == LOWEST else f"airflow-{airflow}"


def _lower_bounds() -> str:
    """Return what a user installs, each at the lower bound that pyproject.toml has for it."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    bounds = [*project["dependencies"], *project["optional-dependencies"]["emulator"]]
    return "".join(f"{bound.replace('>=', '==')}\n" for bound in bounds)


def _groups(airflow: str) -> list[str]:
    groups = {NEWEST: ("test", "lint", "bench", "e2e", "mutants"), LOWEST: ("unit",)}
    names = groups.get(airflow, ("test",))
    return [word for name in names for word in ("--group", f"{CHECKOUT}/pyproject.toml:{name}")]


def _bootstrap_uv() -> None:
    if (UV_HOME / f"uv-{UV_VERSION}").exists():
        return
    _say(f"installing uv {UV_VERSION} into {UV_HOME.name}")
    try:
        subprocess.run([sys.executable, "-m", "venv", UV_HOME], check=True)
    except subprocess.CalledProcessError:
        raise SystemExit(
            f"{sys.executable} cannot make virtual environments. Install its 'venv' module "
            "(on Debian and Ubuntu the package python3-venv)."
        ) from None
    _run([str(UV_HOME / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", f"uv=={UV_VERSION}"])
    (UV_HOME / f"uv-{UV_VERSION}").touch()


def _uv(*arguments: str, capture: bool = False, standard_input: str = "") -> str:
    return _run([str(UV), *arguments], capture=capture, standard_input=standard_input)


def _run(command: list[str], *, capture: bool = False, standard_input: str = "") -> str:
    # VIRTUAL_ENV, if set, is another environment
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=environment,
        input=standard_input,
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"failed with status {done.returncode}: {' '.join(command[:3])} …")
    return done.stdout or ""


def _newer(target: Path, *sources: Path) -> bool:
    return target.exists() and all(source.stat().st_mtime < target.stat().st_mtime for source in sources)


@contextmanager
def _lock(name: str) -> Iterator[None]:
    """Lock an environment against other processes; the system releases the lock if this one dies."""
    scratch = CHECKOUT / ".scratch"
    scratch.mkdir(exist_ok=True)
    with (scratch / f"{name.lstrip('.')}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"-- {text}", flush=True)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["install", version] if version in (NEWEST, *OLDER, LOWEST):
            install(version)
        case ["constraints"]:
            renew_constraints()
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
