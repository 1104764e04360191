"""
What a failure of the network is, judged alike for the synchronous and the asynchronous client.

Only what a person must change counts as permanent: a certificate that does not verify, a CA bundle that cannot be read,
an address that cannot be used. Everything else may go away by itself. Texts of the HTTP libraries are not shown: they
hold whole links.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceRequestError, SeedanceTransportError

#: Exceptions that are followed from one to those it wraps.
_MAX_WRAPPED = 20
#: Where HTTP libraries keep what they wrap.
_WRAPPED = ("reason", "original_error", "os_error", "certificate_error", "__cause__")
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """
    Who was to answer, for messages.

    :param name: The service's base URL, or what else it is, without a query.
    :param conn_id: The connection in question.
    :param proxy: Address of the proxy on the way, if there is one.
    :param is_storage: Whether it is the storage of results, which has nothing of the connection's ``proxy`` or
        ``verify``.
    """

    name: str
    conn_id: str
    proxy: str | None = field(default=None, repr=False)
    is_storage: bool = False

    def setting(self, extra: str, variable: str) -> str:
        """Return where a person sets a thing, in words."""
        if self.is_storage:
            return f"{variable} in the environment ({extra!r} of connection {self.conn_id!r} is not for downloads)"
        return f"{extra!r} in the extra of connection {self.conn_id!r}, or {variable} in the environment"

    @property
    def proxy_name(self) -> str:
        """The proxy's address without user name and password."""
        return without_userinfo(self.proxy or "")


def without_userinfo(address: str) -> str:
    """Return the scheme, host and port of an address, for messages."""
    scheme, _, rest = address.rpartition("://")
    host = re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}://{host}" if scheme else host


def host_of(url: str) -> str:
    """Return the host of a link, for messages."""
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an invalid address"


def transport_error(error: Exception, peer: Peer, *, sent: bool) -> SeedanceError:
    """
    Return the typed error of a request that got no whole response.

    :param error: What an HTTP library raised.
    :param peer: Who was to answer.
    :param sent: Whether a byte of the request was written.
    """
    wrapped = list(_unwrap(error))
    cause = _cause(wrapped)
    if sent:
        timed_out = any(isinstance(e, TimeoutError) for e in wrapped)
        what = "did not answer in time" if timed_out else "closed the connection early"
        return SeedanceTransportError(f"{peer.name} {what} ({cause}).")
    if any(isinstance(e, ssl.CertificateError) or "CERTIFICATE_VERIFY_FAILED" in str(e) for e in wrapped):
        return SeedanceRequestError(
            f"The certificate of {peer.name} does not verify ({cause}). If it is right, set the path of a CA bundle as "
            f"{peer.setting('verify', 'REQUESTS_CA_BUNDLE')}.",
            field=None if peer.is_storage else "verify",
        )
    if peer.proxy is not None and (refused := _refusal(wrapped)):
        login = ": set its user name and password" if refused == 407 else ": it does not reach that host. Check it"
        return SeedanceTransportError(
            f"The proxy {peer.proxy_name} refuses to connect to {peer.name} (HTTP {refused}){login} in "
            f"{peer.setting('proxy', 'HTTPS_PROXY')}.",
            sent=False,
        )
    if any(isinstance(e, ssl.SSLError) and getattr(e, "library", None) == "X509" for e in wrapped):
        return SeedanceRequestError(
            f"The CA bundle for {peer.name} holds no certificate. Correct "
            f"{peer.setting('verify', 'REQUESTS_CA_BUNDLE')}.",
            field=None if peer.is_storage else "verify",
        )
    if any(isinstance(e, ValueError) for e in wrapped):
        unusable = f"{peer.name} cannot be called ({cause})."
        if peer.is_storage:  # the service's address, not a person's: the next link may be right
            return SeedanceTransportError(f"{unusable} The service gave an invalid link.", sent=False)
        return SeedanceRequestError(f"{unusable} Check the address.", field="host")
    if any(isinstance(e, ssl.SSLError) and getattr(e, "reason", None) in _NO_TLS for e in wrapped):
        remedy = "Its port speaks plain HTTP or something else, not TLS: check scheme and port"
    elif peer.proxy is not None:
        remedy = (
            f"The request goes through the proxy {peer.proxy_name}: check that it runs, and that its address is right "
            f"in {peer.setting('proxy', 'HTTPS_PROXY')}"
        )
    elif peer.is_storage:
        remedy = f"Workers must reach this host; a proxy for downloads is set as {peer.setting('proxy', 'HTTPS_PROXY')}"
    else:
        remedy = f"Check the host of connection {peer.conn_id!r} and the network"
    return SeedanceTransportError(f"{peer.name} cannot be reached ({cause}). {remedy}.", sent=False)


def _unwrap(error: Exception) -> Iterator[Exception]:
    """Yield an exception and those that it wraps, down to the innermost; none of ours, which are another story."""
    seen: list[Exception] = []
    waiting = [error]
    while waiting and len(seen) < _MAX_WRAPPED:
        current = waiting.pop(0)
        if current in seen or (seen and isinstance(current, SeedanceError)):
            continue
        seen.append(current)
        yield current
        found = [*(getattr(current, name, None) for name in _WRAPPED), *current.args]
        inner = [e for e in found if isinstance(e, Exception)]
        if not inner and isinstance(current.__context__, OSError):
            inner = [current.__context__]  # urllib3 before 2.0 does not name the cause
        waiting += inner


def _refusal(wrapped: list[Exception]) -> int | None:
    """Return the status with which a proxy refused a tunnel."""
    for error in wrapped:
        if found := _TUNNEL.search(str(error)):
            return int(found[1])
        if type(error).__name__ == "ClientHttpProxyError":
            return int(getattr(error, "status", 0)) or None
    return None


def _cause(wrapped: list[Exception]) -> str:
    """Name the innermost cause by its type and the system's message: never by a text that may contain an address."""
    for error in reversed(wrapped):
        if isinstance(error, OSError) and error.strerror:
            return f"{type(error).__name__}: {redact(error.strerror)}"
    return type(wrapped[-1]).__name__
