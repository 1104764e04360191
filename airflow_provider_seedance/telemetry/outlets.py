"""What an event of an Airflow Asset says about the video that caused it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.generation import Generation

log = logging.getLogger(__name__)


def describe_outlets(
    context: Context, outlets: Iterable[Any], generation: Generation, facts: Mapping[str, Any]
) -> None:
    """
    Add the video's facts to the events of a task's Airflow Assets, for Dags that are scheduled on them.

    Never raises: the video is paid for, and before Airflow 3.3 a retry would pay again.

    :param outlets: The task's outlets; those that are not Airflow Assets are ignored.
    :param facts: Further facts: ``path``, ``size``, ``sha256``, ``prompt_fingerprint`` and so on. None is left out.
    """
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
        log.warning(
            "Generation %s could not be described in the events of the task's outlets.",
            generation.generation_id,
            exc_info=True,
        )
