"""
A real, temporary Airflow: API server, scheduler, Dag processor and triggerers, each in its own process.

It keeps everything in one folder, listens on free loopback ports, and leaves no process behind, however it ends. The
demo and the end-to-end tests run on it.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from tools.airflow_rest import AirflowRest
from tools.processes import Child, ProcessDiedError, ProcessFamily, ProcessInfo

#: The checkout, and the folder in it that git ignores.
CHECKOUT = Path(__file__).resolve().parent.parent
SCRATCH = CHECKOUT / ".scratch"

#: Seconds until every component must be up; a busy machine with two cores takes about 40.
START_TIMEOUT = 180.0

#: Below the range that systems use for outgoing connections and for port 0, so that a port that is free now is still
#: free a moment later.
_PORTS = range(12000, 32000)


class LocalAirflow:
    """
    Airflow in a scratch home, as a context manager.

    :param home: ``AIRFLOW_HOME``, created if missing. Configuration, database and all logs stay in it.
    :param dags_folder: The Dag files. Every Dag starts paused; :meth:`AirflowRest.trigger` unpauses its Dag.
    :param environment: Further variables for every component, such as ``AIRFLOW_CONN_SEEDANCE_DEFAULT`` or
        ``AIRFLOW__CORE__PARALLELISM``. They override what is set here.
    :param database_url: SQLAlchemy URL of an empty database. Default: SQLite inside the home.
    :param triggerers: How many triggerers to start, named ``triggerer``, ``triggerer-2``, …

    Attributes: ``url``, ``username``, ``password``, ``database_url``, ``logs``, ``environment`` (may be added to until
    the components start), ``family`` (the processes; helpers such as the emulator may join it, and end with it), and,
    once entered, ``rest`` (an :class:`AirflowRest` that is logged in).
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        database_url: str | None = None,
        triggerers: int = 1,
    ) -> None:
        self.home = home.absolute()
        self.dags_folder = dags_folder.absolute()
        self.database_url = database_url or f"sqlite:///{self.home}/airflow.db"
        self.logs = self.home / "logs"
        self.username = "admin"
        self.password = secrets.token_urlsafe(12)
        self.family = ProcessFamily(cwd=self.home, logs=self.logs / "components")
        self._triggerers = triggerers
        port, self._worker_log_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        self.rest = AirflowRest(self.url, self.username, self.password)
        self.environment = {**self._base_environment(port), **(environment or {})}

    def __enter__(self) -> LocalAirflow:
        try:
            self._start()
        except BaseException:
            self.family.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.family.stop()

    def _base_environment(self, port: int) -> dict[str, str]:
        # nothing from an Airflow already on the machine, and no key: that belongs only in the connection
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW_", "_AIRFLOW_", "SEEDANCE_", "PYTEST_", "COV_"))
        }
        settings: dict[str, dict[str, Any]] = {
            "core": {
                "dags_folder": self.dags_folder,
                "load_examples": False,
                "executor": "LocalExecutor",
                "parallelism": 4,
                "dags_are_paused_at_creation": True,
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_users": f"{self.username}:admin",
                "simple_auth_manager_passwords_file": self.home / "passwords.json",
                "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                # DNS may be slow or missing
                "hostname_callable": "socket.gethostname",
            },
            "database": {"sql_alchemy_conn": self.database_url},
            "api": {
                "host": "127.0.0.1",
                "port": port,
                "base_url": self.url,
                "workers": 1,
                "secret_key": secrets.token_hex(16),
            },
            "api_auth": {"jwt_secret": secrets.token_hex(32)},
            "logging": {"base_log_folder": self.logs, "worker_log_server_port": self._worker_log_port},
            "scheduler": {"enable_health_check": False, "scheduler_idle_sleep_time": 0.2},
            "dag_processor": {"parsing_processes": 1, "refresh_interval": 5, "min_file_process_interval": 5},
            "usage_data_collection": {"enabled": False},
        }
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1,localhost"])),
            "AIRFLOW_HOME": str(self.home),
            **{
                f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
                for section, options in settings.items()
                for key, value in options.items()
            },
        }

    def _start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({self.username: self.password}))
        self._start_component("db-migrate", ["db", "migrate"])
        self.family.wait("db-migrate", START_TIMEOUT)
        for name in ("api-server", "scheduler", "dag-processor"):
            self._start_component(name, [name])
        for _ in range(self._triggerers):
            self.add_triggerer()
        self.wait_until_healthy()

    def _start_component(self, name: str, command: list[str], **extra: str) -> Child:
        return self.family.start_python(name, ["-m", "airflow", *command], {**self.environment, **extra})

    def add_triggerer(self) -> str:
        """
        Start one more triggerer.

        :returns: Its name, for :meth:`ProcessFamily.kill` and :meth:`restart`.
        """
        names = itertools.chain(["triggerer"], (f"triggerer-{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in self.family.children)
        self._start_triggerer(name)
        return name

    def _start_triggerer(self, name: str) -> None:
        (port,) = free_ports(1)
        self._start_component(name, ["triggerer"], AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(port))

    def restart(self, name: str) -> None:
        """
        Restart a component that has been killed.

        :param name: ``api-server``, ``scheduler``, ``dag-processor``, ``triggerer``, ``triggerer-2``…
        """
        if name.startswith("triggerer"):
            self._start_triggerer(name)
        else:
            self._start_component(name, [name])

    def wait_until_healthy(self, timeout: float = START_TIMEOUT) -> None:
        """
        Wait until the REST API answers and every component is healthy.

        :param timeout: Seconds.
        :raises ProcessDiedError: as soon as a component has ended.
        :raises TimeoutError: naming what is not healthy.
        """
        unhealthy = ["api-server"]

        def healthy() -> bool:
            try:
                self.rest.log_in()
                states = self.rest.health()
            except requests.RequestException:
                return False
            unhealthy[:] = [name for name, state in states.items() if state["status"] != "healthy"]
            return not unhealthy

        self.wait_for(healthy, timeout, lambda: f"not healthy: {', '.join(unhealthy)}")

    def wait_for_dag(self, dag_id: str, timeout: float = 60.0) -> None:
        """
        Wait until a Dag has been parsed.

        :raises TimeoutError: with the import errors, if there are any.
        """
        self.wait_for(
            lambda: self.rest.has_dag(dag_id),
            timeout,
            lambda: f"Dag {dag_id} is not there; import errors: {self.rest.import_errors()}",
        )

    def wait_for(self, done: Callable[[], Any], timeout: float, otherwise: Callable[[], str]) -> None:
        """
        Wait until something is done, checking that every component is alive.

        :param done: Returns whether it is done.
        :param timeout: Seconds.
        :param otherwise: Returns the error's message after the timeout.
        :raises ProcessDiedError: as soon as a component has ended.
        :raises TimeoutError: if ``done`` does not become true in time.
        """
        deadline = time.monotonic() + timeout
        while not done():
            self.family.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{otherwise()} after {timeout:.0f} s. The logs are in {self.logs}")
            time.sleep(0.25)

    def run_until_interrupted(self) -> None:
        """
        Wait while every component is alive.

        :raises ProcessDiedError: as soon as a component has ended.
        """
        while True:
            self.family.check()
            time.sleep(0.5)

    def processes_of(self, task_instance_id: str) -> list[ProcessInfo]:
        """
        Return the processes that currently hold a task instance: the executor's worker and the task's own process.

        Both have the task instance's id in their process title while they work on it (Linux only).
        """
        return [process for process in self.family.members() if task_instance_id in process.command]


def free_ports(count: int) -> list[int]:
    """Return distinct TCP ports that are free on the loopback address."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", random.choice(_PORTS)))
            except OSError:
                candidate.close()
            else:
                held.append(candidate)
        return [taken.getsockname()[1] for taken in held]
    finally:
        for taken in held:
            taken.close()


__all__ = ["CHECKOUT", "SCRATCH", "AirflowRest", "LocalAirflow", "ProcessDiedError", "free_ports"]
