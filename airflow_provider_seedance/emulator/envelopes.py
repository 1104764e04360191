"""Error bodies of the service, one function for each envelope (contract.md#error-envelopes), and its request ids."""

from __future__ import annotations

import json
import secrets
import string
from datetime import UTC, datetime
from typing import Any

_ALPHABET = string.ascii_letters + string.digits


class Refusal(Exception):  # noqa: N818 - a response of the service, not an error in the emulator
    """
    A request that the service refuses.

    :param status: HTTP status of the response.
    :param body: JSON body of the response.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def random_text(length: int, alphabet: str = _ALPHABET) -> str:
    """
    Return random characters for an id.

    :param length: Number of characters.
    :param alphabet: Characters to choose from; letters and digits by default.
    :returns: The characters.
    """
    return "".join(secrets.choice(alphabet) for _ in range(length))


def new_request_id() -> str:
    """Return a request id in the service's form, which starts with the time."""
    return f"{datetime.now(UTC):%Y%m%d%H%M%S%f}000{random_text(8)}"


def openai_error(status: int, message: str, *, kind: str = "new_api_error", code: str = "") -> Refusal:
    """Return envelope E1: authentication, routing, unknown URLs."""
    return Refusal(status, {"error": {"message": message, "type": kind, "code": code, "param": ""}})


def gateway_error(status: int, code: str, message: str) -> Refusal:
    """Return envelope E2: errors that the gateway itself raises on the video routes."""
    return Refusal(status, {"code": code, "message": message, "data": None})


def upstream_error(code: str, message: str) -> Refusal:
    """Return envelope E3: the model's own refusal, as JSON text in the gateway's ``message``."""
    inner = {"error": {"code": code, "message": message, "param": "", "type": "BadRequest"}}
    return gateway_error(400, "fail_to_fetch_task", json.dumps(inner, ensure_ascii=False))


def invalid(field: str, reason: str, code: str = "InvalidParameter") -> Refusal:
    """
    Return envelope E3 for a value that the model refuses.

    :param field: The value's name as the service writes it, such as ``content[1].image_url.url``.
    :param reason: What is wrong with it, without a period.
    :param code: The upstream code.
    :returns: The refusal.
    """
    return upstream_error(code, f"The parameter '{field}' specified in the request is not valid: {reason}.")


def asset_error(status: int, code: str, message: str) -> Refusal:
    """Return envelope E5: the raw form of the service behind the asset routes."""
    error = {"Code": code, "Message": message}
    return Refusal(status, {"ResponseMetadata": {"RequestId": new_request_id(), "Error": error}})
