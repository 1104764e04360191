"""
Single values as a user or a template gives them, converted to the type that the service wants.

A template renders to text: ``"8"`` and ``"true"`` are taken for what they plainly mean, and whatever would need a guess
is refused. Each converter takes the parameter's name for its message, and raises
:class:`~airflow_provider_seedance.exceptions.SeedanceRequestError` with that name as ``field``.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.exceptions import SeedanceRequestError

_Container = TypeVar("_Container", list[Any], dict[str, Any])

_WHOLE_NUMBER = re.compile(r"([+-]?[0-9]{1,20})(\.0+)?")
_MAX_INTEGER = 2**63 - 1
_MAX_DEPTH = 32
#: Seconds that a wait may have: a year.
MAX_SECONDS = 366 * 86400
_SHOWN = re.compile(r"[\w.:+ -]{0,40}")
#: Texts, in lower case, that a template renders to if what it names has no value.
_NOTHING = frozenset(("", "none", "null", "[]", "{}"))
#: What to say of a value that is nothing.
GAVE_NOTHING = "the upstream task pushed nothing under that key, or the template refers to something that has no value"


def refuse(field: str, what: str, remedy: str) -> NoReturn:
    """
    Raise the error that every check of a request ends in.

    :param field: The parameter, which begins the message.
    :param what: What is wrong with it, as a predicate.
    :param remedy: What to change.
    :raises SeedanceRequestError: Always.
    """
    raise SeedanceRequestError(redact(f"{field} {what}. {remedy}."), field=field) from None  # the cause may name a link


def texts_in(node: object) -> Iterator[str]:
    """Yield every text in a JSON value, paths among them."""
    text = path_text(node)
    if isinstance(text, str):
        yield text
    elif isinstance(node, Mapping | list | tuple):
        for member in node.values() if isinstance(node, Mapping) else node:
            yield from texts_in(member)


def shown(value: object) -> str:
    """Write a value into a message: short words and numbers as they are, of anything else only its type."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) <= _MAX_INTEGER else "a number of more than 64 bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple | Mapping) and not value:
        return f"an empty {type(value).__name__}"
    if isinstance(value, str):
        return repr(value) if _SHOWN.fullmatch(value) else f"a text of {len(value)} characters"
    return f"of type {type(value).__name__}"


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of a few."""
    if value not in choices:
        refuse(name, f"is {shown(value)}", f"Give one of {', '.join(choices)}")


def check_waits(**waits: object) -> None:
    """
    Check the waits of an operator or a sensor when it is made, before anything can be paid.

    :param waits: Seconds, by parameter.
    :raises SeedanceRequestError: One is not above 0, or longer than any wait makes sense.
    """
    for name, value in waits.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_SECONDS:
            fault = f"is {shown(value)}, not a number of seconds above 0 and within a year"
            refuse(name, fault, "Give a number such as 15")


def check_switches(**switches: object) -> None:
    """
    Check the switches of an operator or a sensor that are no templates: ``"False"`` would count as True.

    :param switches: By parameter.
    :raises SeedanceRequestError: One is anything but True or False.
    """
    for name, value in switches.items():
        if not isinstance(value, bool):
            refuse(name, f"is {shown(value)}, neither True nor False", "Give True or False, without quotes")


def is_nothing(value: object) -> bool:
    """Check whether a rendered value holds nothing: None, an empty container, or the text that stands for one."""
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    return value is None or (isinstance(value, list | tuple | Mapping) and not value)


def path_text(value: object) -> object:
    """
    Write a path object as text.

    :param value: Anything; Airflow's ``ObjectStoragePath``, which is no ``os.PathLike``, is known without an import.
    :returns: The text of a path object, anything else as it is.
    """
    is_object_storage_path = isinstance(getattr(value, "protocol", None), str) and hasattr(value, "storage_options")
    return str(value) if is_object_storage_path or isinstance(value, os.PathLike) else value


def is_literal(value: object) -> bool:
    """
    Check whether a value is known when the Dag is parsed.

    :param value: An operator's argument.
    :returns: False for a template, for the output of another task (anything with ``resolve``), and for a list or
        dictionary that holds one.
    """
    value = path_text(value)
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return all(is_literal(member) for pair in value.items() for member in pair)
    if isinstance(value, (list, tuple)):
        return all(map(is_literal, value))
    return not hasattr(value, "resolve")


def prompt_text(name: str, value: object) -> str:
    """Take a prompt as it is; refuse an empty one, and the words None and null that an empty template leaves behind."""
    if not isinstance(value, str):
        refuse(name, f"is {shown(value)}, not text", "Give the prompt as a string")
    if is_nothing(value):
        refuse(name, f"is {shown(value)}, and describes nothing", "Describe the video, or omit it if there is media")
    return str(value)


def word(name: str, value: object) -> str:
    """Take a name such as a model or a resolution."""
    if not isinstance(value, str):
        refuse(name, f"is {shown(value)}, not text", "Put it in quotes")
    text = value.strip()
    if is_nothing(text):
        refuse(name, f"is {shown(text)}, which names nothing", "Omit the parameter to get the default")
    if not text.isprintable():
        refuse(name, "contains a line break or another control character", "Give one word")
    return text


def lower_word(name: str, value: object) -> str:
    """Take a name that the service spells in lower case only (contract.md#create-request)."""
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


def seed_number(name: str, value: object) -> int:
    """Take a seed: -1 for a random one, or a whole number from 0."""
    number = whole_number(name, value)
    if number < -1:
        refuse(name, f"is {number}", "Give -1 for a random one, or a whole number from 0")
    return number


def boolean(name: str, value: object) -> bool:
    """Take True or False, or the text that a template makes of them, in any case."""
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else None
    if text not in ("true", "false"):
        refuse(name, f"is {shown(value)}, neither true nor false", "Give True or False")
    return text == "true"


def list_items(name: str, value: object) -> Sequence[object]:
    """
    Take a list as it is, a list that a template rendered to text, or a single value as a list of one.

    A set is refused, since placeholders number the items by their order.
    """
    if isinstance(value, str) and value.strip().startswith("[") and value.strip().endswith("]"):
        return _parse_rendered(name, value, list)
    if isinstance(value, (set, frozenset, bytes, bytearray, Mapping)):
        refuse(name, f"is {shown(value)}", "Give a list, whose order numbers @image1, @image2")
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def json_list(name: str, value: object) -> list[Any]:
    """Take a list of plain JSON values, copied, or the text that a template rendered one to."""
    if isinstance(value, str):
        value = _parse_rendered(name, value, list)
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray)):
        refuse(name, f"is {shown(value)}, not a list", "Give a list of content items")
    if not value:
        refuse(name, "is an empty list", "Give at least one item, or omit the parameter")
    return [plain_json(f"{name}[{index}]", item) for index, item in enumerate(value)]


def json_object(name: str, value: object) -> dict[str, Any]:
    """Take a dictionary of plain JSON values, copied, or the text that a template rendered one to."""
    if isinstance(value, str):
        value = _parse_rendered(name, value, dict)
    if not isinstance(value, Mapping):
        refuse(name, f"is {shown(value)}, not a dictionary", "Give fields by name")
    copied: dict[str, Any] = plain_json(name, value)
    return copied


def plain_json(name: str, value: object, *, depth: int = 0) -> Any:
    """Copy a value made of JSON's types; refuse whatever JSON cannot represent, naming where it is."""
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
    refuse(name, f"contains {shown(value)}, which JSON cannot represent", "Give text, numbers, lists, dictionaries")


def _key(name: str, key: object) -> str:
    if not isinstance(key, str):
        refuse(name, f"has a key {shown(key)}, not text", "Name fields by strings")
    return str(key)


def _parse_rendered(name: str, value: str, wanted: type[_Container]) -> _Container:
    """Parse a list or dictionary that a template rendered, as JSON or as Python writes it."""
    text, found = value.strip(), None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            found = ast.literal_eval(text)
    if isinstance(found, wanted):
        return found
    kind = "list" if wanted is list else "dictionary"
    return refuse(name, f"is text that is not a {kind}", f"Give a {kind}, or a template that renders to one")
