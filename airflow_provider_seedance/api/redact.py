"""Keeping secrets out of log lines, exceptions and Airflow's database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

#: Characters of the service's text that a message quotes.
MAX_QUOTED = 500

#: What stands in the place of a secret.
MARK = "[redacted]"
#: A link, also as JSON escapes it: its scheme, what stands before a host, the host and path, and the query.
_LINK = re.compile(
    r"(?i)\b([a-z][a-z0-9+.-]{0,30}):((?:\\*/){2})(?:([^\s/\"'<>?#]*)@)?([^\s\"'<>?#]*)([?#][^\s\"'<>]*)?"
)
#: Storages whose links name a connection or a container before the host; anything else there is a credential.
_STORAGES = frozenset(
    ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "wasb", "wasbs", "oss", "file", "local", "seedance")
)
_DATA_URI = re.compile(r"(?i)(data:[a-z0-9.+/-]*(?:;[a-z0-9=.+-]*)*,)[^\s\"'<>)]+")
_KEY = re.compile(r"(?i)\b(sk-|bearer\s+)[\w.~+/=-]{16,}")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")
#: Query parameters left behind when a link was cut in two by the text around it.
_SIGNATURE = re.compile(
    r"(?i)\b((?:x-(?:amz|tos|goog|oss)-[a-z-]+|(?:[a-z]{1,20}[-_]){0,4}(?:signature|sig|token|auth_key|api_?key|password|secret)"
    r"|ossaccesskeyid|awsaccesskeyid|googleaccessid)=)[^\s&\"'<>]+"
)
#: What logs in to a storage, in an address; a connection's id has no colon.
#: ``user:password@``, whatever the password has in it; a port is none.
_LOGIN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)[^\s/@]*(?::(?!\d+/)|%3a)(?:[^\s/]*|[^\s@]*)@")
_ESCAPED = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|([nrtbf])|([\"'/\\]))")
#: A word; scripts without blanks have one for each character. ``re`` compiles it when it is first used: that takes
#: 2 ms, which every Dag file would pay.
_WORD = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
#: Words in a row that give a secret text away, and the letters of a word that does so alone.
_PHRASE = 3
_TELLING = 8


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """
    Make a text fit for a log or an exception: without secrets, and not overly long.

    :param text: Any text, such as a service's response.
    :param secrets: Texts of which nothing telling may be in it either, however it is quoted: the prompt.
    """
    text = without_secrets(_without_phrases(_unescaped(text), secrets))
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."


def _unescaped(text: str) -> str:
    """Undo the escapes of JSON, of JSON in JSON too, so that a quoted text can be recognized."""
    if "\\" not in text:
        return text
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[3] or " ", text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # characters that were two escapes


def _without_phrases(text: str, secrets: Iterable[str]) -> str:
    """
    Remove what is quoted from a secret text: a few words in a row, or one long word.

    A service quotes with its own blanks, in its own case, escaped or cut short, so no exact match would do.
    """
    spoken = ([word.lower() for word in re.findall(_WORD, secret)] for secret in secrets)
    telling = {phrase for words in spoken for phrase in _phrases(words)}
    words = list(re.finditer(_WORD, text)) if telling else []
    plain = [word[0].lower() for word in words]
    quoted = [False] * len(words)
    for length in range(1, _PHRASE + 1):
        for first in range(len(words) - length + 1):
            if tuple(plain[first : first + length]) in telling:
                quoted[first : first + length] = [True] * length
    kept, end = [], 0
    for at, word in enumerate(words):
        if quoted[at]:
            if at == 0 or not quoted[at - 1]:
                kept += [text[end : word.start()], MARK]
            end = word.end()
    return "".join([*kept, text[end:]])


def _phrases(words: list[str]) -> set[tuple[str, ...]]:
    length = min(_PHRASE, len(words))
    phrases = {tuple(words[first : first + length]) for first in range(len(words) - length + 1) if words}
    return phrases | {(word,) for word in words if len(word) >= _TELLING}


def without_secrets(text: str) -> str:
    """Return ``text`` without keys, link queries and Base64 payloads; unchanged if it contains none."""
    text = _DATA_URI.sub(rf"\1{MARK}", text)
    text = _LINK.sub(_without_query, _LOGIN.sub(r"\1", text))
    text = _SIGNATURE.sub(rf"\1{MARK}", text)
    text = _KEY.sub(rf"\1{MARK}", text)
    return _BASE64_RUN.sub(MARK, text)


def without_credentials(path: str) -> str:
    """Return the path of a stored file as it is, but without signature parameters and ``user:password@``."""
    place, mark, query = _LOGIN.sub(rf"\1{MARK}@", path).partition("?")
    return place + mark + _SIGNATURE.sub(rf"\1{MARK}", query)


def _without_query(link: re.Match[str]) -> str:
    scheme, slashes, user, place, query = link.groups()
    named = f"{user}@" if user is not None and ":" not in user and scheme.lower() in _STORAGES else ""
    return f"{scheme}:{slashes}{named}{place}{f'?{MARK}' if query else ''}"


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
