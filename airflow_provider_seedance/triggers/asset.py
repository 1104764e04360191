"""The trigger that waits in the triggerer until an asset can be used."""

from __future__ import annotations

from airflow_provider_seedance.api.limits import DEFAULT_ASSET_POLL_INTERVAL
from airflow_provider_seedance.triggers.base import BaseSeedanceTrigger


class SeedanceAssetTrigger(BaseSeedanceTrigger):
    """
    Poll an asset until it can be used, has failed, or the deadline passed; then send one event.

    :param seedance_conn_id: The connection.
    :param asset_id: The asset.
    :param deadline: Unix seconds at which it polls once more and gives up.
    :param created_at: Unix seconds of the creation: "not found" is tolerated for 20 s from then.
    :param poll_interval: Seconds between status checks. Default: 5.
    :param reattaches: Whether the task's next try finds the asset instead of paying again. Default: True.
    """

    id_field = "asset_id"
    start_field = "created_at"

    def __init__(
        self,
        *,
        seedance_conn_id: str,
        asset_id: str,
        deadline: float,
        created_at: float,
        poll_interval: float = DEFAULT_ASSET_POLL_INTERVAL,
        reattaches: bool = True,
    ) -> None:
        super().__init__(
            seedance_conn_id=seedance_conn_id, deadline=deadline, poll_interval=poll_interval, reattaches=reattaches
        )
        self.asset_id = asset_id
        self.created_at = created_at
