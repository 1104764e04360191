"""
Error responses, read and classified: five envelopes, many codes, one typed exception each.

The HTTP status alone says little (an upstream refusal, an unfinished asset and a malformed request are all 400), so
codes and texts decide first, by prefix or substring (contract.md#upstream-codes), and the status decides the rest.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Literal

from airflow_provider_seedance.api.parse import as_mapping, as_number, as_text, nested_json
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import (
    MAX_WAIT_IN_PLACE,
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceServiceError,
)

#: Why something failed, in one word.
Reason = Literal[
    "real_person",
    "copyright",
    "input_moderation",
    "output_moderation",
    "busy",
    "timeout",
    "expired",
    "cancelled",
    "other",
]

#: Levels that are followed, of members and of JSON inside strings: five of the latter and what lies between them
#: (contract.md#failure-text).
_MAX_DEPTH = 12
_REQUEST_ID = re.compile(r"\(request id:\s*([\w.:-]{4,128})\)", re.IGNORECASE)
_REQUEST_ID_FIELDS = ("request_id", "requestid", "requestId", "RequestId")
_REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
_CONTENT_INDEX = re.compile(r"content\[(\d{1,4})\]")


@dataclass(frozen=True)
class ErrorDetail:
    """
    What an error response says, whichever of the envelopes E1 to E5 it came in (contract.md#error-envelopes).

    :param code: The innermost code: the upstream's own if the gateway relays one.
    :param gateway_code: The outermost code: the gateway's own.
    :param message: The innermost text, as the service wrote it: redact it before showing it.
    :param request_id: The trace id, if one was given.
    """

    code: str | None = None
    gateway_code: str | None = None
    message: str = ""
    request_id: str | None = None

    @property
    def text(self) -> str:
        """Everything that can be searched for a known word."""
        return f"{self.gateway_code or ''} {self.code or ''} {self.message}"

    def mentions(self, words: re.Pattern[str]) -> bool:
        """Return whether one of these words is in it."""
        return words.search(self.text) is not None


def read_error(body: object) -> ErrorDetail | None:
    """
    Read an error envelope.

    :param body: The parsed JSON of a response, or text that may hold JSON.
    :returns: What it says; None if the body is no error.
    """
    if isinstance(body, str):
        body = nested_json(body)
    detail = _descend(body, ErrorDetail(), 0) if isinstance(body, Mapping) else None
    if detail is None:
        return None
    found = _REQUEST_ID.search(detail.message)
    return replace(detail, request_id=detail.request_id or (found[1] if found else None))


def _descend(node: object, outer: ErrorDetail, depth: int) -> ErrorDetail | None:
    if isinstance(node, str):
        inner = nested_json(node)
        if isinstance(inner, Mapping) and depth < _MAX_DEPTH:
            return _descend(inner, outer, depth + 1) or replace(outer, message=node)
        return replace(outer, message=node)
    if not isinstance(node, Mapping) or depth > _MAX_DEPTH:
        return None
    request_id = next(filter(None, (as_text(node.get(name)) for name in _REQUEST_ID_FIELDS)), None)
    outer = replace(outer, request_id=outer.request_id or request_id)
    metadata = node.get("ResponseMetadata")
    if isinstance(metadata, Mapping):
        return _descend({**metadata, "error": metadata.get("Error")}, outer, depth + 1)
    error = node.get("error")
    if isinstance(error, Mapping | str) and error:
        return _descend(error, outer, depth + 1)
    code = _code(node.get("code")) or _code(node.get("Code"))
    message = as_text(node.get("message")) or as_text(node.get("Message"))
    if (code or "").lower() in ("success", "succeeded", "ok", "0", "200") or not (code or message):
        return None
    outer = replace(outer, code=code or outer.code, gateway_code=outer.gateway_code or code)
    return _descend(message, outer, depth + 1) if message else outer


def _code(value: object) -> str | None:
    """Return a code, which is a short word; anything longer is text that may hold what must not be shown."""
    text = as_text(value) if isinstance(value, str) else str(value) if type(value) is int else None
    return text if text and _CODE.fullmatch(text) else None


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_MODERATION = _words("Sensitive", "RiskDetection", "PrivacyInformation", "PolicyViolation", "ContentSecurityDetection")
_OUTPUT = _words(r"\bOutput\w*(?:Sensitive|RiskDetection)")
_REAL_PERSON = _words("PrivacyInformation", "FaceMismatch")
_COPYRIGHT = _words("PolicyViolation")
_BUSY = _words("Overloaded", "RateLimit", "QuotaExceeded", "SetLimitExceeded", "ModelLoading", r"\b429\b", "负载已饱和")
_TIMEOUT = _words(r"time[d ]*[- ]?out\b", "超时", "DeadlineExceeded")
_BALANCE = _words(
    "insufficient_user_quota",
    "pre_consume_token_quota_failed",
    "AccountOverdue",
    r"insufficient (?:balance|quota)",
    "额度不足",
)
_AUTH = _words("AuthenticationError", "invalid_api_key", "AccessDenied", "access_denied")
_UNKNOWN_ID = _words("task_not_exist", r"NotFound\.asset_id")
#: What the service writes about an unknown id. A proxy's "not found" is about a page, whose path has such words too.
_UNKNOWN_ID_TEXT = _words(
    _UNKNOWN_ID.pattern,
    r"(?<![/\w])(?:task|generation|video|asset)\b(?!/).{0,80}\b(?:not found|not exist)",
    r"\bno such (?:task|generation|video|asset)",
    "任务不存在",
)
_MODEL = _words(
    "model_not_found",
    "InvalidEndpoint",
    "ModelNotOpen",
    "missing_model",
    "model_mapping_failed",
    "model_price_error",
)
_NO_ROUTE = _words(r"Invalid URL")
#: Texts of contract.md#asset-not-ready. The first can be permanent; with the others the asset exists and waiting helps.
_ASSET_MISSING = _words(r"specified asset \S+ is not found")
_GROUP_MISSING = _words(r"\b(?:asset group|group group-)\S*.{0,80}\bnot found", r"NotFound\.group_id")
_ASSET_UNREADY = _words("asset_copy_not_ready", "asset is still processing", "is not available yet")


def reason_of(detail: ErrorDetail) -> Reason:
    """Classify a failure by its code and text (contract.md#failure-text)."""
    if detail.mentions(_REAL_PERSON):
        return "real_person"
    if detail.mentions(_COPYRIGHT) and not detail.mentions(_OUTPUT):
        return "copyright"
    if detail.mentions(_MODERATION):
        return "output_moderation" if detail.mentions(_OUTPUT) else "input_moderation"
    if detail.mentions(_BUSY):
        return "busy"
    return "timeout" if detail.mentions(_TIMEOUT) else "other"


def is_asset_not_ready(detail: ErrorDetail) -> bool:
    """Return whether a refusal is about an asset that can be used in a while (contract.md#asset-not-ready)."""
    return detail.mentions(_ASSET_MISSING) or detail.mentions(_ASSET_UNREADY)


def is_group_missing(detail: ErrorDetail) -> bool:
    """Return whether the service does not know an asset group, or not yet (contract.md#create-asset-group)."""
    return detail.mentions(_GROUP_MISSING)


def error_from(
    response: Response, *, secrets: Iterable[str] | None = (), item_names: Sequence[str] = ()
) -> SeedanceError:
    """
    Build the typed exception for a response that is an error.

    :param response: The response.
    :param secrets: What must not appear in the message either, such as the prompt. None if the service may quote a
        prompt that is not known here: then the message has its codes and none of its text.
    :param item_names: The operator's parameter behind each item of the request's ``content``.
    :returns: The exception, for the caller to raise.
    """
    status, headers = response.status, response.headers
    detail = read_error(response.body)
    if detail is None and not isinstance(response.body, Mapping):
        error = _not_json(status)
    else:
        detail = detail or ErrorDetail()
        said = "" if secrets is None else redact(detail.message, secrets=secrets)
        code = f", {detail.code}" if detail.code else ""
        quoted = f"HTTP {status}{code}{f': {said}' if said else ''}"
        item = _item(detail, item_names)
        error = _by_words(status, detail, quoted, response.conn_id, item) or _by_status(status, detail, quoted, item)
        error.code = detail.code or detail.gateway_code
    found = (as_text(headers.get(name)) for name in _REQUEST_ID_HEADERS)
    error.request_id = detail.request_id or next(filter(None, found), None) if detail is not None else None
    error.status, error.retry_after = status, retry_after(headers)
    error.is_from_service = is_error_envelope(response.body) and (
        not isinstance(error, SeedanceNotFoundError) or (detail is not None and detail.mentions(_UNKNOWN_ID_TEXT))
    )
    return error


def foreign_answer(what: str) -> SeedanceServiceError:
    """Return the error of a 200 that is not the service's own, or about something else: an outage, whatever it says."""
    error = SeedanceServiceError(f"The answer to a query of {what} is not about it: did a proxy answer?", status=200)
    error.is_from_service = False
    return error


def is_error_envelope(body: object) -> bool:
    """Return whether a body is the service's own error, E1, E2 or E5 of contract.md#error-envelopes, not other JSON."""
    outer = as_mapping(body)
    error = as_mapping(outer.get("error")) or as_mapping(as_mapping(outer.get("ResponseMetadata")).get("Error"))
    if error:
        names = {name.lower() for name in error}
        return "message" in names and bool(names & {"type", "code"})
    return isinstance(outer.get("code"), str) and "message" in outer


def _not_json(status: int) -> SeedanceError:
    """Classify a proxy's HTML or an empty body: it comes from something in between."""
    said = f"The service answered HTTP {status} without the JSON of its API"
    if 300 <= status < 400:
        return SeedanceRequestError(
            f"{said}: a redirect, which is not followed because it would carry the key along. "
            "Set the connection's host to the address that it redirects to.",
            field="host",
        )
    if status == 407:
        return SeedanceServiceError(
            f"{said}: a proxy demands a login. Set its user name and password in the proxy's address."
        )
    if status == 429:
        return SeedanceRateLimitError(f"{said}: too many requests.")
    if status == 413:
        return SeedanceRequestError(f"{said}: the request is too large. Send media by URL or asset.")
    if status in (401, 403):
        return SeedanceAuthError(f"{said}. Check the connection's key and host, and any proxy in between.")
    return SeedanceServiceError(f"{said}. Is the connection's host the API's base URL?")


def _by_words(status: int, detail: ErrorDetail, quoted: str, conn_id: str, item: str | None) -> SeedanceError | None:
    """Classify by what the service wrote; None if that does not decide."""
    if detail.mentions(_MODERATION):
        return _moderation(detail, quoted, item)
    if detail.mentions(_BALANCE) or status == 402:
        return SeedanceBalanceError(
            f"The account cannot pay for this generation ({quoted}). "
            "Top it up, or lower duration or resolution; nothing was generated."
        )
    if status == 429 or detail.mentions(_BUSY):
        return SeedanceRateLimitError(
            f"The service is busy or its limit is reached ({quoted}). Use a pool to send fewer requests at once."
        )
    if status == 401 or detail.mentions(_AUTH):
        return SeedanceAuthError(
            f"The service refused the key ({quoted}). Set a valid key as the password of connection {conn_id!r}."
        )
    if detail.mentions(_MODEL):
        return SeedanceRequestError(
            f"The service does not offer this model to this key ({quoted}). Change 'model'.", field="model"
        )
    if detail.mentions(_NO_ROUTE):
        return SeedanceRequestError(
            f"The service has no such route ({quoted}). Set the host of connection {conn_id!r} to the base URL.",
            field="host",
        )
    if status == 404 or detail.mentions(_UNKNOWN_ID):
        return SeedanceNotFoundError(
            f"The service does not know this id ({quoted}). Check the id, and that the key is the one that created it; "
            "records are kept for about 7 days."
        )
    if detail.mentions(_ASSET_MISSING):
        return SeedanceRequestError(
            f"The service does not find an asset ({quoted}). Check its id, that it is Active, and that the key is the "
            "one that created it.",
            field=item or "content",
        )
    if status == 403:
        return SeedanceAuthError(
            f"The service does not allow this ({quoted}). Check what the key of connection {conn_id!r} may use."
        )
    return None


def _by_status(status: int, detail: ErrorDetail, quoted: str, item: str | None) -> SeedanceError:
    if status == 413:
        return SeedanceRequestError(f"The request is too large ({quoted}). Send media by URL or asset.")
    if status == 501:
        return SeedanceRequestError(f"The service does not offer this ({quoted}).")
    if 400 <= status < 500 and status != 408 and not detail.mentions(_ASSET_UNREADY):
        return SeedanceRequestError(
            f"The service refused the request ({quoted}). Correct it; repeating it cannot succeed.", field=item
        )
    return SeedanceServiceError(f"The service failed ({quoted}).")


def _moderation(detail: ErrorDetail, quoted: str, item: str | None) -> SeedanceModerationError:
    if detail.mentions(_OUTPUT):
        return SeedanceModerationError(
            f"Content moderation rejected the finished video ({quoted}). A failed generation is refunded; "
            "another try or another prompt may pass.",
            stage="output",
        )
    remedies: dict[Reason, str] = {
        "real_person": "it shows a real person. Use an AI-made character as an asset",
        "copyright": "it infringes rights of others or the platform's rules. Replace it",
    }
    remedy = remedies.get(reason_of(detail), "Change it")
    return SeedanceInputModerationError(
        f"Content moderation rejected {item or 'the prompt or a reference'} ({quoted}): {remedy}. "
        "Nothing was generated.",
        stage="input",
        item=item,
    )


def _item(detail: ErrorDetail, item_names: Sequence[str]) -> str | None:
    """Return the name of the content item that the service blames by its index."""
    found = _CONTENT_INDEX.search(detail.message)
    if found is None:
        return None
    index = int(found[1])
    return item_names[index] if index < len(item_names) else found[0]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Read a ``Retry-After`` header.

    A date is counted from the response's own ``Date``, so no clock is needed and a wrong one does no harm.

    :param headers: Headers by lower-case name.
    :returns: Seconds; None if it is missing or unreadable.
    """
    value = headers.get("retry-after")
    seconds = as_number(value)
    if seconds is None and value and "date" in headers:
        try:
            wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers["date"])
        except (ValueError, TypeError):
            return None
        seconds = wait.total_seconds()
    return max(seconds, 0.0) if seconds is not None else None


def is_transient(error: SeedanceError) -> bool:
    """Return whether an error may not recur when a free call is repeated: what others answer says nothing for good."""
    return isinstance(error, SeedanceServiceError | SeedanceRateLimitError) or not error.is_from_service


def retry_in(error: SeedanceError, attempt: int, *, attempts: int, backoff: float) -> float | None:
    """
    Return when a failed call may be made again in place.

    :param error: Why it failed; that repeating is safe and may help is for the caller to know.
    :param attempt: The number of the attempt that failed, from 1.
    :param attempts: Attempts in all.
    :param backoff: Seconds before the second attempt; doubled for each further one, with jitter.
    :returns: Seconds; ``Retry-After`` wins. None if the attempts are used up, or the wait is too long.
    """
    if attempt >= attempts:
        return None
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= MAX_WAIT_IN_PLACE else None
    return min(backoff * 2.0 ** (attempt - 1), MAX_WAIT_IN_PLACE) + random.uniform(0, backoff / 2)
