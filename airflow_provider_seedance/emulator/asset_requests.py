"""What the asset routes take and what they refuse: pure functions from a JSON body to checked values (contract 4)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_seedance.emulator.assets import asset_error
from airflow_provider_seedance.emulator.envelopes import Refusal

#: billing model of each type of asset
BILLING_MODELS = {"Image": "volc-asset", "Video": "volc-asset-video", "Audio": "volc-asset-audio"}

_NAME_CHARACTERS = 64
_DESCRIPTION_CHARACTERS = 300
_LARGEST_PAGE = 100
_SORTS = ("CreateTime", "UpdateTime", "GroupId")
_DATA_URI = re.compile(r"data:(?P<type>[A-Za-z]+/[A-Za-z0-9.+-]+);base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """What an asset is made from: a public URL, or bytes.

    :param declared: the media type that the bytes must have, None where nothing binds them
    """

    url: str = ""
    data: bytes | None = None
    declared: str | None = None


@dataclass(frozen=True)
class NewAsset:
    """What a new asset is to be, all but its source.

    :param name: empty where there is none
    :param model: the billing model
    """

    group_id: str
    name: str
    type: str
    model: str


@dataclass(frozen=True)
class Query:
    """One page of a list.

    :param name: looked for anywhere in a name, whatever the case; empty for all
    :param group_ids: only these groups, or their assets; empty for all
    :param statuses: only assets of these statuses; empty for all
    """

    name: str
    group_ids: tuple[str, ...]
    statuses: tuple[str, ...]
    number: int
    size: int
    sort_by: str
    descending: bool


def missing(name: str) -> Refusal:
    """Return the refusal of a request without a field."""
    return asset_error(400, f"MissingParameter.{name}", f"The required parameter {name} is missing.")


def invalid(name: str, reason: str) -> Refusal:
    """Return the refusal of a field's value."""
    return asset_error(400, f"InvalidParameter.{name}", f"The parameter {name} is not valid: {reason}.")


def text(body: Mapping[str, Any], name: str, most: int | None = None) -> str:
    """Return a field that is text, empty where it is absent.

    :param most: characters that it may have
    :raises Refusal: no text, or too long
    """
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(name, "it must be a string")
    if most is not None and len(value) > most:
        raise invalid(name, f"it must not be longer than {most} characters")
    return value


def needed(body: Mapping[str, Any], name: str, most: int | None = None) -> str:
    """Return a text field that must not be empty.

    :raises Refusal: absent, empty, no text, or too long
    """
    value = text(body, name, most)
    if not value.strip():
        raise missing(name)
    return value


def group_fields(body: Mapping[str, Any]) -> tuple[str, str]:
    """Check a new group's request (contract 4.1).

    :returns: name and description
    :raises Refusal: 400
    """
    any_model(body)
    _group_type(body)
    return needed(body, "Name", _NAME_CHARACTERS), text(body, "Description", _DESCRIPTION_CHARACTERS)


def changes(body: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Return which of these fields an update changes, and to what (contract 4.7 and 4.8).

    :raises Refusal: 400, also where none is there
    """
    any_model(body)
    limits = {"Name": _NAME_CHARACTERS, "Description": _DESCRIPTION_CHARACTERS}
    found = {name: text(body, name, limits[name]) for name in names if body.get(name) is not None}
    if not found or found.get("Name", "-") == "":
        raise missing("Name")
    return found


def asset_fields(body: Mapping[str, Any], *, multipart: bool) -> NewAsset:
    """Check a new asset's request, all but its source (contract 4.2).

    :param multipart: whether it came as a form, where ``AssetType`` may be left out for an image
    :raises Refusal: 400
    """
    group_id = needed(body, "GroupId")
    asset_type = text(body, "AssetType") or ("Image" if multipart else "")
    if not asset_type:
        raise missing("AssetType")
    if asset_type not in BILLING_MODELS:
        raise invalid("AssetType", f"it must be one of {', '.join(BILLING_MODELS)}")
    name = needed(body, "Name", _NAME_CHARACTERS) if asset_type == "Image" else text(body, "Name", _NAME_CHARACTERS)
    wanted = BILLING_MODELS[asset_type]
    model = text(body, "model") or BILLING_MODELS["Image"]
    if model != wanted:
        raise invalid("model", f"AssetType {asset_type} needs {wanted}, not {model}")
    return NewAsset(group_id, name, asset_type, model)


def source(url: str) -> Source:
    """Read the ``URL`` of a new asset: a public URL, a data URI, or raw Base64, which is taken for a PNG.

    :raises Refusal: 400: none of these
    """
    if url[:5].lower() == "data:":
        head = _DATA_URI.match(url)
        if head is None:
            raise invalid("URL", "a data URI must have the form data:<type>/<format>;base64,<data>")
        return Source(data=_decoded(url[head.end() :]), declared=head["type"])
    if "://" not in url:
        return Source(data=_decoded(url), declared="image/png")
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", url)
    except ValueError:
        good = False
    if not good:
        raise invalid("URL", "it must be a public http(s) URL, a data URI or Base64")
    return Source(url=url)


def _decoded(payload: str) -> bytes:
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("URL", "the Base64 data cannot be decoded") from None
    if not data:
        raise invalid("URL", "the data is empty")
    return data


def query(body: Mapping[str, Any]) -> Query:
    """Check a list's request (contract 4.4 and 4.5). ``Filter.Ids`` is not heeded: the contract calls it unreliable.

    :raises Refusal: 400
    """
    needed(body, "model")
    any_model(body)
    filtered = body.get("Filter")
    if filtered is None:
        raise missing("Filter")
    if not isinstance(filtered, dict):
        raise invalid("Filter", "it must be an object")
    _group_type(filtered)
    sort_by = text(body, "SortBy") or "CreateTime"
    if sort_by not in _SORTS:
        raise invalid("SortBy", f"it must be one of {', '.join(_SORTS)}")
    order = text(body, "SortOrder") or "Desc"
    if order not in ("Asc", "Desc"):
        raise invalid("SortOrder", "it must be Asc or Desc")
    return Query(
        name=text(filtered, "Name"),
        group_ids=_texts(filtered, "GroupIds"),
        statuses=_texts(filtered, "Statuses"),
        number=_number(body, "PageNumber", 1, None),
        size=_number(body, "PageSize", 10, _LARGEST_PAGE),
        sort_by=sort_by,
        descending=order == "Desc",
    )


def any_model(body: Mapping[str, Any]) -> None:
    """Check the billing model of a call that bills alike for all types; it may be left out.

    :raises Refusal: 400
    """
    model = text(body, "model")
    if model and model not in BILLING_MODELS.values():
        raise invalid("model", f"it must be one of {', '.join(BILLING_MODELS.values())}")


def _group_type(body: Mapping[str, Any]) -> None:
    if text(body, "GroupType") not in ("", "AIGC"):
        raise invalid("GroupType", "GroupType must be one of [AIGC]")


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise invalid(f"Filter.{name}", "it must be an array of strings")
    return tuple(value)


def _number(body: Mapping[str, Any], name: str, default: int, most: int | None) -> int:
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not int or value < 1 or (most is not None and value > most):
        raise invalid(name, "it must be an integer from 1" + (f" to {most}" if most else ""))
    return value
