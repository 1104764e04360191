"""The sensor that waits until an asset can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.ids import check_asset_id
from airflow_provider_seedance.api.limits import DEFAULT_ASSET_POLL_INTERVAL
from airflow_provider_seedance.api.redact import unwrap
from airflow_provider_seedance.api.values import is_literal
from airflow_provider_seedance.sensors.base import BaseSeedanceSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.assets import Asset
    from airflow_provider_seedance.api.outcomes import Finished


class SeedanceAssetSensor(BaseSeedanceSensor):
    """
    Wait until an asset that was created elsewhere can be used.

    :param asset: An asset's id, its ``asset://`` form, or the result of
        :class:`~airflow_provider_seedance.operators.assets.SeedanceCreateAssetOperator`.
    :param deferrable: True waits in the triggerer; False pokes as ``mode`` says (``poke``, ``reschedule``). Default:
        True, unless ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` says otherwise.
    :param poke_interval: Seconds between status checks. Default: 5.
    :param timeout: Seconds after which it fails with
        :class:`~airflow_provider_seedance.sensors.base.SeedanceSensorTimeoutError`. Default: 300.
    :param seedance_conn_id: The connection.
    :returns: ``{"asset_id", "asset_uri", "status", "group_id"}``, also pushed key by key.
    :raises SeedanceError: The typed exception of any outcome but success.
    """

    template_fields: Sequence[str] = ("asset", "seedance_conn_id")
    id_field = "asset_id"

    def __init__(
        self,
        *,
        asset: str | Mapping[str, Any],
        poke_interval: timedelta | float = DEFAULT_ASSET_POLL_INTERVAL,
        timeout: timedelta | float = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        if is_literal(asset):
            check_asset_id(asset)
        self.asset = asset

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Fetch the asset that the trigger's event is about, and return the result or raise its error."""
        from airflow_provider_seedance.jobs.wait import complete_asset

        _, finished, asset = complete_asset(self.hook, event)
        return self._end(finished, asset)

    def _subject_id(self) -> str:
        return check_asset_id(unwrap(self.asset))

    def _result(self, finished: Finished, state: Asset | None) -> dict[str, Any]:
        from airflow_provider_seedance.jobs.wait import require_asset

        return require_asset(finished, state).to_result()
