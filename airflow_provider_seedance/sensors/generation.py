"""The sensor that waits for a generation submitted elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.limits import DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.hooks.hidden import Hidden, reveal
from airflow_provider_seedance.hooks.task import GenerationTask
from airflow_provider_seedance.links import SeedanceVideoLink
from airflow_provider_seedance.sensors.base import BaseSeedanceSensor

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.polling import BasePoller, PollDecision, Poller
    from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger


class SeedanceGenerationSensor(GenerationTask, BaseSeedanceSensor):
    """
    Wait for a generation that was submitted elsewhere, and return the same result dictionary as the operator.

    It never submits, so its retries cost nothing.

    :param generation: A generation id, or the result of
        :class:`~airflow_provider_seedance.operators.video.SeedanceGenerateVideoOperator`.
    :param deferrable: True (default) waits in the triggerer; False pokes as ``mode`` says (``poke``, ``reschedule``).
    :param poke_interval: Seconds between two looks. Default: 15, the vendor's advice.
    :param timeout: Seconds after which it fails with
        :class:`~airflow_provider_seedance.exceptions.SeedanceSensorTimeoutError`, or skips with ``soft_fail``. Airflow
        does not retry that. Default: 3600.
    :param seedance_conn_id: The connection.
    :returns: As :class:`~airflow_provider_seedance.operators.video.SeedanceGenerateVideoOperator`, also pushed key by
        key.
    """

    template_fields: Sequence[str] = ("generation", "seedance_conn_id")
    event_key = "generation_id"
    operator_extra_links = (SeedanceVideoLink(),)
    #: Where the extra link leads, once the video is there.
    video_link = Hidden("")

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        poke_interval: timedelta | float = DEFAULT_POLL_INTERVAL,
        timeout: timedelta | float = 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.generation = generation

    def _poller(
        self, *, deadline: float, submitted_at: float | None = None, counts: Mapping[str, Any] | None = None
    ) -> Poller:
        from airflow_provider_seedance.api.generation import check_generation_id
        from airflow_provider_seedance.api.polling import Poller

        return Poller(
            generation_id=check_generation_id(reveal(self.generation)),
            deadline=deadline,
            submitted_at=submitted_at or time.time(),
            poll_interval=max(self.poke_interval, 0.001),
            counts=counts,
        )

    def _asker(self) -> Callable[[str], Generation]:
        return partial(self.hook.get_generation, attempts=1)

    def _trigger(self, poller: BasePoller) -> SeedanceGenerationTrigger:
        from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger

        return SeedanceGenerationTrigger(
            seedance_conn_id=self.seedance_conn_id,
            generation_id=poller.subject_id,
            deadline=poller.deadline,
            submitted_at=poller.submitted_at,
            poll_interval=poller.poll_interval,
        )

    def _fetch(self, subject_id: str, decision: PollDecision) -> Generation | None:
        from airflow_provider_seedance.hooks.waiting import fetch_outcome

        return fetch_outcome(self.hook, subject_id, decision)

    def _result(self, decision: PollDecision, state: Generation | None) -> dict[str, Any]:
        from airflow_provider_seedance.api.parse import as_int, as_mapping, as_text
        from airflow_provider_seedance.hooks.waiting import require_success

        generation = require_success(decision, state)
        self.video_link = Hidden(generation.video_url or "")
        given = as_mapping(reveal(self.generation))
        self._tell(generation, given=given)
        self.log.info("Generation %s succeeded: %s tokens.", generation.generation_id, generation.total_tokens)
        return generation.to_result(
            conn_id=self.seedance_conn_id,
            expected_tokens=as_int(given.get("expected_tokens")),
            prompt_fingerprint=as_text(given.get("prompt_fingerprint")),
        )
