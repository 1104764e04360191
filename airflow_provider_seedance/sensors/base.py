"""What the sensors share: three ways to wait, and one time-out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, BaseSensorOperator, PokeReturnValue

from airflow_provider_seedance.exceptions import SeedanceSensorTimeoutError
from airflow_provider_seedance.hooks.airflow_compat import pushable, with_retry_policy
from airflow_provider_seedance.hooks.task import DEFAULT_CONN_ID, SeedanceTask

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_seedance.api.polling import BasePoller, PollDecision

#: Key in the task state store under which a rescheduled sensor keeps what its poller had counted.
COUNTS_KEY = "seedance_sensor"
#: Seconds after our own deadline at which Airflow's takes over, should the trigger be lost.
BACKSTOP = 300.0


class BaseSeedanceSensor(SeedanceTask, BaseSensorOperator):
    """
    Waits in the triggerer, in the worker, or by being rescheduled; never submits, so its retries cost nothing.

    The children say what is waited for (:meth:`_poller`, :meth:`_asker`, :meth:`_trigger`) and what is made of it
    (:meth:`_result`).
    """

    ui_color = "#efe6ff"
    #: The name under which the trigger's event carries the id.
    event_key = ""

    def __init__(
        self,
        *,
        deferrable: bool = True,
        seedance_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**with_retry_policy(kwargs))
        self.deferrable = deferrable
        self.seedance_conn_id = seedance_conn_id
        self._poked: BasePoller | None = None
        self._not_before = 0.0

    def execute(self, context: Context) -> Any:
        """Defer, or poke as ``mode`` says."""
        if self.deferrable:
            poller = self._poller(deadline=time.time() + self.timeout)
            decision, state = self._look(poller)
            if decision.outcome is None:
                self._defer(poller)
            return self._end(decision, state)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as e:
            raise SeedanceSensorTimeoutError(
                f"It did not finish within the sensor's {self.timeout:g} s. It goes on and is billed. "
                "Raise 'timeout' if this is usual."
            ) from e

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Look once.

        :returns: False while it runs, else the result as XCom value.
        :raises SeedanceError: The typed exception of any outcome but success.
        """
        store: Any = context.get("task_state_store") if self.reschedule else None
        if self._poked is None:
            saved = (store.get(COUNTS_KEY) if store is not None else None) or {}
            started = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
            self._poked = self._poller(
                deadline=float("inf"), counts=saved, submitted_at=started.timestamp() if started else None
            )
            self._not_before = float(saved.get("not_before", 0))
        if time.time() < self._not_before:
            return False  # the service asked for more patience than poke_interval shows
        decision, state = self._look(self._poked)
        if decision.outcome is not None:
            return PokeReturnValue(is_done=True, xcom_value=self._end(decision, state))
        backs_off = (decision.ask_at or 0) - time.time() > self.poke_interval * 1.5
        self._not_before = (decision.ask_at or 0) if backs_off else 0.0
        if store is not None:
            store.set(COUNTS_KEY, {**self._poked.counts(), "not_before": self._not_before})
        return False

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Take the trigger's event: fetch what it is about, and return the result or raise its error."""
        from airflow_provider_seedance.api.polling import from_event

        subject_id, decision = from_event(event, key=self.event_key)
        return self._end(decision, self._fetch(subject_id, decision))

    def _poller(
        self,
        *,
        deadline: float,
        submitted_at: float | None = None,
        counts: Mapping[str, Any] | None = None,
    ) -> BasePoller:
        """Make the poller; when it was really submitted is not known here, unless a rescheduled sensor remembers."""
        raise NotImplementedError

    def _asker(self) -> Callable[[str], Any]:
        """Return what asks the service by id, once."""
        raise NotImplementedError

    def _trigger(self, poller: BasePoller) -> BaseTrigger:
        raise NotImplementedError

    def _fetch(self, subject_id: str, decision: PollDecision) -> Any:
        """Fetch what an event is about, None where there is nothing to fetch."""
        raise NotImplementedError

    def _result(self, decision: PollDecision, state: Any) -> Any:
        """Make the result of a success; raise the typed exception of any other outcome."""
        raise NotImplementedError

    def _look(self, poller: BasePoller) -> tuple[PollDecision, Any]:
        from airflow_provider_seedance.hooks.waiting import StatusLog, look

        return look(self.hook, poller, StatusLog(poller), self._asker())

    def _end(self, decision: PollDecision, state: Any) -> Any:
        if decision.outcome == "timeout":
            raise SeedanceSensorTimeoutError(decision.message)
        return pushable(self._result(decision, state))

    def _defer(self, poller: BasePoller) -> NoReturn:
        self.log.info(
            "Deferring until %s %s is done; no worker is held meanwhile.", poller.noun.lower(), poller.subject_id
        )
        self.defer(
            trigger=self._trigger(poller),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + BACKSTOP),
        )
