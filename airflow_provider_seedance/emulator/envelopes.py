"""The error bodies of the service, in its three envelopes of the video routes (contract 3.1)."""

from __future__ import annotations

import json
from typing import Any


class Refusal(Exception):  # noqa: N818 - an answer of the service, not a fault of the emulator
    """A request that the service refuses.

    :param status: HTTP status of the answer
    :param body: JSON body of the answer
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def openai_error(status: int, message: str, *, kind: str = "new_api_error", code: str = "") -> Refusal:
    """Envelope E1: authentication, routing, unknown URL."""
    return Refusal(status, {"error": {"message": message, "type": kind, "code": code, "param": ""}})


def gateway_error(status: int, code: str, message: str) -> Refusal:
    """Envelope E2: errors that the gateway raises itself on the video routes."""
    return Refusal(status, {"code": code, "message": message, "data": None})


def upstream_error(code: str, message: str, *, status: int = 400, kind: str = "BadRequest") -> Refusal:
    """Envelope E3: a refusal of the model's own service, its JSON put as text into the gateway's ``message``."""
    inner = {"error": {"code": code, "message": message, "param": "", "type": kind}}
    return gateway_error(status, "fail_to_fetch_task", json.dumps(inner, ensure_ascii=False))
