"""Refusals of the service, in each envelope (contract.md#error-envelopes), and its request ids."""

from __future__ import annotations

import json
import secrets
import string
from datetime import UTC, datetime
from typing import Any

#: E3 and E4 come in two forms: JSON within JSON within JSON, and plain text.
ENVELOPES = ("E1", "E2", "E3", "E3_deep", "E4", "E4_text", "E5")

_ALPHABET = string.ascii_letters + string.digits


class Refusal(Exception):  # noqa: N818 - a response of the service, not an error in the emulator
    """
    A request that the service refuses.

    :param status: HTTP status of the response.
    :param envelope: The one of :data:`ENVELOPES` that it comes in.
    :param code: The code, which may be empty.
    :param message: The text.
    :param kind: The type of error that E1 names.
    """

    def __init__(self, status: int, envelope: str, code: str, message: str, *, kind: str = "new_api_error") -> None:
        super().__init__(status)
        self.status = status
        self._envelope = envelope
        self._code, self._message, self._kind = code, message, kind

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the response."""
        return self.within(self._envelope)

    def within(self, envelope: str) -> dict[str, Any]:
        """Return the body in one of :data:`ENVELOPES`."""
        code, message = self._code, self._message
        inner = {"error": {"code": code, "message": message, "param": "", "type": "BadRequest"}}
        relayed = {"code": "fail_to_fetch_task", "message": json.dumps(inner, ensure_ascii=False), "data": None}
        match envelope:
            case "E1":
                return {"error": {"message": message, "type": self._kind, "code": code, "param": ""}}
            case "E2":
                return {"code": code, "message": message, "data": None}
            case "E3":
                return relayed
            case "E3_deep":
                return {**relayed, "message": json.dumps({"error": relayed}, ensure_ascii=False)}
            case "E4":
                return {"error": relayed}
            case "E4_text":
                return {"error": f"{code}: {message}"}
        return {"ResponseMetadata": {"RequestId": new_request_id(), "Error": {"Code": code, "Message": message}}}


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
    return Refusal(status, "E1", code, message, kind=kind)


def gateway_error(status: int, code: str, message: str) -> Refusal:
    """Return envelope E2: errors that the gateway itself raises on the video routes."""
    return Refusal(status, "E2", code, message)


def upstream_error(code: str, message: str) -> Refusal:
    """Return envelope E3: the model's own refusal, as JSON text in the gateway's ``message``."""
    return Refusal(400, "E3", code, message)


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
    return Refusal(status, "E5", code, message)
