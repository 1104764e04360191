"""The sensor that waits for a generation submitted elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, BaseSensorOperator, PokeReturnValue

from airflow_provider_seedance.api.generation import Generation, check_generation_id
from airflow_provider_seedance.api.parse import as_int, as_mapping
from airflow_provider_seedance.api.polling import DEFAULT_POLL_INTERVAL, Poller, from_event
from airflow_provider_seedance.exceptions import (
    SEEDANCE_RETRY_POLICY,
    SeedanceSensorTimeoutError,
)
from airflow_provider_seedance.hooks.hidden import HidesRenderedFields, reveal
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.hooks.waiting import StatusLog, fetch_outcome, look, require_success
from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.polling import PollDecision

#: Key in the task state store under which a rescheduled sensor keeps what its Poller had counted.
COUNTS_KEY = "seedance_sensor"


class SeedanceGenerationSensor(HidesRenderedFields, BaseSensorOperator):
    """
    Wait for a generation that was submitted elsewhere, and return the same result dictionary as the operator.

    It never submits, so its retries cost nothing.

    :param generation: A generation id, or the result of :class:`~.operators.video.SeedanceGenerateVideoOperator`.
    :param deferrable: True (default) waits in the triggerer; False pokes as ``mode`` says (``poke``, ``reschedule``).
    :param poke_interval: Seconds between two looks. Default: 15, the vendor's advice.
    :param timeout: Seconds after which it fails with :class:`SeedanceSensorTimeoutError`, or skips with ``soft_fail``.
        Airflow does not retry that. Default: 3600.
    :param seedance_conn_id: The connection.
    :returns: As :class:`~.operators.video.SeedanceGenerateVideoOperator`, also pushed key by key.
    """

    template_fields: Sequence[str] = ("generation", "seedance_conn_id")
    ui_color = "#efe6ff"

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        deferrable: bool = True,
        poke_interval: timedelta | float = DEFAULT_POLL_INTERVAL,
        timeout: timedelta | float = 3600,
        seedance_conn_id: str = SeedanceHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        if SEEDANCE_RETRY_POLICY is not None:
            kwargs.setdefault("retry_policy", SEEDANCE_RETRY_POLICY)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.generation = generation
        self.deferrable = deferrable
        self.seedance_conn_id = seedance_conn_id
        self._poller: Poller | None = None
        self._not_before = 0.0

    @cached_property
    def hook(self) -> SeedanceHook:
        """The hook for ``seedance_conn_id``."""
        return SeedanceHook(self.seedance_conn_id)

    def execute(self, context: Context) -> Any:
        """Defer, or poke as ``mode`` says."""
        if self.deferrable:
            return self._execute_deferrable()
        try:
            return super().execute(context)
        except AirflowSensorTimeout as e:
            raise SeedanceSensorTimeoutError(self._timeout_message()) from e

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Look once.

        :returns: False while it runs, else the result dictionary as XCom value.
        :raises SeedanceError: The typed exception of any outcome but success.
        """
        store: Any = context.get("task_state_store") if self.reschedule else None
        if self._poller is None:
            saved = (store.get(COUNTS_KEY) if store is not None else None) or {}
            started = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
            self._poller = self._new_poller(
                deadline=float("inf"), counts=saved, started=started.timestamp() if started else None
            )
            self._not_before = float(saved.get("not_before", 0))
        if time.time() < self._not_before:
            return False  # the service asked for more patience than poke_interval shows
        decision, generation = self._look(self._poller)
        if decision.outcome is not None:
            return PokeReturnValue(is_done=True, xcom_value=self._result(decision, generation))
        backs_off = (decision.ask_at or 0) - time.time() > self.poke_interval * 1.5
        self._not_before = (decision.ask_at or 0) if backs_off else 0.0
        if store is not None:
            store.set(COUNTS_KEY, {**self._poller.counts(), "not_before": self._not_before})
        return False

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Take the trigger's event: fetch the generation, and return the result or raise its error."""
        generation_id, decision = from_event(event)
        if decision.outcome == "timeout":
            raise SeedanceSensorTimeoutError(decision.message)
        return self._result(decision, fetch_outcome(self.hook, generation_id, decision))

    def _execute_deferrable(self) -> dict[str, Any]:
        deadline = time.time() + self.timeout
        poller = self._new_poller(deadline=deadline)
        decision, generation = self._look(poller)
        if decision.outcome is None:
            self._defer(poller)
        return self._result(decision, generation)

    def _defer(self, poller: Poller) -> None:
        self.log.info("Deferring until generation %s is done; no worker is held meanwhile.", poller.subject_id)
        self.defer(
            trigger=SeedanceGenerationTrigger(
                seedance_conn_id=self.seedance_conn_id,
                generation_id=poller.subject_id,
                deadline=poller.deadline,
                submitted_at=poller.submitted_at,
                poll_interval=poller.poll_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + 300),
        )

    def _look(self, poller: Poller) -> tuple[PollDecision, Generation | None]:
        return look(self.hook, poller, StatusLog(poller), partial(self.hook.get_generation, attempts=1))

    def _new_poller(
        self, *, deadline: float, counts: Mapping[str, Any] | None = None, started: float | None = None
    ) -> Poller:
        return Poller(
            generation_id=check_generation_id(reveal(self.generation)),
            deadline=deadline,
            submitted_at=started or time.time(),  # when it was really submitted is not known here
            poll_interval=max(self.poke_interval, 0.001),
            counts=counts,
        )

    def _result(self, decision: PollDecision, generation: Generation | None) -> dict[str, Any]:
        if decision.outcome == "timeout":
            raise SeedanceSensorTimeoutError(decision.message)
        generation = require_success(decision, generation)
        given = as_mapping(reveal(self.generation))
        self.log.info("Generation %s succeeded: %s tokens.", generation.generation_id, generation.total_tokens)
        return generation.to_result(expected_tokens=as_int(given.get("expected_tokens")))

    def _timeout_message(self) -> str:
        return (
            f"Generation {check_generation_id(reveal(self.generation))} did not finish within the sensor's "
            f"{self.timeout:g} s. It goes on and is billed. Raise 'timeout' if this is usual."
        )
