"""The sensor that waits for a generation submitted elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.ids import check_generation_id
from airflow_provider_seedance.api.limits import DEFAULT_POLL_INTERVAL
from airflow_provider_seedance.api.parse import as_int, as_mapping, as_text
from airflow_provider_seedance.api.redact import Redacted, unwrap
from airflow_provider_seedance.api.values import is_literal
from airflow_provider_seedance.sensors.base import BaseSeedanceSensor
from airflow_provider_seedance.tasks import GenerationTask

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.outcomes import Finished


class SeedanceGenerationSensor(GenerationTask, BaseSeedanceSensor):
    """
    Wait for a generation that was submitted elsewhere, and return the same result dictionary as the operator.

    It never submits, so its retries cost nothing.

    :param generation: A generation id, or the result of
        :class:`~airflow_provider_seedance.operators.video.SeedanceGenerateVideoOperator`.
    :param deferrable: True waits in the triggerer; False pokes as ``mode`` says (``poke``, ``reschedule``). Default:
        True, unless ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` says otherwise.
    :param poke_interval: Seconds between status checks. Default: 15, as the vendor recommends.
    :param timeout: Seconds after which it fails with
        :class:`~airflow_provider_seedance.sensors.base.SeedanceSensorTimeoutError`, or skips with ``soft_fail``.
        Airflow does not retry that. Default: 3600.
    :param seedance_conn_id: The connection.
    :returns: As :class:`~airflow_provider_seedance.operators.video.SeedanceGenerateVideoOperator`, also pushed key by
        key.
    :raises SeedanceError: The typed exception of any outcome but success.
    """

    template_fields: Sequence[str] = ("generation", "seedance_conn_id")
    id_field = "generation_id"

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        poke_interval: timedelta | float = DEFAULT_POLL_INTERVAL,
        timeout: timedelta | float = 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        if is_literal(generation):
            check_generation_id(generation)
        self.generation = generation

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Fetch the generation that the trigger's event is about, and return the result or raise its error."""
        from airflow_provider_seedance.jobs.wait import complete_generation

        _, finished, generation = complete_generation(self.hook, event)
        return self._end(finished, generation)

    def _subject_id(self) -> str:
        return check_generation_id(unwrap(self.generation))

    def _result(self, finished: Finished, state: Generation | None) -> dict[str, Any]:
        from airflow_provider_seedance.jobs.wait import require_generation

        generation = require_generation(finished, state)
        self.video_link = Redacted(generation.video_url or "")
        given = as_mapping(unwrap(self.generation))
        self._keep_lineage_facts(generation, upstream_result=given)
        self.log.info("Generation %s succeeded: %s tokens.", generation.generation_id, generation.total_tokens)
        return generation.to_result(
            conn_id=self.seedance_conn_id,
            expected_tokens=as_int(given.get("expected_tokens")),
            prompt_fingerprint=as_text(given.get("prompt_fingerprint")),
        )
