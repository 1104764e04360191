"""All groups and assets of an emulator, separate for each key, and what can be done with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_provider_seedance.emulator.asset_requests import LARGEST_PAGE, NewAsset, Query
from airflow_provider_seedance.emulator.assets import Asset, AssetGroup
from airflow_provider_seedance.emulator.catalog import ASSET_ACTIONS
from airflow_provider_seedance.emulator.envelopes import Refusal, asset_error, upstream_error
from airflow_provider_seedance.emulator.faults import FaultList
from airflow_provider_seedance.emulator.media import NO_MEDIUM, Medium
from airflow_provider_seedance.emulator.memory import Memory
from airflow_provider_seedance.emulator.rules import AnyAsset

_Listed = TypeVar("_Listed", Asset, AssetGroup)

#: How the asset routes respond: with the result itself, or with the result under ``Result``.
SHAPES = ("flat", "wrapped")
#: What happens to a generation that names an unknown asset.
UNKNOWN_ASSETS = ("refuse", "accept")
#: What lists do with the filters of a request.
FILTERS = ("apply", "ignore")
#: Type of a content item -> type of the assets that it takes.
_TYPES = {"image_url": "Image", "video_url": "Video", "audio_url": "Audio"}


@dataclass(frozen=True)
class AssetOptions:
    """
    What is known to differ between hosts of the asset routes.

    :param shape: ``flat`` or ``wrapped``.
    :param unknown: ``refuse`` or ``accept``: what happens to a generation that names an unknown asset.
    :param missing: Actions whose route does not exist, such as ``ListAssets``.
    :param page_cap: Most items of a page, whatever size a request asks for; the response states it.
    :param list_lag: Seconds of real time in which a new group or asset is not listed.
    :param demand_group_type: Whether lists are refused without ``Filter.GroupType``.
    :param filters: ``apply`` or ``ignore``: whether lists obey ``Name`` and ``GroupIds``.
    :raises ValueError: If a value is not usable.
    """

    shape: str = "flat"
    unknown: str = "refuse"
    missing: Sequence[str] = ()
    page_cap: int = LARGEST_PAGE
    list_lag: float = 0.0
    demand_group_type: bool = False
    filters: str = "apply"

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"asset shape must be one of {', '.join(SHAPES)}")
        if self.unknown not in UNKNOWN_ASSETS:
            raise ValueError(f"unknown assets must be one of {', '.join(UNKNOWN_ASSETS)}")
        if isinstance(self.missing, str) or not set(self.missing) <= set(ASSET_ACTIONS):
            raise ValueError(f"missing must be a list of {', '.join(ASSET_ACTIONS)}")
        if type(self.page_cap) is not int or not 1 <= self.page_cap <= LARGEST_PAGE:
            raise ValueError(f"page_cap must be an integer from 1 to {LARGEST_PAGE}")
        if not isinstance(self.list_lag, int | float) or not self.list_lag >= 0:
            raise ValueError("list_lag must be a number that is not negative")
        if not isinstance(self.demand_group_type, bool):
            raise ValueError("demand_group_type must be true or false")
        if self.filters not in FILTERS:
            raise ValueError(f"filters must be one of {', '.join(FILTERS)}")


class AssetLibrary:
    """
    Groups and assets by id, in order of creation.

    :param options: How the asset routes behave.
    :param processing: Seconds of real time that processing an asset takes.
    :param faults: The pending faults.
    :param memory: Where groups and assets are kept, and read from.
    """

    def __init__(self, options: AssetOptions, processing: float, faults: FaultList, memory: Memory) -> None:
        self.options = options
        self._processing = processing
        self._faults = faults
        self._memory = memory
        self._groups = {fields["id"]: AssetGroup(**fields) for fields in memory.entries(AssetGroup)}
        self._assets = {fields["id"]: Asset.from_json(fields) for fields in memory.entries(Asset)}

    def create_group(self, token: int, name: str, description: str) -> AssetGroup:
        """
        Create a group and charge for it.

        :param token: Number of the key, as in all methods.
        :param name: As it was sent.
        :param description: As it was sent; may be empty.
        :returns: The group.
        """
        group = AssetGroup.create(token, name, description, time.time(), self._faults.take("asset_group_fate"))
        self._groups[group.id] = group
        self._memory.keep(group)
        return group

    def create_asset(self, token: int, new: NewAsset) -> Asset:
        """
        Create an asset and charge for it.

        :param token: Number of the key.
        :param new: The request.
        :returns: The asset.
        :raises Refusal: 404 if the key has no such group, or the name is taken in it, which gets the same response;
            400 if the group is not visible yet (contract.md#create-asset).
        """
        group = self._groups.get(new.group_id)
        names = {asset.name for asset in self.assets(token) if asset.group_id == new.group_id and asset.name}
        if group is None or group.token != token or new.name in names:
            raise _no_group(new.group_id, 404)
        if time.time() < group.usable:
            raise _no_group(new.group_id, 400)
        fault = self._faults.take("asset_fate")
        asset = Asset.create(token, new, time.time(), self._processing, fault)
        self._assets[asset.id] = asset
        self._memory.keep(asset)
        return asset

    def asset(self, token: int, asset_id: str) -> Asset:
        """
        Find an asset.

        :param token: Number of the key.
        :param asset_id: Its id.
        :returns: The asset.
        :raises Refusal: 404 if the key has none of this id, or it is not visible yet.
        """
        found = self._assets.get(asset_id)
        if found is None or found.token != token or found.deleted or time.time() < found.usable:
            message = f"[NotFound.asset_id] The specified asset {asset_id} is not found."
            raise asset_error(404, "NotFound.asset_id", message)
        return found

    def delete_asset(self, token: int, asset_id: str) -> None:
        """Delete an asset, which frees its name. Parameters and errors as of :meth:`asset`."""
        asset = self.asset(token, asset_id)
        asset.deleted = True
        self._memory.keep(asset)

    def assets(self, token: int | None = None) -> list[Asset]:
        """Return the assets of a key, or of all keys."""
        return [asset for asset in self._assets.values() if token in (None, asset.token) and not asset.deleted]

    def groups(self, token: int | None = None) -> list[AssetGroup]:
        """Return the groups of a key, or of all keys."""
        return [group for group in self._groups.values() if token in (None, group.token)]

    def list_groups(self, token: int, query: Query) -> tuple[int, list[AssetGroup]]:
        """Return how many groups match a query, and those on its page, newest first."""
        return _page(
            [
                group
                for group in self._listable(self.groups(token))
                if query.name.lower() in group.listed_name.lower()
                and (not query.group_ids or group.id in query.group_ids)
            ],
            query,
        )

    def list_assets(self, token: int, query: Query) -> tuple[int, list[Asset]]:
        """Return how many assets match a query, and those on its page, newest first, visible otherwise or not."""
        return _page(
            [
                asset
                for asset in self._listable(self.assets(token))
                if query.name.lower() in asset.name.lower()
                and (not query.group_ids or asset.group_id in query.group_ids)
            ],
            query,
        )

    def _listable(self, items: list[_Listed]) -> list[_Listed]:
        newest = time.time() - self.options.list_lag
        return [item for item in items if item.created <= newest]

    def preview(self, asset_id: str) -> bytes | None:
        """Return an asset's bytes; None if there is no such asset or the emulator does not have them."""
        asset = self._assets.get(asset_id)
        return None if asset is None or asset.deleted else asset.medium.data

    def finish(self) -> None:
        """End the processing of all assets."""
        now = time.time()
        for asset in self._assets.values():
            if asset.ready > now:
                asset.ready = now
                self._memory.keep(asset)

    def stats(self) -> dict[str, int]:
        """Return the counters. Creating is charged per call, everything else is free."""
        created = {"asset_groups_created": len(self._groups), "assets_created": len(self._assets)}
        return {**created, "asset_calls_billed": sum(created.values())}

    def describe_groups(self) -> list[dict[str, Any]]:
        """Return the groups as the control route describes them."""
        return [
            {
                "id": group.id,
                "token": group.token,
                "name": group.name,
                "listed_name": group.listed_name,
                "description": group.description,
                "created_at": group.created,
                "assets": [asset.id for asset in self.assets() if asset.group_id == group.id],
            }
            for group in self.groups()
        ]

    def describe_assets(self) -> list[dict[str, Any]]:
        """Return the assets as the control route describes them."""
        now = time.time()
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
            }
            for asset in self.assets()
        ]


@dataclass(frozen=True)
class KeyAssets(AnyAsset):
    """
    The assets that a generation of one key can name.

    :param library: All assets.
    :param token: Number of the key.
    """

    library: AssetLibrary
    token: int

    def find(self, asset_id: str, kind: str) -> Medium:
        """
        Find an asset that is usable now (contract.md#asset-not-ready).

        :param asset_id: Its id.
        :param kind: ``image_url``, ``video_url`` or ``audio_url``.
        :returns: What the generation uses of it.
        :raises Refusal: If it is unknown, another key's, of another type, or not ``Active``.
        """
        reason = f"The specified asset {asset_id} is not found."
        try:
            asset = self.library.asset(self.token, asset_id)
        except Refusal:
            if self.library.options.unknown == "accept":
                return NO_MEDIUM
            raise upstream_error("InvalidParameter", reason) from None
        status = asset.status(time.time())
        if status == "Processing":
            reason = f"The specified asset is still processing and is not available yet: {asset_id}."
        elif status == "Active" and asset.type == _TYPES[kind]:
            return asset.medium
        elif status == "Active":
            reason = f"The specified asset {asset_id} is of type {asset.type}, {kind} needs {_TYPES[kind]}."
        raise upstream_error("InvalidParameter", reason)


def _no_group(group_id: str, status: int) -> Refusal:
    message = f"[NotFound.group_id] The specified asset group {group_id} is not found."
    return asset_error(status, "NotFound.group_id", message)


def _page(found: Sequence[_Listed], query: Query) -> tuple[int, list[_Listed]]:
    start = (query.number - 1) * query.size
    return len(found), list(found[::-1][start : start + query.size])
