"""The trigger that waits in the triggerer until an asset can be used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_seedance.api.limits import DEFAULT_ASSET_POLL_INTERVAL


class SeedanceAssetTrigger(BaseTrigger):
    """
    Ask for an asset until it can be used, has failed, or the deadline passed; then send one event.

    :param seedance_conn_id: The connection.
    :param asset_id: The asset.
    :param deadline: Unix seconds after which it looks once more and gives up.
    :param created_at: Unix seconds of the creation: "not found" is tolerated for 20 s from then.
    :param poll_interval: Seconds between two looks.
    """

    def __init__(
        self,
        *,
        seedance_conn_id: str,
        asset_id: str,
        deadline: float,
        created_at: float,
        poll_interval: float = DEFAULT_ASSET_POLL_INTERVAL,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seedance_conn_id = seedance_conn_id
        self.asset_id = asset_id
        self.deadline = deadline
        self.created_at = created_at
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "airflow_provider_seedance.triggers.asset.SeedanceAssetTrigger",
            {
                "seedance_conn_id": self.seedance_conn_id,
                "asset_id": self.asset_id,
                "deadline": self.deadline,
                "created_at": self.created_at,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send one event: ``{"version", "asset_id", "outcome", "reason", "message"}``."""
        from airflow_provider_seedance.api.assets import AssetPoller
        from airflow_provider_seedance.api.polling import to_event
        from airflow_provider_seedance.hooks.seedance import SeedanceHook
        from airflow_provider_seedance.hooks.waiting import wait_async

        poller = AssetPoller(
            self.asset_id,
            deadline=self.deadline,
            submitted_at=self.created_at,
            poll_interval=self.poll_interval,
        )
        decision = await wait_async(SeedanceHook(self.seedance_conn_id), poller, lambda client: client.get_asset)
        yield TriggerEvent(to_event(self.asset_id, decision, key="asset_id"))
