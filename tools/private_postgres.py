"""A temporary PostgreSQL: a cluster in a scratch folder, on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.local_airflow import free_ports

#: Debian keeps the server's programs here, not on PATH.
_DEBIAN = Path("/usr/lib/postgresql")
#: Users that root runs the server as, because it refuses to run as root.
_UNPRIVILEGED = ("postgres", "nobody")

#: Seconds.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


class PostgresMissingError(RuntimeError):
    """PostgreSQL's server is not installed; ``tools/install_system_packages.sh`` installs Debian's."""


class PrivatePostgres:
    """
    A cluster with an empty database ``postgres``, as a context manager.

    Confirmed data survives the server's end, however it is stopped, but not the machine's. The folder is removed on
    exit.

    :raises PostgresMissingError: if the programs are not installed.
    """

    def __init__(self) -> None:
        self._programs = find_programs()
        self._owner = _unprivileged_user() if os.geteuid() == 0 else None
        (self.port,) = free_ports(1)
        self._folder = Path(tempfile.mkdtemp(prefix="seedance-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The database's address for SQLAlchemy."""
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/postgres"

    @property
    def dsn(self) -> str:
        """The same for libpq."""
        return f"host=127.0.0.1 port={self.port} user=airflow dbname=postgres"

    def __enter__(self) -> PrivatePostgres:
        try:
            if self._owner is not None:
                os.chown(self._folder, self._owner.pw_uid, self._owner.pw_gid)
            self._initialize()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """
        Start the server and wait until it takes connections.

        :raises RuntimeError: if it does not; with the end of its log.
        """
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "max_connections": 300,
        }
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data")]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = self._folder / "server.log"
        with log.open("ab") as output:
            # in its own session, so that Ctrl-C in the terminal does not stop it before Airflow
            process = self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._run_as(),
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._takes_connections():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"PostgreSQL does not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def stop(self, signum: int = signal.SIGINT) -> None:
        """
        Stop the server, if it is running.

        :param signum: SIGINT, the default, ends connections and shuts down cleanly. SIGQUIT stops at once, and the next
            start recovers as after a crash.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signum)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _initialize(self) -> None:
        done = subprocess.run(
            [
                *(self._programs / "initdb", "-D", self._folder / "data"),
                *("--username=airflow", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._run_as(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed with status {done.returncode}:\n{done.stdout[-2000:]}")

    def _takes_connections(self) -> bool:
        asked = [str(self._programs / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return subprocess.run(asked, check=False).returncode == 0

    def _run_as(self) -> dict[str, Any]:
        identity: dict[str, Any] = {"cwd": self._folder}
        if self._owner is not None:
            identity |= {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}
        return identity


def find_programs() -> Path:
    """
    Return the folder that holds ``initdb`` and ``postgres``.

    :raises PostgresMissingError: if there is none.
    """
    candidates = sorted(_DEBIAN.glob("*/bin"), key=lambda folder: _number(folder.parent.name), reverse=True)
    if config := shutil.which("pg_config"):
        answer = subprocess.run([config, "--bindir"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
        candidates.insert(0, Path(answer))
    candidates += [Path(folder) for folder in os.get_exec_path()]
    for folder in candidates:
        if all((folder / program).exists() for program in ("initdb", "postgres", "pg_isready")):
            return folder
    raise PostgresMissingError("PostgreSQL's server is not installed. On Debian: tools/install_system_packages.sh")


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return 0.0


def _unprivileged_user() -> pwd.struct_passwd:
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError(f"PostgreSQL refuses to run as root, and there is none of the users {', '.join(_UNPRIVILEGED)}.")
