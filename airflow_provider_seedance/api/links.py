"""Signed links: what signs them, when they expire, and how the storage behind them responds (contract.md#downloads)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_seedance.api.parse import as_epoch, as_number, as_time
from airflow_provider_seedance.exceptions import SeedanceServiceError

#: Seconds that a link lives if it does not say: the shorter of the vendor's two figures
#: (contract.md#polling-and-link-life).
DEFAULT_LINK_LIFE = 12 * 3600.0

#: Signature schemes that give a start and a lifetime: TOS (the vendor's own), S3, GCS, OSS.
_DATED = ("x-tos", "x-amz", "x-goog", "x-oss")
#: Baidu's signature: version, access key, start, seconds.
_BAIDU = re.compile(r"^bce-auth-v\d/[^/]+/([^/]+)/(\d{1,9})/")
#: Parameters of Akamai's signatures, each of which is one, and the time in one.
_AKAMAI = ("hdnts", "hdnea", "hdntl", "__token__", "__gda__")
_EXPIRES_IN = re.compile(r"(?:^|~)exp=(\d{1,12})")
_HEX = re.compile(r"[0-9a-fA-F]{1,9}")
#: In 2001, Unix seconds. A smaller number is a lifetime.
_FIRST_MOMENT = 1e9


def _names(names: str, prefix: str = "") -> frozenset[str]:
    return frozenset(prefix + name for name in names.split())


_V4 = "algorithm credential date expires signedheaders signature security-token"

#: Signing schemes of links: the parameters that identify a scheme, and all that it adds, in lower case. They are
#: removed only together with their signature: a lone ``expires``, ``token`` or ``sv`` may identify the file, and so
#: does anything that no scheme signs with, such as ``versionId`` or ``x-oss-process``.
_SCHEMES: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (_names("x-amz-signature"), _names(f"{_V4} content-sha256", "x-amz-")),
    (_names("x-tos-signature"), _names(f"{_V4} policy", "x-tos-")),
    (_names("x-goog-signature"), _names(_V4, "x-goog-")),
    (_names("x-oss-signature"), _names(f"{_V4} signature-version additional-headers", "x-oss-")),
    # S3 version 2, Google version 2, OSS version 1, OBS, CloudFront
    (
        _names("signature"),
        _names(
            "signature expires awsaccesskeyid googleaccessid ossaccesskeyid accesskeyid key-pair-id policy "
            "hash-algorithm security-token x-amz-security-token x-oss-security-token x-obs-security-token",
        ),
    ),
    # Azure shared access signatures: of an account, of a service, and delegated by a user
    (
        _names("sig"),
        _names("sig sv ss srt sp st se spr sip si sr sdd scid saoid suoid") | _names("oid tid t e s v", "sk"),
    ),
    # Tencent COS
    (
        _names("q-signature"),
        _names("sign-algorithm ak sign-time key-time header-list url-param-list signature", "q-")
        | {"x-cos-security-token"},
    ),
    # Baidu BOS
    (_names("authorization"), _names("authorization x-bce-date x-bce-security-token")),
    # the content delivery networks of Alibaba, Volcengine and Tencent; of ByteDance; of Qiniu; of Discord; Akamai's
    (_names("auth_key"), _names("auth_key")),
    (_names("signature expires", "x-"), _names("signature expires", "x-")),
    (_names("e token"), _names("e token")),
    (_names("ex is hm"), _names("ex is hm")),
    *((_names(name), _names(name)) for name in _AKAMAI),
)
#: Supabase's signed links have a token and nothing else, under a path of their own.
_SUPABASE = re.compile(r"/storage/v1/(?:object|render/image)/sign/")


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
        signed_at = as_time(query.get(f"{scheme}-date"))
        life = as_number(query.get(f"{scheme}-expires"))
        if signed_at is not None and life is not None:
            return as_epoch(signed_at + life)
    if baidu := _BAIDU.search(query.get("authorization", "")):
        return _moment((as_time(baidu[1]) or 0) + float(baidu[2]))
    if "sig" in query and (azure := as_time(query.get("se"))) is not None:
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


def without_signature(link: str) -> str:
    """
    Remove the signature from a pre-signed link.

    :param link: An http(s) link.
    :returns: The same link without the parameters of the signing schemes found in it; whatever identifies the file
        stays as it was.
    """
    base, mark, rest = link.partition("?")
    if not mark:
        return link
    query, hash_mark, fragment = rest.partition("#")
    parts = query.split("&")
    present = {_parameter(part) for part in parts}
    signing = {name for identifying, names in _SCHEMES if identifying <= present for name in names}
    if _SUPABASE.search(base):
        signing.add("token")
    kept = [part for part in parts if _parameter(part) not in signing]
    return base + (mark + "&".join(kept) if kept else "") + hash_mark + fragment


def _parameter(part: str) -> str:
    return part.partition("=")[0].lower()


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
