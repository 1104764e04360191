"""What a signed download link says about its own end."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_seedance.api.parse import as_epoch, as_number

#: Seconds that a link lives where it does not say: the shorter of the vendor's two figures (contract 7, line 1).
DEFAULT_LINK_LIFE = 12 * 3600.0

#: Signature schemes that give a start and a life: TOS (the vendor's own), S3, GCS, OSS.
_DATED = ("x-tos", "x-amz", "x-goog", "x-oss")


def link_expiry(url: str) -> float | None:
    """
    Return when a signed link ends, in Unix seconds, read from its own signature; None where it does not say.

    :param url: A download link.
    """
    try:
        query = {key.lower(): value for key, value in parse_qsl(urlsplit(url).query)}
    except ValueError:
        return None
    for scheme in _DATED:
        signed_at = _iso_basic(query.get(f"{scheme}-date"))
        life = as_number(query.get(f"{scheme}-expires"))
        if signed_at is not None and life is not None:
            return as_epoch(signed_at + life)
    return as_epoch(query.get("expires")) or as_epoch(query.get("q-sign-time", "").rpartition(";")[2])


def _iso_basic(text: str | None) -> float | None:
    try:
        return datetime.strptime(text or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
