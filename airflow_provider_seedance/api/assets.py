"""
Assets and their groups, as the service describes them (contract.md#assets).

Only ``CreateAssetGroup`` and ``CreateAsset`` are on the vendor's own page; the responses of the other actions are known
from sibling services, so everything here is read tolerantly: flat or under ``Result``, names in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from airflow_provider_seedance.api.generation import State
from airflow_provider_seedance.api.parse import as_epoch, as_id, as_int, as_mapping, as_text, as_time
from airflow_provider_seedance.api.values import refuse, shown
from airflow_provider_seedance.exceptions import SeedanceRequestError, SeedanceServiceError

AssetType = Literal["Image", "Video", "Audio"]
ASSET_TYPES: tuple[AssetType, ...] = ("Image", "Video", "Audio")

#: What a call is billed as, by the asset's type (contract.md#assets); groups are billed as images.
BILLING_MODELS: Mapping[str, str] = {
    "Image": "volc-asset",
    "Video": "volc-asset-video",
    "Audio": "volc-asset-audio",
}
#: Characters of a name (contract.md#create-asset).
MAX_NAME = 64
MAX_DESCRIPTION = 300
#: Hexadecimal digits of the content's SHA-256 that a name carries, and of what tells several of one content apart.
DIGEST_DIGITS = 12
VARIANT_DIGITS = 8
#: Characters that are left for the name itself where both follow it.
VARIANT_NAME = MAX_NAME - DIGEST_DIGITS - VARIANT_DIGITS - 2

_FAILED = frozenset({"failed", "inactive"})
_KNOWN = frozenset({"", "processing", "active"}) | _FAILED
_PREFIX = re.compile(r"^(?:\[[^\]]{1,40}\]-?)+")

#: Beginnings of the codes for what the service measured: the same bytes are rejected again.
_MEASURED = (
    "TypeMismatch",
    "Format",
    "Duration",
    "Width",
    "Height",
    "AspectRatio",
    "FileSize",
    "PixelCount",
    "Fps",
    "AudioTrack",
)

#: What to do about the service's reasons for rejecting an asset (contract.md#get-asset), by the beginning of the code.
_REMEDIES: tuple[tuple[str, str], ...] = (
    ("DownloadFailed", "the service could not fetch the link: make it reachable without a login"),
    ("TypeMismatch", "its content is not of the asset's type: correct 'asset_type'"),
    ("FormatUnsupported", "convert it: jpeg or png, mp4 or mov, mp3 or wav"),
    ("FormatUndetectable", "the file is damaged or of no known format: convert it"),
    ("DurationTooShort", "make it at least 2 seconds long"),
    ("DurationTooLong", "make it at most 15 seconds long"),
    ("WidthTooSmall", "make each side at least 300 pixels"),
    ("HeightTooSmall", "make each side at least 300 pixels"),
    ("WidthTooLarge", "make each side at most 6000 pixels"),
    ("HeightTooLarge", "make each side at most 6000 pixels"),
    ("AspectRatioToo", "keep width to height between 0.4 and 2.5"),
    ("FileSizeTooLarge", "make it smaller: images under 30 MB, video under 50 MB, sound under 15 MB"),
    ("PixelCountTooSmall", "scale it up to at least 640x640 pixels"),
    ("PixelCountTooLarge", "scale it down to 480p or 720p"),
    ("FpsTooLow", "give it at least 24 frames per second"),
    ("FpsTooHigh", "give it at most 60 frames per second"),
    ("AudioTrackRequired", "add a sound track"),
    ("AudioTrackForbidden", "remove the sound track"),
    ("ContentRestricted", "content moderation rejected it: replace it"),
    ("Input", "content moderation rejected it: replace it"),
    ("FaceMismatch", "the face differs from the group's: use another group"),
    ("TranscodingFailed", "the service could not convert it: encode it again, as H.264 or jpeg"),
)


@dataclass(frozen=True, kw_only=True)
class AssetGroup:
    """
    A group of assets.

    :param group_id: Its id.
    :param name: The name it was given, without the prefix that the service adds.
    :param created: Unix seconds of its creation, if the service says.
    """

    group_id: str
    name: str = ""
    created: float | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return self.group_id

    @classmethod
    def from_response(cls, body: object, *, group_id: str | None = None) -> AssetGroup:
        """
        Read a group.

        :raises SeedanceServiceError: There is no id in it.
        """
        item = _item(body)
        return cls(
            group_id=_require_id(item, group_id, "asset group"),
            name=plain_name(_text(item, "Name")),
            created=_time(item, "CreateTime"),
        )


@dataclass(frozen=True, kw_only=True)
class Asset:
    """
    An asset, as the service describes it.

    :param asset_id: Its id.
    :param status: The service's own word.
    :param created: Unix seconds of its creation, if the service says.
    :param progress: Always None; read by the shared status log.
    """

    asset_id: str
    name: str = ""
    group_id: str | None = None
    asset_type: str = ""
    status: str = ""
    error_code: str | None = None
    created: float | None = None
    progress: int | None = None

    @classmethod
    def from_response(cls, body: object, *, asset_id: str | None = None) -> Asset:
        """
        Read an asset.

        :raises SeedanceServiceError: There is no id in it.
        """
        item = _item(body)
        error = _lower(as_mapping(item.get("error")))
        return cls(
            asset_id=_require_id(item, asset_id, "asset"),
            name=plain_name(_text(item, "Name")),
            group_id=as_id(item.get("groupid")),
            asset_type=_text(item, "AssetType").capitalize(),
            status=_text(item, "Status"),
            error_code=as_id(error.get("code")) or as_id(item.get("failreason")),
            created=_time(item, "CreateTime"),
        )

    @property
    def id(self) -> str:
        """Its id."""
        return self.asset_id

    @property
    def uri(self) -> str:
        """What a generation takes: ``asset://<id>``, in lower case as the vendor writes it (contract.md#assets)."""
        return f"asset://{self.asset_id}"

    @property
    def state(self) -> State:
        """What the service's word amounts to: ``succeeded`` if it can be used, ``failed`` if it never will be."""
        if self.status.lower() == "active":
            return "succeeded"
        return "failed" if self.status.lower() in _FAILED else "running"

    @property
    def is_known_status(self) -> bool:
        """Whether the service's word is a known one; an unknown one counts as running."""
        return self.status.lower() in _KNOWN

    @property
    def is_unfit(self) -> bool:
        """Whether it failed for what its bytes are, so that another asset of them would fail too."""
        return self.state == "failed" and (self.error_code or "").startswith(_MEASURED)

    def to_result(self, *, group_id: str | None = None) -> dict[str, Any]:
        """
        Return what operator and sensor pass downstream.

        :param group_id: Its group, if the service does not name it.
        """
        return {
            "asset_id": self.asset_id,
            "asset_uri": self.uri,
            "status": self.status,
            "group_id": self.group_id or group_id,
        }

    def to_error(self) -> SeedanceRequestError:
        """Build the exception for a failed asset, with the remedy for the service's code."""
        code = self.error_code or self.status
        remedy = next((remedy for start, remedy in _REMEDIES if code.startswith(start)), "replace its source")
        error = SeedanceRequestError(f"Asset {self.asset_id} cannot be used ({code}): {remedy}.", field="source")
        error.code = self.error_code
        return error


def content_name(name: str, digest: str, variant: str = "") -> str:
    """
    Return the name under which an asset's content is found again.

    The service returns an asset's name and nothing else of ours, so the name carries the content's SHA-256.

    :param name: As the Dag's author gave it.
    :param digest: SHA-256 of the content, in hexadecimal.
    :param variant: SHA-256 that tells it from another asset of the same name and content; none for the first one.
    """
    if not variant:
        return f"{name}-{digest[:DIGEST_DIGITS]}"
    return f"{name[:VARIANT_NAME]}-{digest[:DIGEST_DIGITS]}-{variant[:VARIANT_DIGITS]}"


def content_digits(name: str, found: str) -> str | None:
    """Return the digits of the content in a name found at the service; None if it carries no content of ``name``."""
    variant = rf"-[0-9a-f]{{{VARIANT_DIGITS}}}"
    for start, end in ((name, f"(?:{variant})?"), (name[:VARIANT_NAME], variant)):
        if match := re.fullmatch(rf"{re.escape(start)}-([0-9a-f]{{{DIGEST_DIGITS}}}){end}", found):
            return match[1]
    return None


def check_name(name: object, *, longest: int = MAX_NAME) -> str:
    """
    Check a name before it is paid for.

    :param longest: Characters that it may have.
    :raises SeedanceRequestError: It is empty, too long, or looks like a prefix of the service.
    """
    text = as_text(name)
    if text is None or len(text) > longest or text.startswith("["):
        refuse("name", f"is {shown(name)}", f"Give a text of 1 to {longest} characters that does not begin with '['")
    return text


def plain_name(name: str) -> str:
    """Return a name without the ``[u-...]-[t-...]`` that the service adds (contract.md#assets)."""
    return _PREFIX.sub("", name)


_Listed = TypeVar("_Listed", Asset, AssetGroup)


def age(item: Asset | AssetGroup) -> tuple[float, str]:
    """Return what sorts the oldest first: the time of creation, else the id, which begins with it."""
    return (float("inf") if item.created is None else item.created, item.id)


@dataclass(frozen=True)
class Page(Generic[_Listed]):
    """
    One page of a list.

    :param items: What is on it.
    :param size: Most items of a page, as the response states it: a service may cap what was asked for.
    :param total: Items of the whole list, as the response states it. It can be wrong (contract.md#list-assets).
    """

    items: tuple[_Listed, ...]
    size: int | None = None
    total: int | None = None

    @classmethod
    def of(cls, body: object, items: Iterable[_Listed]) -> Page[_Listed]:
        """Return the page of these items, with what the response says about itself."""
        page = _item(body)
        return cls(tuple(items), as_int(page.get("pagesize")), as_int(page.get("totalcount")))

    def may_have_next(self, seen: int) -> bool:
        """
        Return whether there may be a further page: unless a short page completes the stated total.

        :param seen: Items of this page and those before it.
        """
        is_short = self.size is not None and len(self.items) < self.size
        is_complete = self.total is not None and seen >= self.total
        return bool(self.items) and not (is_short and is_complete)


def result_items(body: object) -> Iterator[Mapping[str, Any]]:
    """Iterate over the items with an id in the response to a list call."""
    items = _item(body).get("items")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and as_id(_lower(item).get("id")):
            yield item


def _lower(item: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in item.items()}


def _item(body: object) -> dict[str, Any]:
    """Find the item: flat, or under ``Result`` or ``data``."""
    outer = _lower(as_mapping(body))
    for name in ("result", "data"):
        inner = outer.get(name)
        if isinstance(inner, Mapping) and inner and "id" not in outer:
            return _lower(inner)
    return outer


def _text(item: Mapping[str, Any], name: str) -> str:
    return as_text(item.get(name.lower())) or ""


def _time(item: Mapping[str, Any], name: str) -> float | None:
    """Return Unix seconds, from a number or from ISO 8601."""
    value = item.get(name.lower())
    return as_epoch(value) or as_time(value)


def _require_id(item: Mapping[str, Any], known: str | None, what: str) -> str:
    found = known or as_id(item.get("id"))
    if found is None:
        raise SeedanceServiceError(f"The service's response names no {what}.")
    return found
