"""
Assets and their groups, as the service describes them (contract 4).

Only ``CreateAssetGroup`` and ``CreateAsset`` stand on the vendor's own page; the answers of the other actions come from
sibling services, so everything here is read tolerantly: flat or under ``Result``, any case of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_seedance.api.parse import as_http_url, as_id, as_int, as_mapping, as_text
from airflow_provider_seedance.api.polling import BasePoller, PollDecision
from airflow_provider_seedance.exceptions import SeedanceRequestError, SeedanceServiceError

AssetType = Literal["Image", "Video", "Audio"]
ASSET_TYPES: tuple[AssetType, ...] = ("Image", "Video", "Audio")

#: What a call is billed as, by the asset's type (contract 4); groups are billed as images.
BILLING_MODELS: Mapping[str, str] = {
    "Image": "volc-asset",
    "Video": "volc-asset-video",
    "Audio": "volc-asset-audio",
}
#: Characters of a name (contract 4.1, 4.2).
MAX_NAME = 64
MAX_DESCRIPTION = 300
#: Hexadecimal digits of the content's SHA-256 that a name carries.
DIGEST_DIGITS = 12
#: Seconds after creation in which "not found" is believed to be a lag (contract 4.3).
ASSET_GRACE = 20.0

_FAILED = frozenset({"failed", "inactive"})
_KNOWN = frozenset({"", "processing", "active"}) | _FAILED
_PREFIX = re.compile(r"^(?:\[[^\]]{1,40}\]-?)+")

#: What to do about the service's reasons for refusing an asset (contract 4.3), by the beginning of the code.
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
    ("PixelCountTooSmall", "scale it up: about 640x640 pixels at the least"),
    ("PixelCountTooLarge", "scale it down to 480p or 720p"),
    ("FpsTooLow", "give it at least 24 frames per second"),
    ("FpsTooHigh", "give it at most 60 frames per second"),
    ("AudioTrackRequired", "add a sound track"),
    ("AudioTrackForbidden", "remove the sound track"),
    ("ContentRestricted", "content moderation refused it: replace it"),
    ("Input", "content moderation refused it: replace it"),
    ("FaceMismatch", "the face is another one than the group's: use a group of its own"),
    ("TranscodingFailed", "the service could not convert it: encode it anew, as H.264 or jpeg"),
)


@dataclass(frozen=True, kw_only=True)
class AssetGroup:
    """
    A group of assets.

    :param group_id: Its id.
    :param name: The name it was given, without the prefix that the service puts before it.
    """

    group_id: str
    name: str = ""
    description: str = ""

    @classmethod
    def from_response(cls, body: object, *, group_id: str | None = None) -> AssetGroup:
        """
        Read a group.

        :raises SeedanceServiceError: where there is no id in it.
        """
        item = _item(body)
        return cls(
            group_id=_require_id(item, group_id, "asset group"),
            name=plain_name(_text(item, "Name")),
            description=_text(item, "Description"),
        )


@dataclass(frozen=True, kw_only=True)
class Asset:
    """
    An asset, as the service describes it.

    :param asset_id: Its id.
    :param status: The service's own word.
    :param url: A signed preview link. Never a reference for a generation (contract 4.3).
    """

    asset_id: str
    name: str = ""
    group_id: str | None = None
    asset_type: str = ""
    status: str = ""
    error_code: str | None = None
    error_message: str = field(default="", repr=False)
    url: str | None = field(default=None, repr=False)
    #: Assets show none; here for those who log a status.
    progress: int | None = None

    @classmethod
    def from_response(cls, body: object, *, asset_id: str | None = None) -> Asset:
        """
        Read an asset.

        :raises SeedanceServiceError: where there is no id in it.
        """
        item = _item(body)
        error = _lower(as_mapping(item.get("error")))
        return cls(
            asset_id=_require_id(item, asset_id, "asset"),
            name=plain_name(_text(item, "Name")),
            group_id=as_id(item.get("groupid")),
            asset_type=_text(item, "AssetType"),
            status=_text(item, "Status"),
            error_code=as_id(error.get("code")) or as_id(item.get("failreason")),
            error_message=as_text(error.get("message")) or "",
            url=as_http_url(item.get("url")),
        )

    @property
    def uri(self) -> str:
        """What a generation takes: ``asset://<id>``, in lower case as the vendor writes it (contract 7, line 16)."""
        return f"asset://{self.asset_id}"

    @property
    def is_active(self) -> bool:
        """Whether it can be used."""
        return self.status.lower() == "active"

    @property
    def is_failed(self) -> bool:
        """Whether it will never be usable."""
        return self.status.lower() in _FAILED

    def to_result(self, *, group_id: str | None = None) -> dict[str, Any]:
        """
        Return what operator and sensor hand downstream.

        :param group_id: Where the service does not say it.
        """
        return {
            "asset_id": self.asset_id,
            "asset_uri": self.uri,
            "status": self.status,
            "group_id": self.group_id or group_id,
        }

    def to_error(self) -> SeedanceRequestError:
        """Build the exception for an asset that failed, with what to do about the service's code."""
        code = self.error_code or self.status
        remedy = next((told for start, told in _REMEDIES if code.startswith(start)), "replace its source")
        error = SeedanceRequestError(
            f"Asset {self.asset_id} cannot be used ({code}): {remedy}.",
            field="source",
        )
        error.code = self.error_code
        return error


class AssetPoller(BasePoller):
    """Turns each look at an asset into a decision. Parameters as :class:`BasePoller`."""

    noun = "Asset"
    unfinished = "It stays with the service: a retry looks again and creates nothing."
    unknown = "a wrong id, another key's, or its processing failed"

    @property
    def grace(self) -> float:
        """Seconds after creation in which "not found" is believed to be a lag of the service."""
        return ASSET_GRACE

    def on_state(self, asset: Asset, *, now: float) -> PollDecision:
        """
        Decide after an answer.

        :param asset: What the service said.
        :param now: Unix seconds.
        """
        self._answered()
        if asset.is_active:
            return PollDecision(outcome="succeeded", reason="active", message=f"Asset {self.subject_id} is active.")
        if asset.is_failed:
            return PollDecision(outcome="failed", reason=asset.error_code or "failed", message=str(asset.to_error()))
        warning = self._unknown_word(asset.status, asset.status.lower() in _KNOWN)
        return self._again(now, self._jittered(self.poll_interval), warning=warning)


def check_asset_id(value: object, *, parameter: str = "asset") -> str:
    """
    Return the id in a value that a Dag author gave: an id, ``asset://<id>``, or a result dictionary.

    :raises SeedanceRequestError: where there is none.
    """
    given = value.get("asset_id") if isinstance(value, Mapping) else value
    text = as_text(given) or ""
    asset_id = as_id(text[len("asset://") :] if text.lower().startswith("asset://") else text)
    if asset_id is None:
        raise SeedanceRequestError(
            f"{parameter!r} holds no asset id: give an id such as 'asset-...', asset://<id>, or the result of "
            "SeedanceCreateAssetOperator.",
            field=parameter,
        )
    return asset_id


def content_name(name: str, digest: str) -> str:
    """
    Return the name under which an asset's content is found again.

    The service hands back an asset's name and nothing else of ours, so the content's SHA-256 travels in it.

    :param name: As the Dag's author gave it.
    :param digest: SHA-256 of the content, in hexadecimal.
    """
    return f"{name}-{digest[:DIGEST_DIGITS]}"


def is_content_of(name: str, found: str) -> bool:
    """Say whether a name found at the service is that of some content under ``name``."""
    return re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{{DIGEST_DIGITS}}}", found) is not None


def check_name(name: object, *, longest: int = MAX_NAME) -> str:
    """
    Check a name before it is paid for.

    :param longest: Characters that it may have.
    :raises SeedanceRequestError: where it is empty, too long, or could not be told from a prefix of the service.
    """
    text = as_text(name)
    if text is None or len(text) > longest or text.startswith("["):
        raise SeedanceRequestError(
            f"'name' must be a text of 1 to {longest} characters that does not begin with '['.", field="name"
        )
    return text


def plain_name(name: str) -> str:
    """Return a name without the ``[u-...]-[t-...]`` that the service puts before it (contract 4)."""
    return _PREFIX.sub("", name)


def result_items(body: object) -> Iterator[Mapping[str, Any]]:
    """Iterate over the items of a list's answer."""
    items = _item(body).get("items")
    yield from (item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()


def total_count(body: object) -> int | None:
    """Return what a list's answer says of its length. It can disagree with the items (contract 4.4)."""
    return as_int(_item(body).get("totalcount"))


def created_id(body: object) -> str | None:
    """Return the id in the answer to a create call, None where there is none (contract 8.14)."""
    return as_id(_item(body).get("id"))


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


def _require_id(item: Mapping[str, Any], known: str | None, what: str) -> str:
    found = known or as_id(item.get("id"))
    if found is None:
        raise SeedanceServiceError(f"The service's answer names no {what}.")
    return found
