"""What a task keeps for its lineage. Imports nothing of OpenLineage, which may not be installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class LineageFacts:
    """
    What :func:`~airflow_provider_seedance.telemetry.lineage.operator_lineage` needs to know about a finished task.

    :param generation: As the service describes it, or just its id if the task did not wait for it.
    :param base_url: The service's address.
    :param request: The request, if this task sent it.
    :param upstream_result: The result of the task that sent the request, if this task received it.
    :param transfer_result: The result of the transfer, if this task is one: ``path``, ``size`` and ``sha256``, and
        under ``last_frame`` the same for the last frame.
    """

    generation: Generation
    base_url: str
    request: GenerationRequest | None = field(default=None, repr=False)
    upstream_result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    transfer_result: Mapping[str, Any] | None = field(default=None, repr=False)
