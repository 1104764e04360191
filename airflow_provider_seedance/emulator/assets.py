"""Asset groups and assets: what is known of one, and what the service tells of it at a time (contract 4)."""

from __future__ import annotations

import base64
import hashlib
import math
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Self

from airflow_provider_seedance.emulator.envelopes import Refusal
from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.generations import new_request_id
from airflow_provider_seedance.emulator.rules import Stored

#: seconds from creation to ``Active`` or ``Failed``, at speed 1; the contract says 6 to 20
PROCESSING_SECONDS = 10.0
#: how answers are put: ``{"Id": ...}``, or under ``Result`` beside ``ResponseMetadata``
SHAPES = ("flat", "wrapped")
#: what a generation that names an unknown asset gets
UNKNOWN_ASSETS = ("refuse", "accept")

#: the service's own user that all keys of an emulator belong to
_USER = 1
_BEIJING = timezone(timedelta(hours=8))  # ids carry its time, ``CreateTime`` carries UTC
_SUFFIX = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class AssetOptions:
    """Where the contract knows the asset routes to differ from host to host.

    :param shape: ``flat`` or ``wrapped``
    :param unknown: ``refuse`` or ``accept``: what a generation that names an unknown asset gets
    :param count_error: added to every ``TotalCount``, which so disagrees with the items
    """

    shape: str = "flat"
    unknown: str = "refuse"
    count_error: int = 0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"asset shape must be one of {', '.join(SHAPES)}")
        if self.unknown not in UNKNOWN_ASSETS:
            raise ValueError(f"unknown assets must be one of {', '.join(UNKNOWN_ASSETS)}")
        if type(self.count_error) is not int:
            raise ValueError("the error of TotalCount must be an integer")


def asset_error(status: int, code: str, message: str) -> Refusal:
    """Envelope E5, the raw form of the service behind the asset routes (contract 3.1)."""
    error = {"Code": code, "Message": message}
    return Refusal(status, {"ResponseMetadata": {"RequestId": new_request_id(time.time()), "Error": error}})


def token_of(key: str) -> int:
    """Return the number of an API key, by which its groups and assets are its own."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:7], 16)


def _new_id(kind: str, now: float) -> str:
    suffix = "".join(secrets.choice(_SUFFIX) for _ in range(5))
    return f"{kind}-{datetime.fromtimestamp(now, _BEIJING):%Y%m%d%H%M%S}-{suffix}"


def _written(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(eq=False)
class AssetGroup:
    """A group of assets.

    :param token: number of the key that made it
    :param name: as it was sent; the service tells :attr:`listed_name`
    :param created: Unix seconds, as all times here
    :param usable: time from which it is found other than by listing
    :param deleted: whether it was deleted; it is remembered because it was paid for
    """

    id: str
    token: int
    name: str
    description: str
    created: float
    updated: float
    usable: float
    deleted: bool = False

    @classmethod
    def create(cls, token: int, name: str, description: str, now: float) -> Self:
        """Make a group that can be used at once."""
        return cls(_new_id("group", now), token, name, description, now, now, now)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Make it again from :meth:`to_json`."""
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return asdict(self)

    @property
    def listed_name(self) -> str:
        """The name with the prefix that the service puts before it."""
        return f"[u-{_USER}]-[t-{self.token}]{self.name}"

    def told(self) -> dict[str, Any]:
        """Return the item that the service answers (contract 4.5)."""
        return {
            "Id": self.id,
            "Name": self.listed_name,
            "Description": self.description,
            "GroupType": "AIGC",
            "ProjectName": "default",
            "CreateTime": _written(self.created),
            "UpdateTime": _written(self.updated),
        }


@dataclass(eq=False)
class Asset:
    """One asset.

    :param token: number of the key that made it
    :param type: ``Image``, ``Video`` or ``Audio``
    :param model: the billing model of its creation
    :param url: the public URL it was made from, else empty
    :param data: its bytes, None where it was made from a URL, which an emulator does not fetch
    :param created: Unix seconds, as all times here
    :param ready: time at which processing ends
    :param usable: time from which it is found other than by listing
    :param error_code: why processing fails, empty where it does not
    :param stuck: whether it is processed for ever
    :param inactive: whether it ends as ``Inactive``
    :param deleted: whether it was deleted; it is remembered because it was paid for and clips may show it
    """

    id: str
    token: int
    group_id: str
    name: str
    type: str
    model: str
    created: float
    updated: float
    ready: float
    usable: float
    url: str = ""
    data: bytes | None = None
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error_code: str = ""
    error_message: str = ""
    stuck: bool = False
    inactive: bool = False
    deleted: bool = False

    @classmethod
    def create(
        cls, token: int, group_id: str, name: str, asset_type: str, model: str, now: float, seconds: float
    ) -> Self:
        """Make an asset that is processed for ``seconds`` of real time."""
        return cls(_new_id("asset", now), token, group_id, name, asset_type, model, now, now, now + seconds, now)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Make it again from :meth:`to_json`."""
        data = value["data"]
        return cls(**{**value, "data": None if data is None else base64.b64decode(data)})

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON, its bytes as Base64."""
        data = None if self.data is None else base64.b64encode(self.data).decode()
        return {**asdict(self), "data": data}

    def status(self, now: float) -> str:
        """Return ``Processing``, ``Active``, ``Inactive`` or ``Failed``."""
        if self.stuck or now < self.ready:
            return "Processing"
        if self.error_code:
            return "Failed"
        return "Inactive" if self.inactive else "Active"

    def changed(self, now: float) -> float:
        """Return the time of the last change, the end of processing being one."""
        return self.updated if self.status(now) == "Processing" else max(self.updated, self.ready)

    @property
    def stored(self) -> Stored:
        """What a generation takes from it."""
        size = (self.width, self.height) if self.width else None
        return Stored(self.data if self.type == "Image" else None, size, self.seconds)

    def suffer(self, fate: Fault) -> None:
        """Let it go as was asked for."""
        if fate.fail is not None:
            self.error_code = str(fate.fail.get("code") or "TranscodingFailed")
            self.error_message = str(fate.fail.get("message", ""))
        self.stuck, self.inactive = bool(fate.stuck), bool(fate.inactive)
        self.usable = math.inf if fate.lose else self.created + (fate.visible_after or 0)

    def told(self, now: float, link: Callable[[Asset], str]) -> dict[str, Any]:
        """Return the item that the service answers (contract 4.3).

        :param link: signs a fresh preview link
        """
        status = self.status(now)
        item: dict[str, Any] = {
            "Id": self.id,
            "Name": self.name,
            "URL": link(self),
            "AssetType": self.type,
            "GroupId": self.group_id,
            "Status": status,
            "ProjectName": "default",
            "CreateTime": _written(self.created),
            "UpdateTime": _written(self.changed(now)),
        }
        if status == "Failed":
            item["Error"] = {"Code": self.error_code, "Message": self.error_message}
        return item
