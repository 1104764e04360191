"""What came back from the service, as plain data: the synchronous and the asynchronous client both end in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Characters that are kept of a body that is no JSON.
MAX_TEXT = 1000


@dataclass(frozen=True)
class Response:
    """
    One response.

    :param status: HTTP status.
    :param body: The parsed JSON, or the beginning of the text if it is none.
    :param headers: By lower-case name.
    :param conn_id: The connection, named in remedies.
    :param secrets: What no message may contain: the connection's key.
    """

    status: int
    body: object = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    conn_id: str = "seedance_default"
    secrets: tuple[str, ...] = field(default=(), repr=False)


def parse_body(raw: bytes) -> object:
    """Return a body's JSON, or the beginning of its text if it is none."""
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text[:MAX_TEXT]
