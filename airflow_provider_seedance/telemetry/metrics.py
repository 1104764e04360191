"""
Metrics for dashboards and alerts, through Airflow's own statistics.

Counters: ``seedance.generations.submitted``, ``.reattached``, ``.succeeded``, ``.failed`` (tag ``reason``),
``.tokens``, ``.poll_errors`` (tag ``error``), and ``seedance.assets.poll_errors`` (tag ``error``). Timer:
``seedance.generations.seconds``, from submission to finish. A failure to send a metric never fails the task.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Stats

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation


def count(name: str, by: int = 1, *, noun: str = "generations", **tags: str) -> None:
    """
    Increment the counter ``seedance.<noun>.<name>``.

    :param by: How much to add. Default: 1.
    :param noun: What is counted: ``generations``, the default, or ``assets``.
    :param tags: The counter's tags.
    """
    with suppress(Exception):
        Stats.incr(f"seedance.{noun}.{name}", by, tags=tags)


def count_success(generation: Generation) -> None:
    """Count a finished generation, its tokens, and the time from its submission to its finish."""
    count("succeeded")
    if generation.total_tokens:
        count("tokens", generation.total_tokens)
    if generation.submitted_at and generation.finished_at:
        seconds = max(generation.finished_at - generation.submitted_at, 0)
        with suppress(Exception):
            Stats.timing("seedance.generations.seconds", timedelta(seconds=seconds))
