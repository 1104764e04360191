"""
Single values as a user or a template gives them, brought to the type that the service wants.

A template renders to text: ``"8"`` and ``"true"`` are taken for what they plainly mean, and anything whose meaning has
to be guessed is refused. Each function takes the parameter's name for its message, and raises
:class:`~airflow_provider_seedance.exceptions.SeedanceRequestError` with that name as ``field``.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.media import MediaKind, check_media
from airflow_provider_seedance.exceptions import SeedanceRequestError

_Container = TypeVar("_Container", list[Any], dict[str, Any])

_WHOLE_NUMBER = re.compile(r"([+-]?[0-9]{1,20})(\.0+)?")
_MAX_INTEGER = 2**63 - 1
_MAX_DEPTH = 32
_SHOWN = re.compile(r"[\w.:+ -]{0,40}")

#: Fields of the request that a parameter governs, and which.
_GOVERNED = {
    name: name
    for name in (
        "model",
        "content",
        "generate_audio",
        "resolution",
        "ratio",
        "duration",
        "watermark",
        "return_last_frame",
        "seed",
    )
} | {"tools": "web_search"}


def refuse(field: str, what: str, remedy: str) -> NoReturn:
    """
    Raise the error that every check here ends in.

    :param field: The parameter, which begins the message.
    :param what: What is wrong with it, as a predicate.
    :param remedy: What to change.
    """
    raise SeedanceRequestError(f"{field} {what}. {remedy}.", field=field)


def shown(value: object) -> str:
    """Write a value into a message: short words and numbers as they are, of anything else only its type."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) <= _MAX_INTEGER else "a number of more than 64 bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return repr(value) if _SHOWN.fullmatch(value) else f"a text of {len(value)} characters"
    return f"of type {type(value).__name__}"


def prompt_text(name: str, value: object) -> str:
    """Take a prompt as it is; refuse one that is empty, or the word None that an empty template leaves behind."""
    if not isinstance(value, str):
        refuse(name, f"is {shown(value)}, not text", "Give the prompt as a string")
    if not value.strip():
        refuse(name, "is empty", "Describe the video, or leave the parameter out where there is media")
    if value.strip() == "None":
        refuse(name, "is the word None, so its template had no value", "Give the template a value or a default")
    return str(value)


def word(name: str, value: object) -> str:
    """Take a name such as a model or a resolution."""
    if not isinstance(value, str):
        refuse(name, f"is {shown(value)}, not text", "Put it in quotes")
    text = value.strip()
    if not text or text == "None":
        refuse(name, f"is {shown(text)}, which says nothing", "Leave the parameter out to get the default")
    if not text.isprintable():
        refuse(name, "holds a line break or another control character", "Give one word")
    return text


def lower_word(name: str, value: object) -> str:
    """Take a name that the service spells in lower case only (contract 1.1)."""
    return word(name, value).lower()


def whole_number(name: str, value: object) -> int:
    """Take a whole number, or the text or float that means exactly one: ``8``, ``"8"``, ``8.0``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, str) and (match := _WHOLE_NUMBER.fullmatch(value.strip())):
        value = int(match[1])
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_INTEGER:
        refuse(name, f"is {shown(value)}, not a whole number", "Give digits only, such as 8")
    return int(value)


def seed_number(name: str, value: object) -> int | None:
    """Take a seed: -1 for a random one, or a whole number from 0; the word None, rendered from null, for no seed."""
    if isinstance(value, str) and value.strip() == "None":
        return None
    number = whole_number(name, value)
    if number < -1:
        refuse(name, f"is {number}", "Give -1 for a random one, or a whole number from 0")
    return number


def truth(name: str, value: object) -> bool:
    """Take True or False, or the text that a template makes of them, in any case."""
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else None
    if text not in ("true", "false"):
        refuse(name, f"is {shown(value)}, neither true nor false", "Give True or False")
    return text == "true"


def list_items(name: str, value: object) -> Sequence[object]:
    """
    Take a list parameter as a sequence: a list as it is, a list that a template rendered to text, one value alone.

    A set is refused, since placeholders number the items by their order.
    """
    if isinstance(value, str) and value.strip().startswith("[") and value.strip().endswith("]"):
        return _literal(name, value, list)
    if isinstance(value, (set, frozenset, bytes, bytearray, Mapping)):
        refuse(name, f"is {shown(value)}", "Give a list, whose order numbers @image1, @image2")
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def media_list(name: str, value: object, kind: MediaKind) -> tuple[str, ...]:
    """Take a list of media values, each checked, and no more of them than the service takes (contract 1.2)."""
    items = list_items(name, value)
    check_count(name, len(items), kind)
    return tuple(check_media(item, kind, item=f"{name}[{index}]") for index, item in enumerate(items))


def check_count(name: str, count: int, kind: MediaKind) -> None:
    """Refuse more items of a kind than one request may hold (contract 1.2)."""
    most = limits.MAX_ITEMS[kind]
    if count > most:
        refuse(name, f"has {count} items of kind {kind}", f"Give at most {most}")


def json_list(name: str, value: object) -> list[Any]:
    """Take a list of plain JSON values, copied, or the text that a template made of one."""
    if isinstance(value, str):
        value = _literal(name, value, list)
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        refuse(name, f"is {shown(value)}, not a list", "Give a list of content items")
    if not value:
        refuse(name, "is an empty list", "Give at least one item, or leave the parameter out")
    return [plain_json(f"{name}[{index}]", item) for index, item in enumerate(value)]


def extra_fields(name: str, value: object) -> dict[str, Any]:
    """Take further fields for the request, and refuse those that a parameter governs."""
    if isinstance(value, str):
        value = _literal(name, value, dict)
    if not isinstance(value, Mapping):
        refuse(name, f"is {shown(value)}, not a dictionary", "Give fields by name")
    fields: dict[str, Any] = plain_json(name, value)
    for field in fields:
        if field in _GOVERNED:
            refuse(name, f"would override {field!r}", f"Use the parameter {_GOVERNED[field]!r} for it")
    return fields


def plain_json(name: str, value: object, *, depth: int = 0) -> Any:
    """Copy a value made of JSON's types; refuse anything that JSON cannot say, with the place where it stands."""
    if depth > _MAX_DEPTH:
        refuse(name, "is nested too deeply", f"Keep it to {_MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int) and abs(value) <= _MAX_INTEGER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, Mapping):
        return {_key(name, key): plain_json(name, member, depth=depth + 1) for key, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain_json(name, member, depth=depth + 1) for member in value]
    refuse(name, f"holds a value {shown(value)}, which JSON cannot say", "Give text, numbers, lists, dictionaries")


def _key(name: str, key: object) -> str:
    if not isinstance(key, str):
        refuse(name, f"has a key {shown(key)}, not text", "Name fields by strings")
    return str(key)


def _literal(name: str, value: str, wanted: type[_Container]) -> _Container:
    """Read back a list or dictionary that a template rendered, as JSON or as Python writes it."""
    text = value.strip()
    readers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
    for read in readers:
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        if isinstance(found, wanted):
            return found
    kind = "list" if wanted is list else "dictionary"
    return refuse(name, f"is text that is no {kind}", f"Give a {kind}, or a template that renders to one")
