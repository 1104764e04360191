"""The operators that create, reuse and delete assets and their groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedance.api.ids import check_asset_id
from airflow_provider_seedance.api.limits import DEFAULT_ASSET_POLL_INTERVAL
from airflow_provider_seedance.api.parse import as_id, as_mapping
from airflow_provider_seedance.api.recovery import what_next
from airflow_provider_seedance.api.redact import unwrap
from airflow_provider_seedance.api.response import DEFAULT_CONN_ID
from airflow_provider_seedance.api.values import check_choice, check_switches, check_waits
from airflow_provider_seedance.exceptions import SeedanceNotFoundError
from airflow_provider_seedance.tasks import (
    UNKNOWN_ID,
    PayingTask,
    PollingTask,
    SeedanceTask,
    adding,
)
from airflow_provider_seedance.version_compat import (
    DEFAULT_DEFERRABLE,
    fail_without_retry,
    with_retry_policy,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_seedance.api.assets import Asset
    from airflow_provider_seedance.api.outcomes import Finished
    from airflow_provider_seedance.api.polling import AssetPoller

IfExists = Literal["reuse", "create", "fail"]
IfChanged = Literal["create", "fail"]


class _AssetOperator(SeedanceTask, BaseOperator):
    """What the operators here share: the connection."""

    def __init__(self, *, seedance_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**with_retry_policy(kwargs))
        self.seedance_conn_id = seedance_conn_id


class SeedanceCreateAssetGroupOperator(PayingTask, _AssetOperator):
    """
    Create a group for assets, or find the existing one. Creating costs money per call; finding is free.

    :param name: 1 to 64 characters.
    :param description: At most 300 characters.
    :param if_exists: What to do if the key has a group of exactly this name: ``"reuse"`` (default; of several the
        oldest, with a warning), ``"create"`` another, or ``"fail"``.
    :param seedance_conn_id: The connection.
    :returns: The group's id.
    :raises SeedanceError: The typed exception of any failure.
    """

    template_fields: Sequence[str] = ("name", "description", "seedance_conn_id")
    kind_noun = "asset group"

    def __init__(
        self, *, name: str, description: str | None = None, if_exists: IfExists = "reuse", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_choice("if_exists", if_exists, ("reuse", "create", "fail"))
        self.name = name
        self.description = description
        self.if_exists = if_exists

    def execute(self, context: Context) -> str:
        """Find or create the group."""
        from airflow_provider_seedance.jobs.assets import find_or_create_group

        with fail_without_retry():
            self.require_rendered(("name", "description"))
            store, tries = self.store(context), self.tries(context)
            group_id = find_or_create_group(
                self.hook,
                store,
                name=unwrap(self.name),
                description=unwrap(self.description),
                if_exists=self.if_exists,
                tries=tries,
            )
            self.returned = (store, group_id)
            return group_id


class SeedanceCreateAssetOperator(PayingTask, PollingTask, _AssetOperator):
    """
    Create an asset from an image, a video or audio, or find the existing one. Creating costs money per call.

    The service returns nothing of ours but an asset's name, so the name carries the first digits of the content's
    SHA-256: the asset is stored as ``<name>-<12 digits>``. That is how changed content under an old name is noticed,
    and how tomorrow's run finds today's asset. For a link the hash is of the link without its signature: what is behind
    it is not fetched.

    :param group_id: The group it goes into.
    :param name: 1 to 51 characters.
    :param source: An ``https://`` link, a ``data:`` URI (images and audio), or a path (text
        or an object) that ``ObjectStoragePath`` opens.
    :param asset_type: ``Image``, ``Video`` or ``Audio``. Default: detected from the bytes, or a link's ending.
    :param if_exists: What to do if the same content exists under this name: ``"reuse"`` (default), ``"create"``
        another, or ``"fail"``.
    :param if_changed: What to do if *other* content exists under this name: ``"create"`` (default) or ``"fail"``.
    :param wait_until_active: Wait until the asset can be used. Default: True.
    :param deferrable: True waits in the triggerer; False waits in the worker, holding its slot. Default: True, unless
        ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` says otherwise.
    :param poll_interval: Seconds between status checks. Default: 5.
    :param timeout: Seconds to wait. Default: 300.
    :param seedance_conn_id: The connection.
    :returns: ``{"asset_id", "asset_uri", "status", "group_id"}``, also pushed key by key. ``asset_uri`` is what a
        generation takes.
    :raises SeedanceError: The typed exception of any failure.
    """

    template_fields: Sequence[str] = ("group_id", "name", "source", "asset_type", "seedance_conn_id")
    kind_noun = "asset"

    def __init__(
        self,
        *,
        group_id: str,
        name: str,
        source: str | os.PathLike[str] | ObjectStoragePath,
        asset_type: str | None = None,
        if_exists: IfExists = "reuse",
        if_changed: IfChanged = "create",
        wait_until_active: bool = True,
        deferrable: bool = DEFAULT_DEFERRABLE,
        poll_interval: float = DEFAULT_ASSET_POLL_INTERVAL,
        timeout: float = 300.0,
        **kwargs: Any,
    ) -> None:
        check_waits(poll_interval=poll_interval, timeout=timeout)
        check_switches(wait_until_active=wait_until_active, deferrable=deferrable)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        check_choice("if_exists", if_exists, ("reuse", "create", "fail"))
        check_choice("if_changed", if_changed, ("create", "fail"))
        self.group_id = group_id
        self.name = name
        self.source = source
        self.asset_type = asset_type
        self.if_exists = if_exists
        self.if_changed = if_changed
        self.wait_until_active = wait_until_active
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout

    def execute(self, context: Context) -> dict[str, Any]:
        """Find or create the asset, then wait until it can be used."""
        from airflow_provider_seedance.files.places import check_origin
        from airflow_provider_seedance.jobs.assets import find_or_create_asset
        from airflow_provider_seedance.jobs.wait import asset_as_created

        with fail_without_retry():
            self.require_rendered(("group_id", "name", "source", "asset_type"))
            check_origin(unwrap(self.source), self.texts_of_dag, "source")
            ti = context["ti"]
            asset_id = find_or_create_asset(
                self.hook,
                self.store(context),
                group_id=unwrap(self.group_id),
                name=unwrap(self.name),
                source=unwrap(self.source),
                asset_type=self.asset_type,
                if_exists=self.if_exists,
                if_changed=self.if_changed,
                tries=self.tries(context),
                task_instance=(ti.dag_id, ti.task_id, ti.run_id, str(ti.map_index)),
            )
            if not self.wait_until_active:
                return self._result(context, asset_as_created(self.hook, unwrap(self.group_id), asset_id))
            finished, asset = self._wait(self._poller(asset_id))
            return self._result(context, self._active(asset_id, finished, asset))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Fetch the asset that the trigger's event is about, and return the result or raise its error."""
        from airflow_provider_seedance.jobs.wait import complete_asset

        with fail_without_retry():
            store = self.store(context)
            known = as_id(as_mapping(event).get("asset_id")) or store.created_id() or UNKNOWN_ID
            with adding(what_next("asset", known, reattaches=store.reattaches)):
                asset_id, finished, asset = complete_asset(self.hook, event)
            return self._result(context, self._active(asset_id, finished, asset))

    def _waited_for(self, context: Context) -> tuple[str, str]:
        return "asset", self.store(context).created_id() or UNKNOWN_ID

    def _poller(self, asset_id: str) -> AssetPoller:
        from airflow_provider_seedance.api.polling import AssetPoller

        now = self.clock.now()
        return AssetPoller(asset_id, deadline=now + self.timeout, submitted_at=now, poll_interval=self.poll_interval)

    def _active(self, asset_id: str, finished: Finished, asset: Asset | None) -> Asset:
        """Return the asset of a wait that succeeded."""
        from airflow_provider_seedance.jobs.wait import require_asset, wait_by_listing

        if finished.reason in ("not_found", "no_route"):
            return wait_by_listing(self.hook, unwrap(self.group_id), self._poller(asset_id))
        with adding("" if finished.outcome == "failed" else what_next("asset", asset_id, reattaches=self.reattaches)):
            return require_asset(finished, asset)

    def _result(self, context: Context, asset: Asset) -> dict[str, Any]:
        """Return the result."""
        self.returned = (self.store(context), asset.asset_id)
        return asset.to_result(group_id=unwrap(self.group_id))


class SeedanceDeleteAssetOperator(_AssetOperator):
    """
    Delete an asset: for ``.as_teardown()``. Deleting an asset that no longer exists is not an error.

    The vendor's page does not promise the route; if the service lacks it, the error says so.

    :param asset: An asset's id, its ``asset://`` form, or the result of :class:`SeedanceCreateAssetOperator`.
    :param seedance_conn_id: The connection.
    :raises SeedanceError: The typed exception of any other failure.
    """

    template_fields: Sequence[str] = ("asset", "seedance_conn_id")

    def __init__(self, *, asset: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asset = asset

    def execute(self, context: Context) -> None:
        """Delete the asset."""
        with fail_without_retry():
            asset_id = check_asset_id(unwrap(self.asset))
            try:
                self.hook.delete_asset(asset_id)
            except SeedanceNotFoundError as e:
                if not e.is_from_service:
                    raise
                self.log.info("Asset %s no longer exists.", asset_id)
            else:
                self.log.info("Deleted asset %s.", asset_id)
