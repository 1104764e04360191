"""What came back from the service, as plain data: the synchronous and the asynchronous client both end in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_seedance.api.parse import as_mapping, ids_in
from airflow_provider_seedance.api.redact import MARK

#: The connection unless another is named, as ``SeedanceHook.default_conn_name``.
DEFAULT_CONN_ID = "seedance_default"
#: Characters that are kept of a body that is no JSON.
MAX_TEXT = 1000
_IS_LINK = re.compile(r"(?i)https?://\S+")
#: Shortest text treated as the key, in characters: a shorter one would match unrelated words.
_MIN_KEY = 8


@dataclass(frozen=True)
class Response:
    """
    One response.

    :param status: HTTP status.
    :param body: The parsed JSON, or the beginning of the text if it is none.
    :param headers: By lower-case name.
    :param conn_id: The connection, named in remedies.
    """

    status: int
    body: object = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    conn_id: str = DEFAULT_CONN_ID

    @classmethod
    def of(cls, status: int, raw: bytes, headers: Mapping[str, str], *, conn_id: str, key: str) -> Response:
        """
        Read what a client received. If the service repeats the key, no value but a link has it from here on.

        :param raw: The body.
        :param headers: The headers.
        :param conn_id: The connection.
        :param key: The connection's key.
        """
        body = parse_body(raw)
        keys = [form for form in (key, key.removeprefix("sk-")) if len(form) >= _MIN_KEY]
        kept = {name.lower(): value for name, value in headers.items()}
        if any(form.encode() in raw for form in keys) or b"\\" in raw:
            try:
                body = _without_keys(body, keys)
            except RecursionError:  # nobody's answer is nested that deeply
                body = _without_keys(raw.decode("utf-8", "replace")[:MAX_TEXT], keys)
        return cls(status, body, {name: str(_without_keys(kept[name], keys)) for name in kept}, conn_id)


def _without_keys(node: Any, keys: Sequence[str]) -> Any:
    if isinstance(node, str) and not _IS_LINK.fullmatch(node):
        for key in keys:
            node = node.replace(key, MARK)
    if isinstance(node, dict):
        return {name: _without_keys(member, keys) for name, member in node.items()}
    return [_without_keys(member, keys) for member in node] if isinstance(node, list) else node


def is_about(body: object, subject_id: str) -> bool:
    """
    Return whether a response is about what was asked for: it names its id, or none and is the service's envelope.

    Something on the way can answer 200 in the service's place, and ``{"status": "failed"}`` would be a reason to pay
    again. Only ids at the top or directly under ``data`` or ``Result`` count: deeper down, a request may be quoted. The
    upstream's own id (``cgt-…``) may stand for the one asked for (contract.md#query-response).
    """
    outer = as_mapping(body)
    inner = as_mapping(outer.get("data", outer.get("Result")))
    near = [*ids_in(outer, levels=0), *ids_in(inner, levels=0)]
    if subject_id in map(str, near):
        return True
    named = [one for one in near if isinstance(one, str)]  # a number may be the row of a table
    if named:
        return any(one.startswith("cgt-") for one in named) and not any(one.startswith("asyn") for one in named)
    is_envelope = "ResponseMetadata" in outer or outer.get("code") in ("success", 0, 200)
    return is_envelope and bool(inner) and inner.get("task_id") is None


def parse_body(raw: bytes) -> object:
    """Return a body's JSON, or the beginning of its text if it is none."""
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text[:MAX_TEXT]
