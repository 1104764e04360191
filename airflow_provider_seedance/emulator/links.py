"""Signed download links in the form of the vendor's object store: query parameters, no Authorization header."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

_DATE = "%Y%m%dT%H%M%SZ"


@dataclass
class LinkSigner:
    """
    Signs links and checks those that come back.

    :param ttl: Life of a link in seconds of real time, whatever the emulator's speed.
    :param secret: Key of the signatures; a new one by default.
    :param epoch: How many times all links have been made to expire. Links of an earlier epoch count as expired.
    """

    ttl: int
    secret: str = field(default_factory=secrets.token_hex)
    epoch: int = 0

    def sign(self, path: str) -> str:
        """Return path and query of a new link to ``path``."""
        now = datetime.now(UTC)
        query = {
            "X-Tos-Algorithm": "TOS4-HMAC-SHA256",
            "X-Tos-Credential": f"AKEMULATOR{self.epoch}/{now:%Y%m%d}/cn-beijing/tos/request",
            "X-Tos-Date": now.strftime(_DATE),
            "X-Tos-Expires": str(self.ttl),
            "X-Tos-SignedHeaders": "host",
        }
        query["X-Tos-Signature"] = self._signature(path, query)
        return f"{path}?{urlencode(query)}"

    def objection(self, path: str, query: Mapping[str, str]) -> tuple[str, str] | None:
        """
        Check a link.

        :param path: Its path.
        :param query: Its query parameters.
        :returns: Error code and message of the store if the link is refused, else None.
        """
        given = dict(query)
        signature = given.pop("X-Tos-Signature", "")
        if not signature:
            return "AccessDenied", "Anonymous access is forbidden for this operation"
        if not hmac.compare_digest(signature.encode(), self._signature(path, given).encode()):
            return "SignatureDoesNotMatch", "The request signature we calculated does not match"
        signed = datetime.strptime(given["X-Tos-Date"], _DATE).replace(tzinfo=UTC).timestamp()
        epoch = int(given["X-Tos-Credential"].partition("/")[0].removeprefix("AKEMULATOR"))
        if epoch < self.epoch or time.time() > signed + int(given["X-Tos-Expires"]):
            return "AccessDenied", "Request has expired"
        return None

    def _signature(self, path: str, query: Mapping[str, str]) -> str:
        text = f"{path}\n{urlencode(sorted(query.items()))}"
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
