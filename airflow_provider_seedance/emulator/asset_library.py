"""All groups and assets that an emulator remembers, each key's apart from the others', and what is done with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_seedance.emulator.asset_media import BadMedia, Facts
from airflow_provider_seedance.emulator.asset_requests import NewAsset, Query, Source
from airflow_provider_seedance.emulator.assets import Asset, AssetGroup, AssetOptions, asset_error
from airflow_provider_seedance.emulator.envelopes import Refusal, upstream_error
from airflow_provider_seedance.emulator.faults import FaultList
from airflow_provider_seedance.emulator.rules import Stored

_Listed = TypeVar("_Listed", Asset, AssetGroup)

#: content type of a generation's request -> the type of asset that it takes
_TYPES = {"image_url": "Image", "video_url": "Video", "audio_url": "Audio"}


def no_group(group_id: str, status: int = 404) -> Refusal:
    """Return the refusal of a group that is unknown, another key's, or (400) too young."""
    message = f"[NotFound.group_id] The specified asset group {group_id} is not found."
    return asset_error(status, "NotFound.group_id", message)


def no_asset(asset_id: str) -> Refusal:
    """Return the refusal of an asset that is unknown, another key's, or not yet found."""
    return asset_error(404, "NotFound.asset_id", f"[NotFound.asset_id] The specified asset {asset_id} is not found.")


@dataclass
class AssetLibrary:
    """Groups and assets by id, in order of creation; the deleted ones, too.

    Every method that finds one by its id raises :class:`~.envelopes.Refusal`: 404 where the key has none of this id,
    and 400 for a group that a fault keeps from being found yet.

    :param processing: seconds that an asset is processed for
    :param faults: where the fates of new groups and assets come from
    :param keep: is called with each group or asset that is new or has changed
    """

    options: AssetOptions
    processing: float
    faults: FaultList
    groups: dict[str, AssetGroup] = field(default_factory=dict)
    assets: dict[str, Asset] = field(default_factory=dict)
    keep: Callable[[AssetGroup | Asset], None] = lambda changed: None

    def create_group(self, token: int, name: str, description: str, now: float) -> AssetGroup:
        """Make and charge a group."""
        group = AssetGroup.create(token, name, description, now)
        fate = self.faults.strike("asset_group_fate")
        if fate is not None:
            group.usable += fate.visible_after or 0
        self.groups[group.id] = group
        self.keep(group)
        return group

    def group(self, token: int, group_id: str, now: float) -> AssetGroup:
        """Find a group."""
        found = self.groups.get(group_id)
        if found is None or found.token != token or found.deleted:
            raise no_group(group_id)
        if now < found.usable:
            raise no_group(group_id, 400)
        return found

    def update_group(self, token: int, group_id: str, changes: Mapping[str, str], now: float) -> None:
        """Rename a group, or describe it anew."""
        group = self.group(token, group_id, now)
        group.name = changes.get("Name", group.name)
        group.description = changes.get("Description", group.description)
        group.updated = now
        self.keep(group)

    def delete_group(self, token: int, group_id: str, now: float) -> None:
        """Delete a group and all that is in it."""
        group = self.group(token, group_id, now)
        group.deleted = True
        self.keep(group)
        for asset in self._members(group_id):
            asset.deleted = True
            self.keep(asset)

    def create_asset(self, token: int, new: NewAsset, source: Source, judged: Facts | BadMedia, now: float) -> Asset:
        """Make and charge an asset.

        :param judged: what its bytes tell, or why it will fail
        :raises Refusal: 404 as if there were no such group for a name that is taken (contract 4.2)
        """
        self._check_name(token, new.group_id, new.name, now)
        asset = Asset.create(token, new.group_id, new.name, new.type, new.model, now, self.processing)
        asset.url, asset.data = source.url, source.data
        if isinstance(judged, BadMedia):
            asset.error_code, asset.error_message = judged.code, judged.message
        else:
            asset.width, asset.height, asset.seconds = judged.width, judged.height, judged.seconds
        fate = self.faults.strike("asset_fate")
        if fate is not None:
            asset.suffer(fate)
        self.assets[asset.id] = asset
        self.keep(asset)
        return asset

    def asset(self, token: int, asset_id: str, now: float) -> Asset:
        """Find an asset."""
        found = self.assets.get(asset_id)
        if found is None or found.token != token or found.deleted or now < found.usable:
            raise no_asset(asset_id)
        return found

    def rename_asset(self, token: int, asset_id: str, name: str, now: float) -> None:
        """Give an asset another name.

        :raises Refusal: 404 for a name that is taken, as at creation
        """
        asset = self.asset(token, asset_id, now)
        if name != asset.name:
            self._check_name(token, asset.group_id, name, now)
        asset.name, asset.updated = name, now
        self.keep(asset)

    def delete_asset(self, token: int, asset_id: str, now: float) -> None:
        """Delete an asset; its name is free again."""
        asset = self.asset(token, asset_id, now)
        asset.deleted = True
        self.keep(asset)

    def _members(self, group_id: str) -> list[Asset]:
        return [asset for asset in self.assets.values() if asset.group_id == group_id and not asset.deleted]

    def _check_name(self, token: int, group_id: str, name: str, now: float) -> None:
        """Refuse a name that is taken in a group. Several assets without any can be in one."""
        self.group(token, group_id, now)
        if name and any(asset.name == name for asset in self._members(group_id)):
            raise no_group(group_id)

    def list_groups(self, token: int, query: Query) -> dict[str, Any]:
        """Return a page of a key's groups."""
        found = [
            group
            for group in self.groups.values()
            if group.token == token
            and not group.deleted
            and query.name.lower() in group.listed_name.lower()
            and (not query.group_ids or group.id in query.group_ids)
        ]
        keys: dict[str, Callable[[AssetGroup], Any]] = {
            "CreateTime": lambda group: group.created,
            "UpdateTime": lambda group: group.updated,
            "GroupId": lambda group: group.id,
        }
        return self._page(sorted(found, key=keys[query.sort_by]), query, AssetGroup.told)

    def list_assets(self, token: int, query: Query, now: float, link: Callable[[Asset], str]) -> dict[str, Any]:
        """Return a page of a key's assets; those that are not yet found by their id, too."""
        found = [
            asset
            for asset in self.assets.values()
            if asset.token == token
            and not asset.deleted
            and query.name.lower() in asset.name.lower()
            and (not query.group_ids or asset.group_id in query.group_ids)
            and (not query.statuses or asset.status(now) in query.statuses)
        ]
        keys: dict[str, Callable[[Asset], Any]] = {
            "CreateTime": lambda asset: asset.created,
            "UpdateTime": lambda asset: asset.changed(now),
            "GroupId": lambda asset: asset.group_id,
        }
        return self._page(sorted(found, key=keys[query.sort_by]), query, lambda asset: asset.told(now, link))

    def _page(
        self, found: Sequence[_Listed], query: Query, told: Callable[[_Listed], dict[str, Any]]
    ) -> dict[str, Any]:
        ordered = found[::-1] if query.descending else found
        start = (query.number - 1) * query.size
        return {
            "PageNumber": query.number,
            "PageSize": query.size,
            "TotalCount": max(0, len(found) + self.options.count_error),
            "Items": [told(entry) for entry in ordered[start : start + query.size]],
        }

    def use(self, token: int, asset_id: str, kind: str, now: float) -> Stored:
        """Return what a generation takes from an asset that its request names.

        :param kind: ``image_url``, ``video_url`` or ``audio_url``
        :raises Refusal: E3 of contract 3.4: unknown, another key's, not (or never) ``Active``, or of another type
        """
        try:
            asset = self.asset(token, asset_id, now)
        except Refusal:
            if self.options.unknown == "accept":
                return Stored()
            raise _unusable(f"The specified asset {asset_id} is not found.") from None
        status = asset.status(now)
        if status == "Processing":
            raise _unusable(f"The specified asset is still processing and is not available yet: {asset_id}.")
        if status != "Active":
            raise _unusable(f"The specified asset {asset_id} is not found.")
        if asset.type != _TYPES[kind]:
            raise _unusable(f"The specified asset {asset_id} is of type {asset.type}, {kind} needs {_TYPES[kind]}.")
        return asset.stored

    def recall(self, asset_id: str, kind: str) -> Stored:
        """Return what an earlier generation took from an asset, whatever has become of it since.

        :param kind: as of :meth:`use`
        """
        asset = self.assets.get(asset_id)
        return Stored() if asset is None else asset.stored

    def finish(self, now: float) -> None:
        """Bring the processing of all assets to its end."""
        for asset in self.assets.values():
            if asset.ready > now:
                asset.ready = now
                self.keep(asset)

    def stats(self) -> dict[str, int]:
        """Return the counters: creations are charged per call, all else is free (contract 4)."""
        created = {"asset_groups_created": len(self.groups), "assets_created": len(self.assets)}
        return {**created, "asset_calls_billed": sum(created.values())}

    def describe_groups(self) -> list[dict[str, Any]]:
        """Return the groups there are, as the control route tells them."""
        return [
            {
                "id": group.id,
                "token": group.token,
                "name": group.name,
                "listed_name": group.listed_name,
                "description": group.description,
                "created_at": group.created,
                "assets": [asset.id for asset in self._members(group.id)],
            }
            for group in self.groups.values()
            if not group.deleted
        ]

    def describe_assets(self, now: float) -> list[dict[str, Any]]:
        """Return the assets there are, as the control route tells them."""
        return [
            {
                "id": asset.id,
                "token": asset.token,
                "group_id": asset.group_id,
                "name": asset.name,
                "type": asset.type,
                "model": asset.model,
                "status": asset.status(now),
                "error_code": asset.error_code,
                "created_at": asset.created,
                "ready_at": asset.ready,
                "url": asset.url,
                "sha256": hashlib.sha256(asset.data).hexdigest() if asset.data is not None else None,
            }
            for asset in self.assets.values()
            if not asset.deleted
        ]


def _unusable(message: str) -> Refusal:
    return upstream_error("InvalidParameter", message)
