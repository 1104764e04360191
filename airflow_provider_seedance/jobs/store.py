"""The submission record in Airflow's task state store, where it survives the worker."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, before_sleep_log, stop_after_attempt, stop_after_delay, wait_exponential

from airflow_provider_seedance.api.submission import GENERATION, Kind, SubmissionRecord, Tries
from airflow_provider_seedance.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

#: Seconds for which a worker tries to record an id that was paid for. Airflow itself gives up after some tries, within
#: 10 to 90 s, which a restart of its API server can outlast.
RECORD_PATIENCE = 600.0
#: Tries in that time.
RECORD_ATTEMPTS = 45
#: Seconds before the second try; doubled for each further one, up to the maximum.
RECORD_BACKOFF = 1.0
RECORD_MAX_BACKOFF = 15.0


class SubmissionStore:
    """
    Reads and writes a task's :class:`SubmissionRecord`. People see it in Airflow's UI and REST API.

    :param context: The task's context.
    :param kind: What the task creates.
    :param durable: False stores nothing, so each try submits and pays again. Default: True.
    :param clock: The time that waits are measured by.
    """

    def __init__(
        self, context: Context, kind: Kind = GENERATION, *, durable: bool = True, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.kind = kind
        self._clock = clock
        self._store: Any = context.get("task_state_store") if durable else None
        if durable and self._store is None:
            log.info("Airflow has no task state store before 3.3: a retry has no record and may pay again.")

    @property
    def reattaches(self) -> bool:
        """Whether the next try finds what this one paid for."""
        return self._store is not None

    def created_id(self) -> str | None:
        """Return the recorded id for a message; None if it is not known, or cannot be read now."""
        try:
            record = self.get()
        except Exception:
            return None
        return record.created_id if record is not None else None

    def get(self) -> SubmissionRecord | None:
        """
        Return the record, None if there is none.

        :raises SeedanceServiceError: There is one that this release cannot read.
        """
        data = self._store.get(self.kind.key) if self._store is not None else None
        return None if data is None else SubmissionRecord.from_dict(data, self.kind, now=self._clock.now())

    def put(self, record: SubmissionRecord) -> None:
        """Write the record."""
        if self._store is not None:
            self._store.set(self.kind.key, record.to_dict(self.kind))

    def put_with_retries(self, record: SubmissionRecord) -> None:
        """
        Write a record that must not be lost, and try again for :data:`RECORD_PATIENCE` while Airflow cannot be reached.

        :raises Exception: The error of the last try.
        """
        for attempt in self._retrying():
            with attempt:
                self.put(record)

    def put_or_warn(self, record: SubmissionRecord | None) -> None:
        """
        Write a record with the same patience, while an error is on its way: that matters more, so no failure is raised.

        :param record: The record; None deletes it, for a call that created nothing: left behind, it would claim doubt.
        """
        try:
            for attempt in self._retrying():
                with attempt:
                    self.clear() if record is None else self.put(record)
        except Exception as e:
            log.warning("The record of the %s could not be written: %s", self.kind.noun, type(e).__name__)

    def _retrying(self) -> Retrying:
        return Retrying(
            stop=stop_after_delay(RECORD_PATIENCE) | stop_after_attempt(RECORD_ATTEMPTS),
            wait=wait_exponential(multiplier=RECORD_BACKOFF, max=RECORD_MAX_BACKOFF),
            before_sleep=before_sleep_log(log, logging.WARNING),
            sleep=self._clock.sleep,
            reraise=True,
        )

    def clear(self) -> None:
        """Delete the record."""
        if self._store is not None:
            self._store.delete(self.kind.key)

    def mark_delivered(self, created_id: str, tries: Tries, ti: Any) -> None:
        """
        Record a delivery, if Airflow has stored the task's success.

        A failure is logged and not raised: clearing the task then returns the same result once more.

        :param created_id: What was delivered.
        :param tries: What Airflow keeps of the task instance's tries.
        :param ti: The task instance.
        """
        if self._store is None:
            return
        try:
            states = ti.get_task_states(
                dag_id=ti.dag_id, map_index=ti.map_index, task_ids=[ti.task_id], run_ids=[ti.run_id]
            )
            record = self.get() if "success" in states.get(ti.run_id, {}).values() else None
            if record is not None and record.created_id == created_id:
                self.put(record.with_phase("delivered").at(tries))
        except Exception as e:
            log.warning("The delivery of %s %s could not be recorded: %s", self.kind.noun, created_id, type(e).__name__)
