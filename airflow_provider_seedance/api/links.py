"""Signed download links: when they expire, and how the storage behind them responds (contract.md#downloads)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_seedance.api.parse import as_epoch, as_number
from airflow_provider_seedance.exceptions import SeedanceServiceError

#: Seconds that a link lives if it does not say: the shorter of the vendor's two figures
#: (contract.md#polling-and-link-life).
DEFAULT_LINK_LIFE = 12 * 3600.0

#: Signature schemes that give a start and a lifetime: TOS (the vendor's own), S3, GCS, OSS.
_DATED = ("x-tos", "x-amz", "x-goog", "x-oss")
#: Baidu's signature: version, access key, start, seconds.
_BAIDU = re.compile(r"^bce-auth-v\d/[^/]+/([^/]+)/(\d{1,9})/")
#: Parameters of Akamai's signatures, and the time in one.
_AKAMAI = ("hdnts", "hdnea", "hdntl", "__token__", "__gda__")
_EXPIRES_IN = re.compile(r"(?:^|~)exp=(\d{1,12})")
_HEX = re.compile(r"[0-9a-fA-F]{1,9}")
#: In 2001, Unix seconds. A smaller number is a lifetime.
_FIRST_MOMENT = 1e9


def link_expiry(url: str) -> float | None:
    """
    Read from a signed link's own signature when it expires.

    :param url: A download link.
    :returns: Unix seconds; None if the link does not say.
    """
    try:
        query = {key.lower(): value for key, value in parse_qsl(urlsplit(url).query)}
    except ValueError:
        return None
    for scheme in _DATED:
        signed_at = _time(query.get(f"{scheme}-date"))
        life = as_number(query.get(f"{scheme}-expires"))
        if signed_at is not None and life is not None:
            return as_epoch(signed_at + life)
    if baidu := _BAIDU.search(query.get("authorization", "")):
        return _moment((_time(baidu[1]) or 0) + float(baidu[2]))
    if "sig" in query and (azure := _time(query.get("se"))) is not None:
        return azure
    found = (
        query.get("expires"),
        query.get("x-expires"),
        query.get("q-sign-time", "").rpartition(";")[2],
        query.get("auth_key", "").partition("-")[0],
        query.get("e") if "token" in query else None,
        int(query["ex"], 16) if "hm" in query and _HEX.fullmatch(query.get("ex", "")) else None,
        *(found[1] for name in _AKAMAI if (found := _EXPIRES_IN.search(query.get(name, "")))),
    )
    return next(filter(None, map(_moment, found)), None)


def _moment(value: object) -> float | None:
    """Return Unix seconds, None for a lifetime: where ``expires`` is one, nothing says when it began."""
    epoch = as_epoch(value)
    return epoch if epoch is not None and epoch >= _FIRST_MOMENT else None


def _time(text: str | None) -> float | None:
    """Read a time in ISO 8601, basic or extended, in UTC if it has no zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class LinkRefusedError(SeedanceServiceError):
    """A link was refused or answered with an error; a new link may work."""


@dataclass(frozen=True)
class LinkAnswer:
    """
    A storage's response to a request for a file from some byte on.

    :param size: Bytes of the whole file; None if the storage does not say.
    :param skip: Bytes to skip, because the storage sends the file from its beginning in spite of the range requested.
    :param etag: The storage's name for exactly these bytes; None if it gives none.
    """

    size: int | None
    skip: int
    etag: str | None


def read_link_answer(status: int, headers: Mapping[str, str], *, start: int) -> LinkAnswer:
    """
    Read the status and headers of a storage's response.

    :param status: The HTTP status.
    :param headers: The headers, in a mapping that ignores case.
    :param start: The first byte that was requested.
    :returns: What they say about the file.
    :raises LinkRefusedError: If the response does not carry the file.
    """
    if status == 200:
        length = headers.get("Content-Length", "")
        return LinkAnswer(int(length) if length.isdigit() else None, start, headers.get("ETag"))
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
        if found and int(found[1]) == start:
            return LinkAnswer(int(found[2]) if found[2] != "*" else None, 0, headers.get("ETag"))
        raise LinkRefusedError("The storage sent another part of the file than requested.", status=status)
    if status in (403, 404, 410):
        raise LinkRefusedError(f"The link was refused (HTTP {status}).", status=status)
    raise LinkRefusedError(f"The storage answered HTTP {status}.", status=status)
