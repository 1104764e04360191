"""The operators that create, reuse and delete assets and their groups."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedance.api.limits import DEFAULT_ASSET_POLL_INTERVAL
from airflow_provider_seedance.exceptions import SeedanceNotFoundError, SeedanceRequestError
from airflow_provider_seedance.hooks.airflow_compat import final_errors_fail, with_retry_policy
from airflow_provider_seedance.hooks.hidden import reveal
from airflow_provider_seedance.hooks.task import DEFAULT_CONN_ID, SeedanceTask

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedance.api.assets import Asset, AssetPoller
    from airflow_provider_seedance.api.polling import PollDecision
    from airflow_provider_seedance.files.inputs import AssetSource
    from airflow_provider_seedance.hooks.creation import CreationMemory

IfExists = Literal["reuse", "create", "fail"]
IfChanged = Literal["create", "fail"]


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SeedanceRequestError(f"{name!r} must be one of {', '.join(choices)}; got {value!r}.", field=name)


class _AssetOperator(SeedanceTask, BaseOperator):
    """What the operators here share: the connection, and how often a task was cleared."""

    ui_color = "#efe6ff"

    def __init__(self, *, seedance_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**with_retry_policy(kwargs))
        self.seedance_conn_id = seedance_conn_id

    def _memory(self, context: Context, *what: str) -> CreationMemory:
        from airflow_provider_seedance.api.fingerprint import digest
        from airflow_provider_seedance.hooks.creation import CreationMemory

        first_try = max(int(context["ti"].max_tries) - int(self.retries or 0) + 1, 1)
        return CreationMemory(context, digest([self.seedance_conn_id, *what]), first_try)


class SeedanceCreateAssetGroupOperator(_AssetOperator):
    """
    Create a group for assets, or find the one that is there. Creating costs money per call; finding is free.

    :param name: 1 to 64 characters.
    :param description: At most 300 characters.
    :param if_exists: What to do where the key has a group of exactly this name: ``"reuse"`` (default; of several the
        oldest, with a warning), ``"create"`` another, or ``"fail"``.
    :param seedance_conn_id: The connection.
    :returns: The group's id.
    """

    template_fields: Sequence[str] = ("name", "description", "seedance_conn_id")

    def __init__(
        self, *, name: str, description: str | None = None, if_exists: IfExists = "reuse", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        _check_choice("if_exists", if_exists, ("reuse", "create", "fail"))
        self.name = name
        self.description = description
        self.if_exists = if_exists

    def execute(self, context: Context) -> str:
        """Find or create the group."""
        from airflow_provider_seedance.api.assets import MAX_DESCRIPTION, check_name
        from airflow_provider_seedance.hooks.creation import create_once

        with final_errors_fail():
            name = check_name(reveal(self.name))
            description = reveal(self.description)
            if description and len(description) > MAX_DESCRIPTION:
                raise SeedanceRequestError(
                    f"'description' has {len(description)} characters; {MAX_DESCRIPTION} is the most.",
                    field="description",
                )
            memory = self._memory(context, "group", name)
            if memory.load() == (None, None) and (found := self._found(name)):
                return found
            return create_once(
                memory, lambda: self._ids(name), partial(self.hook.create_asset_group, name, description)
            )

    def _ids(self, name: str) -> set[str]:
        return {group.group_id for group in self.hook.list_asset_groups(name) if group.name == name}

    def _found(self, name: str) -> str | None:
        if self.if_exists == "create":
            return None
        ids = sorted(self._ids(name))
        if not ids:
            return None
        if self.if_exists == "fail":
            raise SeedanceRequestError(
                f"There is a group named {name!r} already: {', '.join(ids[:5])}. "
                "Choose another 'name', or if_exists='reuse'.",
                field="name",
            )
        if len(ids) > 1:
            self.log.warning("%d groups are named %r: reusing the oldest, %s.", len(ids), name, ids[0])
        self.log.info("Reusing group %s: no new cost.", ids[0])
        return ids[0]


class SeedanceCreateAssetOperator(_AssetOperator):
    """
    Create an asset from a picture, a video or sound, or find the one that is there. Creating costs money per call.

    The service hands back nothing of ours but an asset's name, so the first digits of the content's SHA-256 are kept
    in it: the asset is stored as ``<name>-<12 digits>``. That is how a changed picture under an old name is noticed,
    and how tomorrow's run finds today's asset. For a link the hash is of the link without its signature: what lies
    behind it is not fetched.

    :param group_id: The group it goes to.
    :param name: 1 to 51 characters.
    :param source: An ``https://`` link, a ``data:`` URI (images and sound), or a path that ``ObjectStoragePath`` opens.
    :param asset_type: ``Image``, ``Video`` or ``Audio``. Default: found from the bytes, or a link's ending.
    :param if_exists: What to do where the same content is there under this name: ``"reuse"`` (default), ``"create"``
        another, or ``"fail"``.
    :param if_changed: What to do where *other* content is there under this name: ``"create"`` (default) or ``"fail"``.
    :param wait_until_active: Wait until the asset can be used. Default: True.
    :param deferrable: Wait in the triggerer. False waits in the worker, holding its slot.
    :param poll_interval: Seconds between two looks. Default: 5.
    :param timeout: Seconds to wait. Default: 300.
    :param seedance_conn_id: The connection.
    :returns: ``{"asset_id", "asset_uri", "status", "group_id"}``, also pushed key by key. ``asset_uri`` is what a
        generation takes.
    """

    template_fields: Sequence[str] = ("group_id", "name", "source", "asset_type", "seedance_conn_id")

    def __init__(
        self,
        *,
        group_id: str,
        name: str,
        source: str,
        asset_type: str | None = None,
        if_exists: IfExists = "reuse",
        if_changed: IfChanged = "create",
        wait_until_active: bool = True,
        deferrable: bool = True,
        poll_interval: float = DEFAULT_ASSET_POLL_INTERVAL,
        timeout: float = 300.0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        _check_choice("if_exists", if_exists, ("reuse", "create", "fail"))
        _check_choice("if_changed", if_changed, ("create", "fail"))
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
        from airflow_provider_seedance.api.assets import DIGEST_DIGITS, MAX_NAME, AssetPoller, check_name
        from airflow_provider_seedance.api.generation import check_generation_id
        from airflow_provider_seedance.files.inputs import read_source
        from airflow_provider_seedance.hooks.waiting import StatusLog, look, wait

        with final_errors_fail():
            group_id = check_generation_id(reveal(self.group_id), parameter="group_id")
            name = check_name(reveal(self.name), longest=MAX_NAME - DIGEST_DIGITS - 1)
            source = read_source(reveal(self.source), self.asset_type or None)
            asset_id = self._find_or_create(context, group_id, name, source)
            if not self.wait_until_active:
                return self.hook.get_asset(asset_id).to_result(group_id=group_id)
            now = time.time()
            poller = AssetPoller(
                asset_id, deadline=now + self.timeout, submitted_at=now, poll_interval=self.poll_interval
            )
            ask, status_log = partial(self.hook.get_asset, attempts=1), StatusLog(poller)
            decision, asset = look(self.hook, poller, status_log, ask)
            if decision.outcome is None and self.deferrable:
                self._defer(poller)
            if decision.outcome is None:
                decision, asset = wait(self.hook, poller, decision, status_log, ask)
            return self._active(decision, asset, asset_id).to_result(group_id=group_id)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Take the trigger's event, and return the result or raise its error."""
        from airflow_provider_seedance.api.polling import from_event
        from airflow_provider_seedance.hooks.waiting import fetch_asset

        with final_errors_fail():
            asset_id, decision = from_event(event, key="asset_id")
            asset = fetch_asset(self.hook, asset_id, decision)
            return self._active(decision, asset, asset_id).to_result(group_id=reveal(self.group_id))

    def _find_or_create(self, context: Context, group_id: str, name: str, source: AssetSource) -> str:
        from airflow_provider_seedance.api.assets import MAX_NAME, content_name
        from airflow_provider_seedance.api.fingerprint import digest
        from airflow_provider_seedance.hooks.creation import create_once

        stored_name = content_name(name, source.digest)
        memory = self._memory(context, "asset", group_id, stored_name)
        if memory.load() == (None, None) and (found := self._found(group_id, name, stored_name)):
            return found
        if self.if_exists == "create":  # names are unique in a group, and another of the same content is wanted
            stored_name = f"{stored_name[: MAX_NAME - 9]}-{digest([context['ti'].run_id, stored_name])[:8]}"
        created = create_once(
            memory,
            lambda: {
                a.asset_id for a in self.hook.list_assets(group_id=group_id, name=stored_name) if a.name == stored_name
            },
            partial(self.hook.create_asset, group_id, stored_name, source),
        )
        self.log.info("Asset %s (%s) is in group %s as %r.", created, source.asset_type, group_id, stored_name)
        return created

    def _found(self, group_id: str, name: str, stored_name: str) -> str | None:
        """Look for the same content, and for other content, under the name."""
        from airflow_provider_seedance.api.assets import is_content_of

        if self.if_exists == "create":
            return None
        assets = [
            asset
            for asset in self.hook.list_assets(group_id=group_id, name=name)
            if asset.name == name or is_content_of(name, asset.name)
        ]
        same = sorted((asset for asset in assets if asset.name == stored_name), key=lambda asset: asset.asset_id)
        if same and self.if_exists == "fail":
            raise SeedanceRequestError(
                f"Asset {same[0].asset_id} has this content under the name {name!r} already. "
                "Choose another 'name', or if_exists='reuse'.",
                field="name",
            )
        if same:
            if same[0].is_failed:
                raise same[0].to_error()
            self.log.info("Reusing asset %s: same name and same content, no new cost.", same[0].asset_id)
            return same[0].asset_id
        if assets and self.if_changed == "fail":
            raise SeedanceRequestError(
                f"Asset {assets[0].asset_id} has other content under the name {name!r}. "
                "Choose another 'name', or if_changed='create'.",
                field="source",
            )
        if assets:
            self.log.warning("%r has other content than before: creating a new asset.", name)
        return None

    def _defer(self, poller: AssetPoller) -> NoReturn:
        from airflow_provider_seedance.triggers.asset import SeedanceAssetTrigger

        self.log.info("Deferring until asset %s can be used; no worker is held meanwhile.", poller.subject_id)
        self.defer(
            trigger=SeedanceAssetTrigger(
                seedance_conn_id=self.seedance_conn_id,
                asset_id=poller.subject_id,
                deadline=poller.deadline,
                created_at=poller.submitted_at,
                poll_interval=poller.poll_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + 300),
        )

    def _active(self, decision: PollDecision, asset: Asset | None, asset_id: str) -> Asset:
        from airflow_provider_seedance.hooks.waiting import require_active

        if decision.outcome == "not_found":  # some channels list what they do not get (contract 8.16)
            listed = self.hook.list_assets(group_id=reveal(self.group_id))
            asset = next((found for found in listed if found.asset_id == asset_id and found.is_active), None)
            if asset is not None:
                return asset
        return require_active(decision, asset)


class SeedanceDeleteAssetOperator(_AssetOperator):
    """
    Delete an asset: for ``.as_teardown()``. An asset that is gone already is no error.

    The vendor's page does not promise the route; where the service lacks it, the error says so.

    :param asset: An asset's id, its ``asset://`` form, or the result of :class:`SeedanceCreateAssetOperator`.
    :param seedance_conn_id: The connection.
    """

    template_fields: Sequence[str] = ("asset", "seedance_conn_id")

    def __init__(self, *, asset: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asset = asset

    def execute(self, context: Context) -> None:
        """Delete the asset."""
        from airflow_provider_seedance.api.assets import check_asset_id

        with final_errors_fail():
            asset_id = check_asset_id(reveal(self.asset))
            try:
                self.hook.delete_asset(asset_id)
            except SeedanceNotFoundError:
                self.log.info("Asset %s is gone already.", asset_id)
            else:
                self.log.info("Deleted asset %s.", asset_id)
