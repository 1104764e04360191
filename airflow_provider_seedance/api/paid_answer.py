"""
What became of a paid call: the one question is whether something may have been created, and doubt means yes.

A response proves that nothing was only if it is a 429, one of six 4xx in the service's own error shape, or a 5xx with a
code that comes before the upstream call (decisions.md#paying-once). Proxies and CDNs write statuses, HTML and JSON too,
and prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_seedance.api.errors import error_from, is_asset_not_ready, is_error_envelope, read_error, retry_in
from airflow_provider_seedance.api.parse import ID_LEVELS, as_id, as_mapping, ids_in
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceError,
    SeedanceServiceError,
    SeedanceTransportError,
)

#: Attempts of a paid call, repeated only if nothing can have been created.
SUBMIT_ATTEMPTS = 6
#: Seconds before the second attempt; doubled for each further one.
SUBMIT_BACKOFF = 5.0


@dataclass(frozen=True)
class PaidAnswer:
    """
    What became of a paid call.

    :param verdict: ``accepted`` with an id; ``refused``, nothing was created; ``repeat``, nothing was created and
        waiting helps; ``lost``, something may have been created.
    :param created_id: With ``accepted``, and with ``lost`` if the response names one all the same.
    :param error: With the others: the typed exception.
    """

    verdict: Literal["accepted", "refused", "repeat", "lost"]
    created_id: str | None = None
    error: SeedanceError | None = None

    def retry_in(self, attempt: int) -> float | None:
        """
        Return when the call may be made again in place.

        :param attempt: The number of the attempt that this is the answer to, from 1.
        :returns: Seconds; None if it must not be repeated, or not here.
        """
        if self.verdict != "repeat" or self.error is None:
            return None
        return retry_in(self.error, attempt, attempts=SUBMIT_ATTEMPTS, backoff=SUBMIT_BACKOFF)

    def require_id(self) -> str:
        """
        Return the id of what was created.

        :raises SeedanceAmbiguousSubmissionError: The response was lost.
        :raises SeedanceError: The typed exception of a refusal; nothing was created.
        """
        if self.error is None:
            return str(self.created_id)
        if self.verdict != "lost":
            raise self.error
        message = f"The response to a paid call was lost: {self.error}"
        raise self.error.retyped(SeedanceAmbiguousSubmissionError, message) from self.error


def read_paid_failure(error: SeedanceError) -> PaidAnswer:
    """
    Classify a paid call that got no response.

    :param error: What it ended in. Only one that was sent can have created something.
    """
    if not isinstance(error, SeedanceTransportError):
        return PaidAnswer("refused", error=error)  # it could not be sent, and will not be next time
    return PaidAnswer("lost" if error.sent else "repeat", error=error)


#: The gateway's codes with a 5xx that are known to come before its upstream is called (contract.md#http-status).
_BEFORE_UPSTREAM = frozenset(
    {
        "build_request_failed",
        "get_channel_failed",
        "model_not_found",
        "asset_copy_not_ready",
        "not_implemented",
        "api_not_implemented",
    }
)


#: The 4xx with which the service refuses (contract.md#http-status). Others come from something on the way to it.
_REFUSING_STATUSES = frozenset({400, 401, 402, 403, 404, 413})


def read_paid_answer(
    response: Response, *, secrets: Iterable[str] = (), item_names: Sequence[str] = (), sent: bytes = b""
) -> PaidAnswer:
    """
    Classify the response to a paid call. Parameters as :func:`~.errors.error_from`.

    A 429 was stopped before it began.

    :param sent: The request's body: an id that a text quotes from it is not the one created.
    """
    status, created_id = response.status, find_created_id(response.body, sent)
    is_cut = isinstance(response.body, str)  # a body that is no JSON may end within the id
    if 200 <= status < 300 and created_id and not is_cut:
        return PaidAnswer("accepted", created_id)
    error = error_from(response, secrets=secrets, item_names=item_names)
    if 200 <= status < 300:
        said = f": {error}" if read_error(response.body) else "."
        odd = created_id or _odd_id(response.body, secrets=secrets)
        what = "an id in a text" if created_id else "an id that cannot be queried" if odd else "no id"
        error = SeedanceServiceError(f"The service answered HTTP {status} with {what}{said}", status=status)
        return PaidAnswer("lost", odd, error)
    if created_id:
        return PaidAnswer("lost", created_id, error)
    if status == 429:
        return PaidAnswer("repeat", error=error)
    if not _proves_refusal(response):
        return PaidAnswer("lost", error=error)
    detail = read_error(response.body)
    waiting_helps = detail is not None and is_asset_not_ready(detail)
    return PaidAnswer("repeat" if waiting_helps else "refused", error=error)


def _proves_refusal(response: Response) -> bool:
    if not is_error_envelope(response.body):
        return False
    if response.status < 500:
        return response.status in _REFUSING_STATUSES
    outer = as_mapping(response.body)
    code = outer.get("code") or as_mapping(outer.get("error")).get("code")  # the gateway's own is the outermost
    return code in _BEFORE_UPSTREAM


#: An id of the vendor's, wherever it is written (contract.md#create-response).
_VENDOR_ID = re.compile(r"\basyn[A-Za-z]*_[A-Za-z0-9._-]{2,199}[A-Za-z0-9]")
#: Characters of an id that cannot be queried which are kept.
_MAX_ODD_ID = 100


def find_created_id(body: object, sent: bytes = b"") -> str | None:
    """
    Return the first id in a body, whatever wraps it; one of the vendor's own form wins, even in a text.

    :param sent: The request's body: an id that a text quotes from it does not count.
    """
    ids = list(ids_in(body))
    named = [text for text in ids if isinstance(text, str) and as_id(text)]
    vendors = next((text for text in named if text.startswith("asyn")), None)
    numbers = [str(number) for number in ids if isinstance(number, int) and number > 0]
    return vendors or _id_in_text(body, sent, 0) or next(iter(named + numbers), None)


def _odd_id(body: object, secrets: Iterable[str]) -> str | None:
    """Return what stands where an id should, for a person to look for: it is of no form that can be queried."""
    texts = (redact(text, secrets=secrets)[:_MAX_ODD_ID] for text in ids_in(body) if isinstance(text, str))
    return next((text.encode("ascii", "backslashreplace").decode() for text in texts), None)


def _id_in_text(node: object, sent: bytes, depth: int) -> str | None:
    if isinstance(node, str):
        return next((found for found in _VENDOR_ID.findall(node) if found.encode() not in sent), None)
    members = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    if depth > ID_LEVELS:
        return None
    return next(filter(None, (_id_in_text(member, sent, depth + 1) for member in members)), None)
