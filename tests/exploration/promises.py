"""
The promises about money, checked as a world goes on.

- No second payment, unless a person cleared the task after its success or after a message of the doubt, or
  ``"resubmit"`` was chosen, or the first one failed and was refunded, or a person cleared a task with another request.
- What was paid for is delivered, or its id or time is in the message of the failure that ended the task. If the worker
  or Airflow itself failed, there is no such message: then the record must be there, for the next try to say it.

Two more are checked where they arise: nothing waits for ever (``World.run_try``), and no task ends green with a video
that the present request did not ask for, unless the log warned (``World.run_try`` too).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_seedance.api.generation import iso
from tests.exploration.faults import UnreachableError
from tests.exploration.service import Paid

if TYPE_CHECKING:
    from tests.exploration.world import World


def broken_by_paying(world: World) -> Iterator[str]:
    """Say what speaks against paying now."""
    for item in world.service.paid:
        if not _may_pay_after(world, item):
            yield (
                f"Step {len(world.trace) - 1} pays again in try {world.try_number}: {item.id}, paid for at "
                f"{iso(item.at)}, is neither refunded, nor was the task cleared after its delivery or its doubt."
            )


def _may_pay_after(world: World, item: Paid) -> bool:
    if world.service.refunded(item):
        return True
    doubtful = item.denied or (not item.told and not world.has_recorded(item))
    delivered = item.delivered is not None and item.delivered < world.clearings
    decided = item.named is not None and item.named < world.clearings
    edited = item.request != world.request and item.clearing < world.clearings
    return delivered or edited or (doubtful and (decided or world.scenario.resubmit))


def broken_by_ending(world: World, error: Exception | None) -> Iterator[str]:
    """Say what was paid for and is not accounted for at the task's end."""
    without_message = world.state == "failed" and (error is None or isinstance(error, UnreachableError))
    for number, item in enumerate(world.service.paid, 1):
        superseded = number < len(world.service.paid)
        accounted = (
            item.delivered is not None
            or item.named is not None
            or world.service.refunded(item)
            or (superseded and (world.scenario.resubmit or item.request != world.request))
            or (without_message and bool(world.values))
        )
        if not accounted:
            yield (
                f"The task ended as {world.state} ({error!r}) and says nothing of {item.id}, paid for at "
                f"{iso(item.at)}."
            )
