"""The trigger that waits for a generation in the triggerer."""

from __future__ import annotations

import logging

from airflow_provider_seedance.api.limits import DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.api.recovery import what_next
from airflow_provider_seedance.triggers.base import BaseSeedanceTrigger

log = logging.getLogger(__name__)


class SeedanceGenerationTrigger(BaseSeedanceTrigger):
    """
    Poll a generation until it has finished or the deadline has passed, then send one event.

    :param seedance_conn_id: The connection.
    :param generation_id: The generation.
    :param deadline: Unix seconds at which it polls once more and gives up. Wall clock, so that it survives restarts.
    :param submitted_at: Unix seconds of the submission: "not found" is tolerated for 60 s from then.
    :param poll_interval: Seconds between status checks. Default: 15, as the vendor recommends.
    :param reattaches: Whether the task's next try finds the generation instead of paying again. Default: True.
    """

    id_field = "generation_id"
    start_field = "submitted_at"

    def __init__(
        self,
        *,
        seedance_conn_id: str,
        generation_id: str,
        deadline: float,
        submitted_at: float,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        reattaches: bool = True,
    ) -> None:
        super().__init__(
            seedance_conn_id=seedance_conn_id, deadline=deadline, poll_interval=poll_interval, reattaches=reattaches
        )
        self.generation_id = generation_id
        self.submitted_at = submitted_at

    async def on_kill(self) -> None:
        """Warn a person who ends the deferred task: the generation keeps running."""
        log.warning(
            "Generation %s keeps running and is billed: the service cannot cancel it. %s",
            self.generation_id,
            what_next("generation", self.generation_id, reattaches=self.reattaches),
        )
