"""What makes two requests the same: their canonical JSON, without what changes from one rendering to the next."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from airflow_provider_seedance.api.links import without_signature

_LINK = re.compile(r"https?://", re.IGNORECASE)
_DATA_URI = re.compile(r"data:", re.IGNORECASE)


def canonical_media(value: str) -> str:
    """
    Write a media value as a fingerprint sees it.

    :param value: Any text of a request but its prompt.
    :returns: A link without its signature, ``sha256:<hex>`` for a ``data:`` URI, anything else as it is.
    """
    if _LINK.match(value):
        return without_signature(value)
    if _DATA_URI.match(value):
        return f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return value


def canonical_extra(value: Any) -> Any:
    """Write further fields as a fingerprint sees them, including the links and ``data:`` URIs in them."""
    if isinstance(value, str):
        return canonical_media(value)
    if isinstance(value, dict):
        return {key: canonical_extra(member) for key, member in value.items()}
    return [canonical_extra(member) for member in value] if isinstance(value, list) else value


def canonical_json(value: Any) -> str:
    """Write plain JSON values with sorted keys and no blanks, in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(parts: Iterable[str]) -> str:
    """Return the SHA-256 of several texts, in hexadecimal; how they are divided counts too."""
    return hashlib.sha256(canonical_json(list(parts)).encode("ascii")).hexdigest()


def prompt_fingerprint(text: str | None) -> str | None:
    """
    Identify a prompt without revealing it.

    :param text: The prompt as it is sent; None if there is none.
    :returns: The SHA-256 of its UTF-8 text, in hexadecimal; None without a prompt.
    """
    return None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
