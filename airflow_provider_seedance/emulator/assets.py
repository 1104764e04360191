"""Asset groups and assets: what is known of one, and how the service describes it (contract.md#assets)."""

from __future__ import annotations

import hashlib
import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from airflow_provider_seedance.emulator.asset_requests import NewAsset
from airflow_provider_seedance.emulator.envelopes import random_text
from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.media import Medium

#: Seconds from creation to ``Active`` or ``Failed``, at speed 1; the service needs 6 to 20.
PROCESSING_SECONDS = 10.0

#: The service's own user, to whom all keys of an emulator belong.
_USER = 1
#: Ids carry Beijing time; ``CreateTime`` is UTC.
_BEIJING = timezone(timedelta(hours=8))


def token_of(key: str) -> int:
    """Return the number of an API key. Groups and assets belong to one number."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:7], 16)


def _new_id(kind: str, now: float) -> str:
    suffix = random_text(5, string.ascii_lowercase + string.digits)
    return f"{kind}-{datetime.fromtimestamp(now, _BEIJING):%Y%m%d%H%M%S}-{suffix}"


def _written(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(eq=False)
class AssetGroup:
    """
    A group of assets.

    :param token: Number of the key that created it.
    :param name: The name as it was sent; responses carry :attr:`listed_name`.
    :param created: Unix seconds, as all times here.
    :param usable: Time from which calls other than lists find it.
    """

    id: str
    token: int
    name: str
    description: str
    created: float
    usable: float

    @classmethod
    def create(cls, token: int, name: str, description: str, now: float, fault: Fault | None = None) -> AssetGroup:
        """
        Create a group.

        :param token: Number of the key.
        :param name: As it was sent.
        :param description: As it was sent; may be empty.
        :param now: Unix seconds.
        :param fault: What happens to it; nothing by default.
        :returns: The group.
        """
        delay = fault.visible_after or 0 if fault is not None else 0
        return cls(_new_id("group", now), token, name, description, now, now + delay)

    @property
    def listed_name(self) -> str:
        """The name with the prefix that the service adds."""
        return f"[u-{_USER}]-[t-{self.token}]{self.name}"

    def item(self) -> dict[str, Any]:
        """Return the service's description of it (contract.md#list-assets)."""
        return {
            "Id": self.id,
            "Name": self.listed_name,
            "Description": self.description,
            "GroupType": "AIGC",
            "ProjectName": "default",
            "CreateTime": _written(self.created),
            "UpdateTime": _written(self.created),
        }


@dataclass(eq=False)
class Asset:
    """
    One asset.

    :param token: Number of the key that created it.
    :param type: ``Image``, ``Video`` or ``Audio``.
    :param model: The billing model of its creation.
    :param created: Unix seconds, as all times here.
    :param ready: Time at which processing ends.
    :param usable: Time from which calls other than lists find it.
    :param url: The public URL it was created from, else empty. It is not fetched.
    :param medium: Its bytes and what they show; empty for an asset created from a URL.
    :param error_code: Why processing fails; empty if it does not.
    :param stuck: Whether it stays ``Processing`` forever.
    :param inactive: Whether it ends as ``Inactive``.
    :param deleted: Whether it was deleted. It is remembered because it was paid for and its link may still be used.
    """

    id: str
    token: int
    group_id: str
    name: str
    type: str
    model: str
    created: float
    ready: float
    usable: float
    url: str
    medium: Medium
    error_code: str = ""
    error_message: str = ""
    stuck: bool = False
    inactive: bool = False
    deleted: bool = False

    @classmethod
    def create(cls, token: int, new: NewAsset, now: float, seconds: float, fault: Fault | None = None) -> Asset:
        """
        Create an asset.

        :param token: Number of the key.
        :param new: The request.
        :param now: Unix seconds.
        :param seconds: Seconds of real time that processing takes.
        :param fault: What happens to it; nothing by default.
        :returns: The asset.
        """
        made = cls(
            id=_new_id("asset", now),
            token=token,
            group_id=new.group_id,
            name=new.name,
            type=new.type,
            model=new.model,
            created=now,
            ready=now + seconds,
            usable=now,
            url=new.url,
            medium=new.medium,
        )
        if new.finding is not None:
            made.error_code, made.error_message = new.finding.code, new.finding.message
        if fault is not None:
            made.stuck, made.inactive = bool(fault.stuck), bool(fault.inactive)
            made.usable = math.inf if fault.lose else now + (fault.visible_after or 0)
            if fault.fail is not None:
                made.error_code = str(fault.fail.get("code") or "TranscodingFailed")
                made.error_message = str(fault.fail.get("message", ""))
        return made

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Asset:
        """Return the asset that was kept as these fields."""
        return cls(**{**fields, "medium": Medium(**fields["medium"])})

    def status(self, now: float) -> str:
        """Return ``Processing``, ``Active``, ``Inactive`` or ``Failed``."""
        if self.stuck or now < self.ready:
            return "Processing"
        if self.error_code:
            return "Failed"
        return "Inactive" if self.inactive else "Active"

    def item(self, now: float, link: str) -> dict[str, Any]:
        """
        Describe it as the service does (contract.md#get-asset).

        :param now: Unix seconds.
        :param link: A preview link that was never given before.
        :returns: The item.
        """
        status = self.status(now)
        item: dict[str, Any] = {
            "Id": self.id,
            "Name": self.name,
            "URL": link,
            "AssetType": self.type,
            "GroupId": self.group_id,
            "Status": status,
            "ProjectName": "default",
            "CreateTime": _written(self.created),
            "UpdateTime": _written(self.created if status == "Processing" else self.ready),
        }
        if status == "Failed":
            item["Error"] = {"Code": self.error_code, "Message": self.error_message}
        return item
