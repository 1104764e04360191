"""
Counters for the team's dashboards, through Airflow's own statistics.

``seedance.generations.submitted``, ``.reattached``, ``.succeeded``, ``.failed`` (tag ``reason``), ``.tokens``,
``.poll_errors`` (tag ``error``), and the timing ``.seconds`` from submission to done.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Stats

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation

_PREFIX = "seedance.generations"


def count(name: str, by: int = 1, **tags: str) -> None:
    """Raise a counter. Trouble with statistics never becomes the task's."""
    with contextlib.suppress(Exception):
        Stats.incr(f"{_PREFIX}.{name}", by, tags=tags)


def count_success(generation: Generation) -> None:
    """Count a finished generation: its tokens and how long it took from submission."""
    count("succeeded")
    if generation.total_tokens:
        count("tokens", generation.total_tokens)
    if generation.submitted_at and generation.finished_at:
        took = timedelta(seconds=max(generation.finished_at - generation.submitted_at, 0))
        with contextlib.suppress(Exception):
            Stats.timing(f"{_PREFIX}.seconds", took)
