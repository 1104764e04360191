"""Signed download links in the manner of the vendor's object store: query parameters, no Authorization header."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

_DATE = "%Y%m%dT%H%M%SZ"


class LinkSigner:
    """Signs links and judges those that come back.

    :param ttl: life of a link in seconds, real time whatever the emulator's speed
    :param secret: what it signs with; new by default
    :param epoch: how many times all links have been made to expire
    """

    def __init__(self, ttl: int, secret: str | None = None, epoch: int = 0) -> None:
        self.ttl = ttl
        self._secret = secret or secrets.token_hex(32)
        self._epoch = epoch  # part of the credential; links of an earlier epoch count as expired

    def to_json(self) -> dict[str, str | int]:
        """Return the arguments, but the life, that make a signer that knows this one's links."""
        return {"secret": self._secret, "epoch": self._epoch}

    def expire_all(self) -> None:
        """Make every link signed so far expire now."""
        self._epoch += 1

    def sign(self, path: str) -> str:
        """Return path and query of a fresh link to ``path``."""
        now = datetime.now(UTC)
        query = {
            "X-Tos-Algorithm": "TOS4-HMAC-SHA256",
            "X-Tos-Credential": f"AKEMULATOR{self._epoch}/{now:%Y%m%d}/cn-beijing/tos/request",
            "X-Tos-Date": now.strftime(_DATE),
            "X-Tos-Expires": str(self.ttl),
            "X-Tos-SignedHeaders": "host",
        }
        query["X-Tos-Signature"] = self._signature(path, query)
        return f"{path}?{urlencode(query)}"

    def objection(self, path: str, query: Mapping[str, str]) -> tuple[str, str] | None:
        """Return why a link is refused, as the store's error code and message, or None for a good one."""
        given = dict(query)
        signature = given.pop("X-Tos-Signature", "")
        if not signature:
            return "AccessDenied", "Anonymous access is forbidden for this operation"
        if not hmac.compare_digest(signature.encode(), self._signature(path, given).encode()):
            return "SignatureDoesNotMatch", "The request signature we calculated does not match"
        signed = datetime.strptime(given["X-Tos-Date"], _DATE).replace(tzinfo=UTC).timestamp()
        epoch = int(given["X-Tos-Credential"].partition("/")[0].removeprefix("AKEMULATOR"))
        if epoch < self._epoch or time.time() > signed + int(given["X-Tos-Expires"]):
            return "AccessDenied", "Request has expired"
        return None

    def _signature(self, path: str, query: Mapping[str, str]) -> str:
        text = f"{path}\n{urlencode(sorted(query.items()))}"
        return hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()
