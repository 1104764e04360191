"""Decisions of a poller, as tests look at them."""

from __future__ import annotations

import random

from airflow_provider_seedance.api.outcomes import Finished
from airflow_provider_seedance.api.polling import PollAgain, PollDecision


class Fixed(random.Random):
    """A source of randomness that always gives the same number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


def next_poll(decision: PollDecision) -> float:
    """When it polls again; an outcome fails the test."""
    assert isinstance(decision, PollAgain)
    return decision.next_poll_at


def outcome(decision: PollDecision) -> str | None:
    """How it ended, None if it did not."""
    return decision.outcome if isinstance(decision, Finished) else None
