"""Keeping secrets out of log lines, exceptions and Airflow's database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

#: Characters of the service's text that a message quotes.
MAX_QUOTED = 500

_MARK = "[redacted]"
_LINK = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s/@:\"'<>]*:[^\s/@\"'<>]*@)?([^\s\"'<>?#]+)(?:[?#][^\s\"'<>]*)?")
_HAS_QUERY = re.compile(r"[?#]")
_DATA_URI = re.compile(r"(?i)(data:[a-z0-9.+/-]*(?:;[a-z0-9=.+-]*)*,)[^\s\"'<>)]+")
_KEY = re.compile(r"(?i)\b(sk-|bearer\s+)[\w.~+/=-]{16,}")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")
#: Query parameters left behind when a link was cut in two by the text around it.
_SIGNATURE = re.compile(
    r"(?i)\b((?:x-(?:amz|tos|goog|oss)-[a-z-]+|signature|sig|ossaccesskeyid|awsaccesskeyid|googleaccessid)=)[^\s&\"'<>]+"
)


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """
    Make a text fit for a log or an exception: without secrets, and not overly long.

    :param text: Any text, such as a service's response.
    :param secrets: Exact strings that must not be in it either: the connection's key, the prompt.
    """
    for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, _MARK)
    text = without_secrets(text)
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."


def without_secrets(text: str) -> str:
    """Return ``text`` without keys, link queries and Base64 payloads; unchanged if it contains none."""
    text = _DATA_URI.sub(rf"\1{_MARK}", text)
    text = _LINK.sub(_without_query, text)
    text = _SIGNATURE.sub(rf"\1{_MARK}", text)
    text = _KEY.sub(rf"\1{_MARK}", text)
    return _BASE64_RUN.sub(_MARK, text)


def _without_query(link: re.Match[str]) -> str:
    query = f"?{_MARK}" if _HAS_QUERY.search(link[0]) else ""
    return f"{link[1]}{link[2]}{query}"


class Redacted:
    """
    A value that shows itself redacted.

    Airflow stores every rendered template field. A Base64 image or a signed link in one would be kept in the database,
    and shown in the UI, long after the run. So Airflow is given :meth:`serialize` to store, and the operator unwraps
    the value when it builds its request.

    :param value: The value.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def serialize(self) -> str:
        """Return what Airflow may store."""
        return without_secrets(self.value)

    def __repr__(self) -> str:
        """Return what may be shown."""
        return self.serialize()


def wrap(value: Any) -> Any:
    """Wrap each string that contains a payload, a signature or a key, in lists and dictionaries too."""
    if isinstance(value, str):
        return Redacted(value) if without_secrets(value) != value else value
    if isinstance(value, Mapping):
        return {key: wrap(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [wrap(member) for member in value]
    return value


def unwrap(value: Any) -> Any:
    """Undo :func:`wrap`."""
    if isinstance(value, Redacted):
        return value.value
    if isinstance(value, Mapping):
        return {key: unwrap(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [unwrap(member) for member in value]
    return value
