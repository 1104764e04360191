"""What the sensors share: three ways to wait, and one timeout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_seedance.api.response import DEFAULT_CONN_ID
from airflow_provider_seedance.api.values import check_switches, check_waits
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceTimeoutError
from airflow_provider_seedance.tasks import PollingTask
from airflow_provider_seedance.version_compat import DEFAULT_DEFERRABLE, with_retry_policy, xcom_safe

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.outcomes import Finished
    from airflow_provider_seedance.api.polling import BasePoller

#: Key in the task state store under which a rescheduled sensor keeps what its poller had counted.
COUNTS_KEY = "seedance_sensor"


class SeedanceSensorTimeoutError(SeedanceTimeoutError, AirflowSensorTimeout):
    """A sensor's ``timeout`` expired. Airflow never retries that, and skips the task with ``soft_fail``."""


class BaseSeedanceSensor(PollingTask, BaseSensorOperator):
    """
    Waits in the triggerer, in the worker, or by being rescheduled; never submits, so its retries cost nothing.

    The children know what is waited for (:meth:`_subject_id`) and what its result is (:meth:`_result`).
    """

    #: The name of the id of what is waited for, in the trigger's event.
    id_field: ClassVar[str]

    def __init__(
        self,
        *,
        poke_interval: timedelta | float,
        timeout: timedelta | float,
        deferrable: bool = DEFAULT_DEFERRABLE,
        seedance_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        check_waits(poke_interval=_in_seconds(poke_interval), timeout=_in_seconds(timeout))
        check_switches(deferrable=deferrable)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(poke_interval=poke_interval, timeout=timeout, **with_retry_policy(kwargs))
        self.deferrable = deferrable
        self.seedance_conn_id = seedance_conn_id
        self._poked: BasePoller[Any] | None = None
        self._not_before = 0.0

    def execute(self, context: Context) -> Any:
        """Defer, or poke as ``mode`` says. ``soft_fail`` and ``never_fail`` skip whatever ends the wait badly."""
        with self._failing_softly():
            if self.deferrable:
                now = self.clock.now()
                finished, state = self._wait(self._poller(deadline=now + self.timeout, submitted_at=now))
                return self._end(finished, state)
            try:
                return super().execute(context)
            except AirflowSensorTimeout as e:
                raise self._timed_out() from e
            except AirflowSkipException as e:
                if e.__cause__ is None:  # the time-out with soft_fail
                    raise self._timed_out() from e
                raise

    def _timed_out(self) -> SeedanceSensorTimeoutError:
        poller = self._poked or self._poller(deadline=0.0, submitted_at=0.0)
        return SeedanceSensorTimeoutError(
            f"{poller.subject} did not finish within the sensor's timeout of {self.timeout:g} s. "
            f"{poller.unfinished} Raise 'timeout' if this is usual."
        )

    @contextmanager
    def _failing_softly(self) -> Iterator[None]:
        try:
            yield
        except (SeedanceError, AirflowSkipException) as e:
            # Airflow skips for some errors in some modes, and tells neither the id nor the reason
            error = e.__cause__ if isinstance(e, AirflowSkipException) else e
            if isinstance(error, SeedanceError) and (self.soft_fail or self.never_fail):
                raise AirflowSkipException(str(error)) from error
            raise

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Poll once.

        :returns: False while it runs, else the result as XCom value.
        :raises SeedanceError: The typed exception of any outcome but success.
        """
        from airflow_provider_seedance.api.outcomes import Finished
        from airflow_provider_seedance.jobs.wait import poll_once

        store: Any = context.get("task_state_store") if self.reschedule else None
        if self._poked is None:
            self._poked = self._resumed_poller(context, store)
        now = self.clock.now()
        if now < self._not_before:
            return False  # Retry-After or a backoff is longer than poke_interval
        decision, state = poll_once(self.hook, self._poked)
        if isinstance(decision, Finished):
            return PokeReturnValue(is_done=True, xcom_value=self._end(decision, state))
        backs_off = decision.next_poll_at - now > self.poke_interval * 1.5
        self._not_before = decision.next_poll_at if backs_off else 0.0
        if store is not None:
            counts = {**self._poked.counts(), "not_before": self._not_before}
            store.set(COUNTS_KEY, {**counts, **self._wait_of(context)})
        return False

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral; ``soft_fail`` and ``never_fail`` skip the task as they do without deferring."""
        with self._failing_softly():
            return super().resume_execution(next_method, next_kwargs, context)

    def _waited_for(self, context: Context) -> tuple[str, str]:
        return self.id_field.removesuffix("_id"), self._subject_id()

    def _deferral_error(self, context: Context, timed_out: bool) -> SeedanceError:
        error = super()._deferral_error(context, timed_out)
        return SeedanceSensorTimeoutError(str(error)) if timed_out else error

    def _resumed_poller(self, context: Context, store: Any) -> BasePoller[Any]:
        """Return a poller that continues what this try of a rescheduled sensor had counted for the same id."""
        saved = (store.get(COUNTS_KEY) if store is not None else None) or {}
        if any(saved.get(name) != value for name, value in self._wait_of(context).items()):
            saved = {}
        started = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        self._not_before = float(saved.get("not_before", 0))
        return self._poller(
            deadline=float("inf"), submitted_at=started.timestamp() if started else self.clock.now(), counts=saved
        )

    def _wait_of(self, context: Context) -> dict[str, Any]:
        """Return what counts belong to: a retry, and another id, start from nothing."""
        return {"id": self._subject_id(), "try_number": context["ti"].try_number}

    def _poller(
        self, *, deadline: float, submitted_at: float, counts: Mapping[str, Any] | None = None
    ) -> BasePoller[Any]:
        """Return the poller. ``submitted_at`` is the sensor's start: the submission's own time is not known here."""
        from airflow_provider_seedance.api.polling import POLLERS

        return POLLERS[self.id_field](
            self._subject_id(),
            deadline=deadline,
            submitted_at=submitted_at,
            poll_interval=self.poke_interval,
            counts=counts,
        )

    def _subject_id(self) -> str:
        """Return the id of what is waited for."""
        raise NotImplementedError

    def _result(self, finished: Finished, state: Any) -> dict[str, Any]:
        """Return the result of a success; raise the typed exception of any other outcome."""
        raise NotImplementedError

    def _end(self, finished: Finished, state: Any) -> dict[str, Any]:
        if finished.outcome == "timeout":
            raise SeedanceSensorTimeoutError(finished.message)
        return xcom_safe(self._result(finished, state))


def _in_seconds(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value
