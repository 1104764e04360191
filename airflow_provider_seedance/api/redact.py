"""Taking secrets out of text before it reaches a log line or an exception."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Characters of service text that a message quotes at the most.
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
    Make a foreign text fit for a log or an exception: without secrets, and not overly long.

    :param text: Any text, such as what a service answered.
    :param secrets: Exact strings that must not be in it either: the connection's key, the prompt.
    """
    for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, _MARK)
    text = without_secrets(text)
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."


def without_secrets(text: str) -> str:
    """Return ``text`` without keys, link queries and Base64 payloads; unchanged where it holds none."""
    text = _DATA_URI.sub(rf"\1{_MARK}", text)
    text = _LINK.sub(_without_query, text)
    text = _SIGNATURE.sub(rf"\1{_MARK}", text)
    text = _KEY.sub(rf"\1{_MARK}", text)
    return _BASE64_RUN.sub(_MARK, text)


def _without_query(link: re.Match[str]) -> str:
    query = f"?{_MARK}" if _HAS_QUERY.search(link[0]) else ""
    return f"{link[1]}{link[2]}{query}"
