"""What the fault campaign runs on: Airflow on PostgreSQL with two triggerers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.faults.board import Board, TaskState
from tests.e2e.faults.statsd import StatsdListener
from tools.airflow_rest import AirflowRest
from tools.local_airflow import SCRATCH, LocalAirflow
from tools.private_postgres import PrivatePostgres
from tools.processes import signals_interrupt

#: The campaign's Dags: one that waits in the triggerer, one that waits in the worker.
DEFERRING, WAITING = "seedance_faults_deferring", "seedance_faults_waiting"

#: Airflow notices a dead worker, triggerer or scheduler within half a minute. Not sooner, because a healthy one can be
#: many seconds late on two busy cores, and a scheduler that believes itself dead kills its tasks.
SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "25",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}


class FaultStage:
    """
    A healthy Airflow whose parts can be broken.

    :param airflow: The running Airflow.
    :param postgres: Its database.
    :param board: The states of the runs in its database.
    :param statsd: The metrics of its components and tasks.
    :param folder: For the files of the runs.
    """

    def __init__(
        self, airflow: LocalAirflow, postgres: PrivatePostgres, board: Board, statsd: StatsdListener, folder: Path
    ) -> None:
        self.airflow = airflow
        self.postgres = postgres
        self.board = board
        self.statsd = statsd
        self.folder = folder
        self._rest = threading.local()
        self._triggerers: dict[int, str] = {}

    @property
    def rest(self) -> AirflowRest:
        """A client of the REST API, one for each thread."""
        if not hasattr(self._rest, "client"):
            self._rest.client = AirflowRest(self.airflow.url, self.airflow.username, self.airflow.password)
            self._rest.client.log_in()
        client: AirflowRest = self._rest.client
        return client

    def start_triggerer(self, name: str | None = None) -> None:
        """
        Start a triggerer and wait until it works.

        :param name: One that was killed. Default: a further one.
        """
        if name is None:
            name = self.airflow.add_triggerer()
        else:
            self.airflow.restart(name)
        self.meet_triggerer(name)

    def meet_triggerer(self, name: str) -> None:
        """Find the job id of the triggerer that was started last."""
        self.airflow.wait_for(lambda: self._unmet_triggerer(), 120, lambda: f"{name} does not work")
        job_id = self._unmet_triggerer()
        assert job_id is not None
        self._triggerers[job_id] = name

    def _unmet_triggerer(self) -> int | None:
        rows = self.board.query("SELECT id FROM job WHERE job_type = 'TriggererJob'")
        return next((job_id for (job_id,) in rows if job_id not in self._triggerers), None)

    def holder_of(self, task: TaskState) -> str | None:
        """Return the name of the triggerer that currently holds a deferred task's trigger, or None."""
        return None if task.triggerer_id is None else self._triggerers[task.triggerer_id]

    @contextmanager
    def components_kept_up(self) -> Iterator[None]:
        """Restart components that exit, as a service manager does."""
        ending = threading.Event()

        def keep_up() -> None:
            family = self.airflow.family
            while not ending.wait(0.5):
                for name, child in list(family.children.items()):
                    if child.process.poll() is not None:
                        del family.children[name]
                        self.airflow.restart(name)

        keeper = threading.Thread(target=keep_up, name="keeper")
        keeper.start()
        try:
            yield
        finally:
            ending.set()
            keeper.join()


@contextmanager
def set_up() -> Iterator[FaultStage]:
    """Start everything, and end it."""
    folder = SCRATCH / "faults"
    shutil.rmtree(folder, ignore_errors=True)
    with signals_interrupt(), ExitStack() as stack:
        postgres = stack.enter_context(PrivatePostgres())
        statsd = stack.enter_context(StatsdListener())
        airflow = LocalAirflow(
            folder / "airflow",
            Path(__file__).parent / "dags",
            environment={**SETTINGS, **statsd.settings},
            database_url=postgres.url,
        )
        stack.enter_context(airflow)
        board = stack.enter_context(Board(postgres.dsn))
        stage = FaultStage(airflow, postgres, board, statsd, folder / "runs")
        stage.meet_triggerer("triggerer")
        stage.start_triggerer()
        for dag_id in (DEFERRING, WAITING):
            airflow.wait_for_dag(dag_id)
        yield stage
