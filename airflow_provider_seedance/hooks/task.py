"""What every operator and sensor here is: hidden rendered values, and a hook that is loaded when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.hooks.hidden import HidesRenderedFields
from airflow_provider_seedance.telemetry.lineage_facts import LineageFacts

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.request import GenerationRequest
    from airflow_provider_seedance.hooks.seedance import SeedanceHook

#: As :attr:`SeedanceHook.default_conn_name`, which is not loaded to parse a Dag.
DEFAULT_CONN_ID = "seedance_default"


def is_literal(value: object) -> bool:
    """Say whether a value is known when the Dag is parsed: neither a template nor the output of another task."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, list | tuple):
        return all(map(is_literal, value))
    return not hasattr(value, "resolve")


class SeedanceTask(HidesRenderedFields):
    """
    Mixed into operators and sensors.

    What a task needs only when it runs is imported only then, here and in the classes that mix this in: a Dag file
    is parsed every few seconds, and pays for what its imports pull in.
    """

    seedance_conn_id: str

    @cached_property
    def hook(self) -> SeedanceHook:
        """The hook for ``seedance_conn_id``."""
        from airflow_provider_seedance.hooks.seedance import SeedanceHook

        return SeedanceHook(self.seedance_conn_id)


class GenerationTask(SeedanceTask):
    """Mixed into what asks for a generation, waits for it or stores it: tells OpenLineage, where that is installed."""

    _told: LineageFacts | None = None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return the task's datasets and run facet, none where it came to no result: OpenLineage's provider asks."""
        from airflow_provider_seedance.telemetry.lineage import operator_lineage

        return operator_lineage(self._told)

    def _tell(
        self,
        generation: Generation,
        *,
        request: GenerationRequest | None = None,
        given: Any = None,
        stored: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Keep what the lineage is made of, which is asked for once the task is over.

        :param given: What the task was handed over as its generation: an id, or a result.
        """
        from airflow_provider_seedance.api.parse import as_mapping

        self._told = LineageFacts(
            generation=generation,
            base_url=self.hook.endpoint.base_url,
            request=request,
            upstream_result=as_mapping(given),
            transfer_result=stored,
        )
