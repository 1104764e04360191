"""The trigger that waits for a generation in the triggerer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_seedance.api.limits import DEFAULT_POLL_INTERVAL

log = logging.getLogger(__name__)


class SeedanceGenerationTrigger(BaseTrigger):
    """
    Ask for a generation until it ended or the deadline passed, then send one event.

    Its arguments and its event hold ids, numbers and short words only: Airflow stores both and logs the event. A
    triggerer restart runs it again from its arguments; nothing it had counted matters.

    :param seedance_conn_id: The connection.
    :param generation_id: The generation.
    :param deadline: Unix seconds after which it looks once more and gives up. Wall clock, so that it survives restarts.
    :param submitted_at: Unix seconds of the submission: "not found" is tolerated for 60 s from then.
    :param poll_interval: Seconds between two looks.
    """

    def __init__(
        self,
        *,
        seedance_conn_id: str,
        generation_id: str,
        deadline: float,
        submitted_at: float,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seedance_conn_id = seedance_conn_id
        self.generation_id = generation_id
        self.deadline = deadline
        self.submitted_at = submitted_at
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "airflow_provider_seedance.triggers.generation.SeedanceGenerationTrigger",
            {
                "seedance_conn_id": self.seedance_conn_id,
                "generation_id": self.generation_id,
                "deadline": self.deadline,
                "submitted_at": self.submitted_at,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send one event: ``{"version", "generation_id", "outcome", "reason", "message"}``."""
        from airflow_provider_seedance.api.polling import Poller, to_event
        from airflow_provider_seedance.hooks.seedance import SeedanceHook
        from airflow_provider_seedance.hooks.waiting import wait_async

        poller = Poller(
            generation_id=self.generation_id,
            deadline=self.deadline,
            submitted_at=self.submitted_at,
            poll_interval=self.poll_interval,
        )
        hook = SeedanceHook(self.seedance_conn_id)
        decision = await wait_async(hook, poller, lambda client: client.get_generation)
        yield TriggerEvent(to_event(self.generation_id, decision))

    async def on_kill(self) -> None:
        """Say what is true when a person ends the deferred task: the service has no cancel (contract 0)."""
        log.warning(
            "Generation %s goes on and is billed: the service cannot cancel it. A retry or a Clear picks it up.",
            self.generation_id,
        )
