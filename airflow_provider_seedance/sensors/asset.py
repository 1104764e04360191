"""The sensor that waits until an asset can be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.limits import DEFAULT_ASSET_POLL_INTERVAL
from airflow_provider_seedance.hooks.hidden import reveal
from airflow_provider_seedance.sensors.base import BaseSeedanceSensor

if TYPE_CHECKING:
    from airflow_provider_seedance.api.assets import Asset, AssetPoller
    from airflow_provider_seedance.api.polling import BasePoller, PollDecision
    from airflow_provider_seedance.triggers.asset import SeedanceAssetTrigger


class SeedanceAssetSensor(BaseSeedanceSensor):
    """
    Wait until an asset that was created elsewhere can be used.

    :param asset: An asset's id, its ``asset://`` form, or the result of
        :class:`~airflow_provider_seedance.operators.assets.SeedanceCreateAssetOperator`.
    :param deferrable: True (default) waits in the triggerer; False pokes as ``mode`` says (``poke``, ``reschedule``).
    :param poke_interval: Seconds between two looks. Default: 5.
    :param timeout: Seconds after which it fails with
        :class:`~airflow_provider_seedance.exceptions.SeedanceSensorTimeoutError`. Default: 300.
    :param seedance_conn_id: The connection.
    :returns: ``{"asset_id", "asset_uri", "status", "group_id"}``, also pushed key by key.
    """

    template_fields: Sequence[str] = ("asset", "seedance_conn_id")
    event_key = "asset_id"

    def __init__(
        self,
        *,
        asset: str | Mapping[str, Any],
        poke_interval: timedelta | float = DEFAULT_ASSET_POLL_INTERVAL,
        timeout: timedelta | float = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.asset = asset

    def _poller(
        self, *, deadline: float, submitted_at: float | None = None, counts: Mapping[str, Any] | None = None
    ) -> AssetPoller:
        from airflow_provider_seedance.api.assets import AssetPoller, check_asset_id

        return AssetPoller(
            check_asset_id(reveal(self.asset)),
            deadline=deadline,
            submitted_at=submitted_at or time.time(),
            poll_interval=max(self.poke_interval, 0.001),
            counts=counts,
        )

    def _asker(self) -> Callable[[str], Asset]:
        return partial(self.hook.get_asset, attempts=1)

    def _trigger(self, poller: BasePoller) -> SeedanceAssetTrigger:
        from airflow_provider_seedance.triggers.asset import SeedanceAssetTrigger

        return SeedanceAssetTrigger(
            seedance_conn_id=self.seedance_conn_id,
            asset_id=poller.subject_id,
            deadline=poller.deadline,
            created_at=poller.submitted_at,
            poll_interval=poller.poll_interval,
        )

    def _fetch(self, subject_id: str, decision: PollDecision) -> Asset | None:
        from airflow_provider_seedance.hooks.waiting import fetch_asset

        return fetch_asset(self.hook, subject_id, decision)

    def _result(self, decision: PollDecision, state: Asset | None) -> dict[str, Any]:
        from airflow_provider_seedance.hooks.waiting import require_active

        return require_active(decision, state).to_result()
