"""What the asset routes accept and refuse: pure functions from a JSON body to checked values (contract.md#assets)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedance.emulator import media
from airflow_provider_seedance.emulator.envelopes import Refusal, asset_error
from airflow_provider_seedance.emulator.media import NO_MEDIUM, BadMedia, Medium

#: Billing model of each type of asset.
BILLING_MODELS = {"Image": "volc-asset", "Video": "volc-asset-video", "Audio": "volc-asset-audio"}

_NAME_CHARACTERS = 64
_DESCRIPTION_CHARACTERS = 300
#: Most items of a page.
LARGEST_PAGE = 100


@dataclass(frozen=True)
class NewAsset:
    """
    A request for a new asset.

    :param name: Empty if there is none.
    :param type: ``Image``, ``Video`` or ``Audio``.
    :param model: The billing model.
    :param url: The public URL to create it from. It is not fetched and counts as good.
    :param medium: The bytes to create it from, if they were sent.
    :param finding: Why processing these bytes will fail, or None.
    """

    group_id: str
    name: str
    type: str
    model: str
    url: str = ""
    medium: Medium = NO_MEDIUM
    finding: BadMedia | None = None


@dataclass(frozen=True)
class Query:
    """
    One page of a list.

    :param name: Part of the names wanted, in any case; empty for all.
    :param group_ids: Only these groups, or their assets; empty for all.
    :param number: Number of the page, from 1.
    :param size: Items per page.
    """

    name: str
    group_ids: tuple[str, ...]
    number: int
    size: int


def missing(name: str) -> Refusal:
    """Return the refusal of a request that lacks a field."""
    return asset_error(400, f"MissingParameter.{name}", f"The required parameter {name} is missing.")


def needed(body: Mapping[str, Any], name: str, most: int | None = None) -> str:
    """
    Read a text field that must not be empty.

    :param body: The request.
    :param name: The field.
    :param most: Number of characters that it may have; None for any.
    :returns: The text.
    :raises Refusal: If it is absent, empty, no text, or too long.
    """
    value = _text(body, name, most)
    if not value.strip():
        raise missing(name)
    return value


def _text(body: Mapping[str, Any], name: str, most: int | None = None) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(name, "it must be a string")
    if most is not None and len(value) > most:
        raise _invalid(name, f"it must not be longer than {most} characters")
    return value


def _invalid(name: str, reason: str) -> Refusal:
    return asset_error(400, f"InvalidParameter.{name}", f"The parameter {name} is not valid: {reason}.")


def new_group(body: Mapping[str, Any]) -> tuple[str, str]:
    """
    Check the request for a new group (contract.md#create-asset-group).

    :param body: The request.
    :returns: Name and description.
    :raises Refusal: If the service refuses it.
    """
    _check_model(body)
    _check_group_type(body)
    return needed(body, "Name", _NAME_CHARACTERS), _text(body, "Description", _DESCRIPTION_CHARACTERS)


def new_asset(body: Mapping[str, Any], file: bytes | None = None) -> NewAsset:
    """
    Check the request for a new asset (contract.md#create-asset). Bad media is accepted, and fails later.

    :param body: The JSON body, or the text fields of a form, in which ``AssetType`` may be left out for an image.
    :param file: The form's file; None if the request came as JSON.
    :returns: The request.
    :raises Refusal: If the service refuses it.
    """
    group_id = needed(body, "GroupId")
    asset_type = _text(body, "AssetType") or ("" if file is None else "Image")
    if not asset_type:
        raise missing("AssetType")
    if asset_type not in BILLING_MODELS:
        raise _invalid("AssetType", f"it must be one of {', '.join(BILLING_MODELS)}")
    name = needed(body, "Name", _NAME_CHARACTERS) if asset_type == "Image" else _text(body, "Name", _NAME_CHARACTERS)
    wanted = BILLING_MODELS[asset_type]
    model = _text(body, "model") or BILLING_MODELS["Image"]
    if model != wanted:
        raise _invalid("model", f"AssetType {asset_type} needs {wanted}, not {model}")
    declared = None
    if file is None:
        url = needed(body, "URL")
        if media.is_http_url(url):
            return NewAsset(group_id, name, asset_type, model, url)
        declared, file = _inline(url)
    try:
        medium = media.inspect(file, asset_type.lower(), declared)
    except BadMedia as finding:
        return NewAsset(group_id, name, asset_type, model, medium=Medium(file), finding=finding)
    return NewAsset(group_id, name, asset_type, model, medium=medium)


def _inline(url: str) -> tuple[str, bytes]:
    """Decode a data URI, or plain Base64, which counts as a PNG."""
    try:
        if url[:5].lower() == "data:":
            declared, data = media.decode_uri(url)
            return declared.lower(), data
        return "image/png", media.decode_base64(url)
    except BadMedia as finding:
        raise _invalid("URL", f"it must be a public http(s) URL, a data URI or Base64: {finding.message}") from None


def query(body: Mapping[str, Any]) -> Query:
    """
    Check the request for a list (contract.md#list-assets).

    ``SortBy``, ``SortOrder`` and the filters ``Ids`` and ``Statuses`` of the upstream service are ignored.

    :param body: The request.
    :returns: The page that is wanted.
    :raises Refusal: If the service refuses it.
    """
    needed(body, "model")
    _check_model(body)
    filters = body.get("Filter")
    if filters is None:
        raise missing("Filter")
    if not isinstance(filters, dict):
        raise _invalid("Filter", "it must be an object")
    _check_group_type(filters)
    group_ids = filters.get("GroupIds") or []
    if not isinstance(group_ids, list) or not all(isinstance(entry, str) for entry in group_ids):
        raise _invalid("Filter.GroupIds", "it must be an array of strings")
    return Query(
        name=_text(filters, "Name"),
        group_ids=tuple(group_ids),
        number=_number(body, "PageNumber", 1),
        size=_number(body, "PageSize", 10, LARGEST_PAGE),
    )


def _check_model(body: Mapping[str, Any]) -> None:
    """Check the billing model of a call that is billed alike for all types; it may be left out."""
    if _text(body, "model") not in ("", *BILLING_MODELS.values()):
        raise _invalid("model", f"it must be one of {', '.join(BILLING_MODELS.values())}")


def _check_group_type(body: Mapping[str, Any]) -> None:
    if _text(body, "GroupType") not in ("", "AIGC"):
        raise _invalid("GroupType", "GroupType must be one of [AIGC]")


def _number(body: Mapping[str, Any], name: str, default: int, most: int | None = None) -> int:
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not int or value < 1 or (most is not None and value > most):
        raise _invalid(name, "it must be an integer from 1" + (f" to {most}" if most else ""))
    return value
