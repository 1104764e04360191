"""What makes two requests the same: their canonical JSON, without what changes from one rendering to the next."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

_LINK = re.compile(r"https?://", re.IGNORECASE)
_DATA_URI = re.compile(r"data:", re.IGNORECASE)


def _names(prefix: str, names: str) -> frozenset[str]:
    return frozenset(prefix + name for name in names.split())


_V4 = "algorithm credential date expires signedheaders signature security-token"

#: Signing schemes of links: the parameters that identify a scheme, and all that it adds, in lower case. They are
#: removed only together with their signature: a lone ``expires``, ``token`` or ``sv`` may identify the file, and so
#: does anything that no scheme signs with, such as ``versionId`` or ``x-oss-process``.
_SCHEMES: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (_names("", "x-amz-signature"), _names("x-amz-", f"{_V4} content-sha256")),
    (_names("", "x-tos-signature"), _names("x-tos-", f"{_V4} policy")),
    (_names("", "x-goog-signature"), _names("x-goog-", _V4)),
    (_names("", "x-oss-signature"), _names("x-oss-", f"{_V4} signature-version additional-headers")),
    # S3 version 2, Google version 2, OSS version 1, OBS, CloudFront
    (
        _names("", "signature"),
        _names(
            "",
            "signature expires awsaccesskeyid googleaccessid ossaccesskeyid accesskeyid key-pair-id policy "
            "hash-algorithm security-token x-amz-security-token x-oss-security-token x-obs-security-token",
        ),
    ),
    # Azure shared access signatures: of an account, of a service, and delegated by a user
    (
        _names("", "sig"),
        _names("", "sig sv ss srt sp st se spr sip si sr sdd scid saoid suoid") | _names("sk", "oid tid t e s v"),
    ),
    # Tencent COS
    (
        _names("", "q-signature"),
        _names("q-", "sign-algorithm ak sign-time key-time header-list url-param-list signature")
        | {"x-cos-security-token"},
    ),
    # Baidu BOS
    (_names("", "authorization"), _names("", "authorization x-bce-date x-bce-security-token")),
    # the content delivery networks of Alibaba, Volcengine and Tencent; of ByteDance; of Qiniu; of Discord; Akamai's
    (_names("", "auth_key"), _names("", "auth_key")),
    (_names("x-", "signature expires"), _names("x-", "signature expires")),
    (_names("", "e token"), _names("", "e token")),
    (_names("", "ex is hm"), _names("", "ex is hm")),
    *((_names("", name), _names("", name)) for name in ("hdnts", "hdnea", "hdntl", "__token__", "__gda__")),
)
#: Supabase's signed links have a token and nothing else, under a path of their own.
_SUPABASE = re.compile(r"/storage/v1/(?:object|render/image)/sign/")


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


def canonical_media(value: str) -> str:
    """
    Write a media value as a fingerprint sees it.

    :param value: Any text of a request but its prompt.
    :returns: A link without its signature, ``sha256:<hex>`` for a ``data:`` URI, anything else as it is.
    """
    if _LINK.match(value):
        return without_signature(value)
    if _DATA_URI.match(value):
        return f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return value


def canonical_extra(value: Any) -> Any:
    """Write further fields as a fingerprint sees them, including the links and ``data:`` URIs in them."""
    if isinstance(value, str):
        return canonical_media(value)
    if isinstance(value, dict):
        return {key: canonical_extra(member) for key, member in value.items()}
    return [canonical_extra(member) for member in value] if isinstance(value, list) else value


def canonical_json(value: Any) -> str:
    """Write plain JSON values with sorted keys and no blanks, in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(parts: Iterable[str]) -> str:
    """Return the SHA-256 of several texts, in hexadecimal; how they are divided counts too."""
    return hashlib.sha256(canonical_json(list(parts)).encode("ascii")).hexdigest()


def prompt_fingerprint(text: str | None) -> str | None:
    """
    Identify a prompt without revealing it.

    :param text: The prompt as it is sent; None if there is none.
    :returns: The SHA-256 of its UTF-8 text, in hexadecimal; None without a prompt.
    """
    return None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
