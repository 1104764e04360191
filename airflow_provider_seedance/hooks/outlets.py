"""What Airflow is told of a video when it updates an Airflow Asset."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.generation import Generation

log = logging.getLogger(__name__)


def describe_outlets(
    context: Context, outlets: Iterable[Any], generation: Generation, facts: Mapping[str, Any]
) -> None:
    """
    Add to the events of a task's Airflow Assets which video it is, so that a Dag scheduled on one knows what to take.

    Never raises: the task has paid, and before Airflow 3.3 a retry would pay again.

    :param outlets: The task's outlets; those that are no Airflow Assets are left alone.
    :param facts: What else is known: ``path``, ``size``, ``sha256``, ``prompt_fingerprint`` and the like.
    """
    from airflow.sdk import Asset

    extra = {
        "generation_id": generation.generation_id,
        "model": generation.model,
        "resolution": generation.resolution,
        "duration": generation.duration,
        "total_tokens": generation.total_tokens,
        **facts,
    }
    known = {name: value for name, value in extra.items() if value is not None}
    try:
        for outlet in outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra.update(known)
    except Exception:
        log.warning("The events of the outlets say nothing of generation %s.", generation.generation_id, exc_info=True)
