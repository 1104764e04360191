"""The states of the runs in Airflow's metadata database, read twice a second for everyone who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg2

#: Seconds between two readings.
INTERVAL = 0.5

_QUERY = """
SELECT run.run_id, run.state, task.task_id, task.id, task.state, task.try_number, waiting.triggerer_id
FROM dag_run AS run
JOIN task_instance AS task ON task.dag_id = run.dag_id AND task.run_id = run.run_id
LEFT JOIN trigger AS waiting ON waiting.id = task.trigger_id
"""


@dataclass(frozen=True)
class TaskState:
    """A task instance; each try has a new ``id``."""

    id: str
    state: str | None
    try_number: int
    triggerer_id: int | None


@dataclass
class RunState:
    """A Dag run and its task instances."""

    state: str
    tasks: dict[str, TaskState] = field(default_factory=dict)


class Board:
    """
    The latest reading of the database.

    :param dsn: The database's address.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._runs: dict[str, RunState] = {}
        self._began = 0.0
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="board", daemon=True)

    def __enter__(self) -> Board:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()

    def wait_for(self, run_id: str, true: Callable[[RunState], bool], timeout: float, what: str) -> RunState:
        """
        Wait until something is true of a run, by readings that began after this call.

        :param timeout: Seconds.
        :param what: What is waited for, for the error.
        :returns: The run as it was then.
        :raises TimeoutError: with the run's current state.
        """
        called = time.monotonic()
        with self._changed:
            while True:
                seen = self._runs.get(run_id)
                if self._began >= called and seen is not None and true(seen):
                    return seen
                if time.monotonic() > called + timeout or not self._changed.wait(timeout):
                    raise TimeoutError(f"{run_id}: {what} did not come in {timeout:.0f} s; it is {seen}")

    def now(self, run_id: str) -> RunState:
        """Return a run's current state."""
        return self.wait_for(run_id, lambda run: True, 120, "a reading of the database")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run another query, over its own connection."""
        with closing(psycopg2.connect(self._dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def _read_on(self) -> None:
        connection = None
        while not self._ending.wait(INTERVAL):
            began = time.monotonic()
            try:
                if connection is None:
                    connection = psycopg2.connect(self._dsn, connect_timeout=5)
                    connection.autocommit = True
                runs = self._read(connection)
            except psycopg2.Error:  # the database is being restarted
                connection = None
                continue
            with self._changed:
                self._runs, self._began = runs, began
                self._changed.notify_all()

    def _read(self, connection: psycopg2.extensions.connection) -> dict[str, RunState]:
        runs: dict[str, RunState] = {}
        with connection.cursor() as cursor:
            cursor.execute(_QUERY)
            for run_id, run_state, task_id, *task in cursor.fetchall():
                runs.setdefault(run_id, RunState(run_state)).tasks[task_id] = TaskState(str(task[0]), *task[1:])
        return runs
