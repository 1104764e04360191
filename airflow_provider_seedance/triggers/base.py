"""What the triggers share: arguments that Airflow may store, one wait, one event."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_seedance.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from airflow_provider_seedance.api.polling import BasePoller


class BaseSeedanceTrigger(BaseTrigger):
    """
    Polls until there is an outcome or the deadline has passed, then sends one event.

    Arguments and event contain ids, numbers and short words only: Airflow stores both and logs the event. A triggerer
    that restarts runs it again from its arguments; its counters restart at zero, which does no harm.
    """

    #: The argument that is the id of what is waited for, and its name in the event.
    id_field: ClassVar[str]
    #: The argument that is the time from which "not found" is tolerated for a while.
    start_field: ClassVar[str]
    #: The time that waits are measured by.
    clock: Clock = SYSTEM_CLOCK

    def __init__(
        self, *, seedance_conn_id: str, deadline: float, poll_interval: float, reattaches: bool = True
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seedance_conn_id = seedance_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.reattaches = reattaches

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        names = ("seedance_conn_id", self.id_field, "deadline", self.start_field, "poll_interval")
        arguments = {name: getattr(self, name) for name in names}
        # for triggerers of an older release it is left out where nothing reads it: only on_kill does, from Airflow 3.3
        if not self.reattaches and hasattr(BaseTrigger, "on_kill"):
            arguments["reattaches"] = False
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    @classmethod
    def of(cls, poller: BasePoller[Any], conn_id: str, *, reattaches: bool = True) -> Self:
        """
        Return a trigger that continues a poller's wait.

        :param reattaches: Whether the task's next try finds what is waited for.
        """
        subject = {cls.id_field: poller.subject_id, cls.start_field: poller.submitted_at}
        settings: dict[str, Any] = {"deadline": poller.deadline, "poll_interval": poller.poll_interval, **subject}
        return cls(seedance_conn_id=conn_id, reattaches=reattaches, **settings)

    def poller(self) -> BasePoller[Any]:
        """Return the poller of the wait."""
        from airflow_provider_seedance.api.polling import POLLERS

        return POLLERS[self.id_field](
            getattr(self, self.id_field),
            deadline=self.deadline,
            submitted_at=getattr(self, self.start_field),
            poll_interval=self.poll_interval,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send one event: ``{"version", <id_field>, "outcome", "reason", "message"}``."""
        from airflow_provider_seedance.api.outcomes import to_event
        from airflow_provider_seedance.hooks.async_client import shared_client
        from airflow_provider_seedance.jobs.wait import wait_async

        poller = self.poller()
        async with shared_client(self.seedance_conn_id) as client:
            finished = await wait_async(client, poller, self.clock)
        yield TriggerEvent(to_event(poller.subject_id, finished, key=self.id_field))
