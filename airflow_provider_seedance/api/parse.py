"""JSON: written, and single values read out of some that may contain anything (strings for numbers, nulls, gaps)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

#: What an id may look like: opaque, and safe in a URL path (contract.md#create-response).
_ID = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_WORD = re.compile(r"[\w.:/+-]{1,100}")
#: Names of an id, in the order that they are searched (contract.md#create-response), and how deep.
_ID_NAMES = ("id", "task_id", "taskId", "Id", "ID", "generation_id")
_WRAPPERS = ("data", "Result", "result", "output")
ID_LEVELS = 5
#: Characters; a longer string is not parsed as nested JSON.
_MAX_NESTED = 100_000


def as_text(value: object) -> str | None:
    """Return a non-empty stripped string, or None."""
    return value.strip() or None if isinstance(value, str) else None


def as_word(value: object) -> str | None:
    """Return a word without blanks, such as a model or a status, or None: a text may hold what must not be shown."""
    text = as_text(value)
    return text if text and _WORD.fullmatch(text) else None


def as_number(value: object) -> float | None:
    """Return a finite number given as one or as a string, or None. A boolean is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_int(value: object) -> int | None:
    """Return a number's whole part, or None."""
    number = as_number(value)
    return None if number is None else int(number)


def as_bool(value: object) -> bool | None:
    """Return a boolean, or None for anything else."""
    return value if isinstance(value, bool) else None


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def as_epoch(value: object) -> float | None:
    """Return Unix seconds, also from milliseconds; None for zero and for times out of range."""
    number = as_number(value)
    if number is None:
        return None
    if number > 1e11:
        number /= 1000
    return number if 0 < number < 1e11 else None


def as_time(value: object) -> float | None:
    """Return Unix seconds from ISO 8601, basic or extended, in UTC if it has no zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def as_http_url(value: object) -> str | None:
    """Return an http(s) link, or None."""
    text = as_text(value)
    return text if text and text.lower().startswith(("https://", "http://")) else None


def is_loopback(host: str) -> bool:
    """Check whether a host of a URL is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def as_id(value: object) -> str | None:
    """Return an id that is safe in a URL path, or None."""
    text = as_text(value)
    return text if text and _ID.fullmatch(text) and set(text) != {"."} else None


def encode_json(body: Mapping[str, Any]) -> bytes:
    """Encode a request's body without blanks, in ASCII."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def ids_in(node: object, levels: int = ID_LEVELS) -> Iterator[str | int]:
    """
    Yield what stands where an id should in a response, of a node before its members.

    :param node: Parsed JSON. A bare text or number under its ``data`` is one too.
    :param levels: How many levels of members are searched.
    """
    return _ids_in(node, levels, ("data",))


def _ids_in(node: object, levels: int, further_names: tuple[str, ...] = ()) -> Iterator[str | int]:
    if isinstance(node, Mapping):
        for value in map(node.get, (*_ID_NAMES, *further_names)):
            if (text := as_text(value)) is not None:
                yield text
            elif isinstance(value, int) and not isinstance(value, bool):
                yield value
    if levels and isinstance(node, Mapping):
        for member in (*map(node.get, _WRAPPERS), *node.values()):  # what wraps the answer before what accompanies it
            yield from _ids_in(member, levels - 1)
    elif levels and isinstance(node, list):
        for member in node:
            yield from _ids_in(member, levels - 1)


def nested_json(text: str) -> object:
    """Return what a string holds when it is itself JSON (contract.md#error-envelopes, E3), else the string."""
    if text.lstrip().startswith("{") and len(text) <= _MAX_NESTED:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text
