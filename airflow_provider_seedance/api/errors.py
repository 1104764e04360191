"""
Error answers, read and classified: five envelopes, many codes, one typed exception each.

The HTTP status alone says little (an upstream refusal, an unfinished asset and a malformed request are all 400), so
codes and texts decide first, by prefix or substring as contract 3.3 advises, and the status decides what is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Literal

from airflow_provider_seedance.api.parse import as_number, as_text, nested_json
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.exceptions import (
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

#: Levels that are followed, of members and of JSON inside strings: five of the latter (contract 8.10) and what lies
#: between them.
_MAX_DEPTH = 12
_REQUEST_ID = re.compile(r"\(request id:\s*([\w.:-]{4,128})\)", re.IGNORECASE)
_REQUEST_ID_FIELDS = ("request_id", "requestid", "requestId", "RequestId")
_REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
_CONTENT_INDEX = re.compile(r"content\[(\d{1,4})\]")


@dataclass(frozen=True)
class ErrorDetail:
    """
    What an error answer says, whichever of the envelopes E1 to E5 it came in (contract 3.1).

    :param code: The innermost code: the upstream's own where the gateway relays one.
    :param gateway_code: The outermost code: the gateway's own.
    :param message: The innermost text, as the service wrote it: redact it before showing it.
    :param request_id: The trace id, where one was given.
    """

    code: str | None = None
    gateway_code: str | None = None
    message: str = ""
    request_id: str | None = None

    @property
    def text(self) -> str:
        """All that can be searched for a known word."""
        return f"{self.gateway_code or ''} {self.code or ''} {self.message}"


def read_error(body: object) -> ErrorDetail | None:
    """
    Read an error envelope; None where the body is none.

    :param body: The parsed JSON of an answer, or text that may hold JSON.
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
    """A code is a short word; anything longer is text that may hold what must not be shown."""
    text = as_text(value) if isinstance(value, str) else str(value) if type(value) is int else None
    return text if text and _CODE.fullmatch(text) else None


def _holds(*words: str) -> Callable[[ErrorDetail], bool]:
    pattern = re.compile("|".join(words), re.IGNORECASE)
    return lambda detail: pattern.search(detail.text) is not None


_is_moderation = _holds(
    "Sensitive", "RiskDetection", "PrivacyInformation", "PolicyViolation", "ContentSecurityDetection"
)
_is_output = _holds(r"\bOutput\w*(?:Sensitive|RiskDetection)")
_is_real_person = _holds("PrivacyInformation", "FaceMismatch")
_is_copyright = _holds("PolicyViolation")
_is_busy = _holds(
    "Overloaded", "RateLimit", "QuotaExceeded", "SetLimitExceeded", "ModelLoading", r"\b429\b", "负载已饱和"
)
_is_time_out = _holds(r"time[d ]*[- ]?out\b", "超时", "DeadlineExceeded")
_is_balance = _holds(
    "insufficient_user_quota",
    "pre_consume_token_quota_failed",
    "AccountOverdue",
    r"insufficient (?:balance|quota)",
    "额度不足",
)
_is_auth = _holds("AuthenticationError", "invalid_api_key", "AccessDenied", "access_denied")
_is_unknown_task = _holds("task_not_exist", r"NotFound\.asset_id")
_is_model = _holds(
    "model_not_found",
    "InvalidEndpoint",
    "ModelNotOpen",
    "missing_model",
    "model_mapping_failed",
    "model_price_error",
)
_is_wrong_url = _holds(r"Invalid URL")
#: Texts of contract 3.4. The first can be permanent; with the others the asset exists and waiting helps.
_is_asset_missing = _holds(r"specified asset \S+ is not found")
_is_asset_unready = _holds("asset_copy_not_ready", "asset is still processing", "is not available yet")


def reason_of(detail: ErrorDetail) -> Reason:
    """Classify a failure by its code and text (contract 8.10)."""
    if _is_real_person(detail):
        return "real_person"
    if _is_copyright(detail) and not _is_output(detail):
        return "copyright"
    if _is_moderation(detail):
        return "output_moderation" if _is_output(detail) else "input_moderation"
    if _is_busy(detail):
        return "busy"
    return "timeout" if _is_time_out(detail) else "other"


def is_asset_not_ready(detail: ErrorDetail) -> bool:
    """Say whether a refusal is about an asset that will be usable in a while (contract 3.4)."""
    return _is_asset_missing(detail) or _is_asset_unready(detail)


def error_from(
    status: int,
    body: object,
    *,
    headers: Mapping[str, str] | None = None,
    conn_id: str = "seedance_default",
    secrets: Iterable[str] = (),
    item_name: Callable[[int], str | None] = lambda index: None,
) -> SeedanceError:
    """
    Build the typed exception for an answer that is an error.

    :param status: HTTP status.
    :param body: The parsed JSON, or the text where it is none.
    :param headers: The answer's headers, for ``Retry-After`` and the request id.
    :param conn_id: The connection to name in remedies.
    :param secrets: What must not appear in the message: the key, the prompt.
    :param item_name: Names the operator's parameter behind a zero-based index into the request's ``content``.
    :returns: The exception, to be raised by the caller.
    """
    headers = {name.lower(): value for name, value in (headers or {}).items()}
    detail = read_error(body)
    if detail is None and not isinstance(body, Mapping):
        return _not_json(status, headers)
    detail = detail or ErrorDetail()
    if detail.request_id is None:
        found = (as_text(headers.get(name)) for name in _REQUEST_ID_HEADERS)
        detail = replace(detail, request_id=next(filter(None, found), None))
    said = redact(detail.message, secrets=secrets)
    error = _classify(status, detail, said, headers, conn_id, item_name)
    error.code, error.status, error.request_id = detail.code or detail.gateway_code, status, detail.request_id
    return error


def _not_json(status: int, headers: Mapping[str, str]) -> SeedanceError:
    """A proxy's HTML or an empty body: it speaks for the way to the service, not for the service (contract 8.19)."""
    said = f"The service answered HTTP {status} without the JSON of its API"
    if 300 <= status < 400:
        return SeedanceRequestError(
            f"{said}: a redirect, which is not followed because it would carry the key along. "
            "Set the connection's host to the address that answers for itself.",
            field="host",
            status=status,
        )
    if status == 429:
        return SeedanceRateLimitError(f"{said}: too many requests.", retry_after=retry_after(headers), status=status)
    if status == 413:
        return SeedanceRequestError(f"{said}: the request is too large. Send media by URL or asset.", status=status)
    if status in (401, 403):
        return SeedanceAuthError(
            f"{said}. Check the connection's key and host, and whether a proxy stands between.", status=status
        )
    return SeedanceServiceError(f"{said}. Is the connection's host the API's base URL?", status=status)


def _classify(
    status: int,
    detail: ErrorDetail,
    said: str,
    headers: Mapping[str, str],
    conn_id: str,
    item_name: Callable[[int], str | None],
) -> SeedanceError:
    quoted = f"HTTP {status}{f', {detail.code}' if detail.code else ''}{f': {said}' if said else ''}"
    if _is_moderation(detail):
        return _moderation(detail, quoted, item_name)
    if _is_balance(detail) or status == 402:
        return SeedanceBalanceError(
            f"The account cannot pay for this generation ({quoted}). "
            "Top it up, or lower duration or resolution; nothing was generated."
        )
    if status == 429 or _is_busy(detail):
        return SeedanceRateLimitError(
            f"The service is busy or its limit is reached ({quoted}). Use a pool to send fewer at once.",
            retry_after=retry_after(headers),
        )
    if status == 401 or _is_auth(detail):
        return SeedanceAuthError(
            f"The service refused the key ({quoted}). Set a valid key as the password of connection {conn_id!r}."
        )
    if _is_model(detail):
        return SeedanceRequestError(
            f"The service does not offer this model to this key ({quoted}). Change 'model'.", field="model"
        )
    if _is_wrong_url(detail):
        return SeedanceRequestError(
            f"The service has no such route ({quoted}). Set the host of connection {conn_id!r} to the base URL.",
            field="host",
        )
    if status == 404 or _is_unknown_task(detail):
        return SeedanceNotFoundError(
            f"The service does not know it ({quoted}). Check the id and that the key is the one that created it; "
            "records are kept for about 7 days."
        )
    if _is_asset_missing(detail):
        return SeedanceRequestError(
            f"The service does not find an asset ({quoted}). Check its id, that it is Active, and that the key is the "
            "one that created it.",
            field=_item(detail, item_name) or "content",
        )
    if status == 403:
        return SeedanceAuthError(
            f"The service does not allow this ({quoted}). Check what the key of connection {conn_id!r} may use."
        )
    return _by_status(status, detail, quoted, item_name)


def _by_status(status: int, detail: ErrorDetail, quoted: str, item_name: Callable[[int], str | None]) -> SeedanceError:
    if status == 413:
        return SeedanceRequestError(f"The request is too large ({quoted}). Send media by URL or asset.")
    if status == 501:
        return SeedanceRequestError(f"The service does not offer this ({quoted}).")
    if 400 <= status < 500 and status != 408 and not _is_asset_unready(detail):
        return SeedanceRequestError(
            f"The service refused the request ({quoted}). Correct it; a repetition cannot pass.",
            field=_item(detail, item_name),
        )
    return SeedanceServiceError(f"The service failed ({quoted}). It may pass on another try.")


def _moderation(detail: ErrorDetail, quoted: str, item_name: Callable[[int], str | None]) -> SeedanceModerationError:
    if _is_output(detail):
        return SeedanceModerationError(
            f"Content moderation refused the finished video ({quoted}). A failed generation is refunded; "
            "another try or another prompt may pass.",
            stage="output",
        )
    item = _item(detail, item_name)
    about = {
        "real_person": "it shows a real person. Use an AI-made character as an asset",
        "copyright": "it touches rights of others or the platform's rules. Replace it",
    }.get(reason_of(detail), "Change it")
    return SeedanceInputModerationError(
        f"Content moderation refused {item or 'the prompt or a reference'} ({quoted}): {about}. Nothing was generated.",
        stage="input",
        item=item,
    )


def _item(detail: ErrorDetail, item_name: Callable[[int], str | None]) -> str | None:
    found = _CONTENT_INDEX.search(detail.message)
    return (item_name(int(found[1])) or found[0]) if found else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Return the seconds of a ``Retry-After`` header, None where it is missing or unreadable.

    A date is counted from the answer's own ``Date``, so no clock is needed and a wrong one does no harm.

    :param headers: Headers with lower-case names.
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


__all__ = [
    "ErrorDetail",
    "Reason",
    "error_from",
    "is_asset_not_ready",
    "read_error",
    "reason_of",
    "retry_after",
]
