"""
The synchronous transport to the service and to the storage of its results, over ``requests``.

Failures of ``requests`` become the provider's own here, without any address's query in them, and with the one fact that
matters for a paid call: whether any of it may have reached the service (decisions.md#paying-once).
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from airflow_provider_seedance.api.calls import Call, Multipart
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTransportError,
)
from airflow_provider_seedance.hooks.endpoint import CONNECT_TIMEOUT, MAX_RESPONSE, USER_AGENT, Endpoint

#: Redirects of a download that are followed.
MAX_REDIRECTS = 5

#: Whether a byte of this thread's latest request has been written.
_request = threading.local()


class _WatchedConnection:
    """Mixed into a connection of urllib3: notes the first byte of a request; a handshake or a CONNECT is none."""

    _connecting = False

    def connect(self) -> None:
        """Connect, through a proxy's tunnel if there is one."""
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        """Write a part of the request."""
        if self.sock is None and self.auto_open:  # type: ignore[attr-defined]
            self.connect()
        if self.sock is not None and not self._connecting:  # type: ignore[attr-defined]
            _request.written = True
        super().send(data)  # type: ignore[misc]


class _WatchedAdapter(HTTPAdapter):
    """Makes watched connections, whatever proxy they go through."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the manager of connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            _watch(manager)
        return manager


def _watch(manager: Any) -> None:
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = type("WatchedConnection", (_WatchedConnection, pool.ConnectionCls), {})
        pools[scheme] = type("WatchedPool", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = pools


class Transport:
    """
    A session with the service.

    :param endpoint: Where the service is.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.session = requests.Session()
        self.session.headers["User-Agent"] = USER_AGENT
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, _WatchedAdapter())

    def close(self) -> None:
        """Close the connections. The session stays usable."""
        self.session.close()

    def exchange(self, call: Call[Any]) -> Response:
        """
        Send a call, once. Redirects are not followed: they would carry the key along.

        :raises SeedanceTransportError: There was no response.
        :raises SeedanceRequestError: The call cannot be sent: an address, a proxy or a certificate is wrong.
        """
        endpoint = self._endpoint
        timeout = endpoint.submit_timeout if call.is_paid else endpoint.timeout
        deadline = time.monotonic() + timeout
        headers = {"Accept": "application/json"}
        body = call.body
        if body is not None:
            headers["Content-Type"] = body.content_type if isinstance(body, Multipart) else "application/json"
        peer, url = endpoint.base_url, endpoint.base_url + call.path
        try:
            response = self._open(call.method, url, headers, body, key=endpoint.api_key, timeout=timeout)
        except Exception as e:
            raise _open_error(
                e, peer, endpoint.conn_id, hint=f" Check the host of connection {endpoint.conn_id!r} and the network."
            ) from None
        with response, body_errors(peer):
            raw = self._read(response, deadline)
        return Response.of(response.status_code, raw, response.headers, conn_id=endpoint.conn_id, key=endpoint.api_key)

    @contextlib.contextmanager
    def download(self, url: str, byte_range: str | None) -> Iterator[requests.Response]:
        """
        Open a signed link for streaming, without the key: it is another host's, and the link is its own permission.

        :param url: The link. Its redirects are followed, to http(s) only.
        :param byte_range: A ``Range`` header.
        :raises SeedanceServiceError: The host cannot be reached, breaks off, or redirects too often.
        """
        headers = {"Accept-Encoding": "identity", **({"Range": byte_range} if byte_range else {})}
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = self._open("GET", url, headers, timeout=self._endpoint.timeout)
            except Exception as e:
                raise _open_error(e, RESULT_STORAGE, self._endpoint.conn_id) from None
            with response, body_errors(RESULT_STORAGE):
                location = response.headers.get("Location") if response.is_redirect else None
                if location is None:
                    yield response
                    return
            url = _redirected(url, location)
        raise SeedanceServiceError(f"{RESULT_STORAGE} redirects more than {MAX_REDIRECTS} times.")

    def _open(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Any = None,
        *,
        key: str | None = None,
        timeout: float,
    ) -> requests.Response:
        """Send one request past the session's own handling of redirects, which reads their bodies and sends on keys."""
        _request.written = False
        endpoint = self._endpoint
        request = requests.Request(method, url, headers=headers, data=body, auth=_BearerAuth(key))
        proxies = {"http": endpoint.proxy, "https": endpoint.proxy} if endpoint.proxy else {}
        settings: dict[str, Any] = dict(
            self.session.merge_environment_settings(url, proxies, True, endpoint.verify, None)
        )
        return self.session.get_adapter(url).send(
            self.session.prepare_request(request), timeout=(min(CONNECT_TIMEOUT, timeout), timeout), **settings
        )

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Read a response within its time and size: a peer that trickles must not hold a worker."""
        raw = bytearray()
        for part in response.iter_content(65536):
            raw += part
            if len(raw) > MAX_RESPONSE or time.monotonic() > deadline:
                raise SeedanceTransportError(
                    f"The response from {urlsplit(response.url).hostname} was too large or too slow."
                )
        return bytes(raw)


#: The peer of a download, in messages.
RESULT_STORAGE = "The storage of the result"


class _BearerAuth(requests.auth.AuthBase):
    """Sends this key, or none. Without an ``auth`` of ours, requests would read a netrc file."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        if urlsplit(target).scheme in ("http", "https"):
            return target
    except ValueError:
        pass
    raise SeedanceServiceError(f"{RESULT_STORAGE} redirects to an address that is not http(s).")


@contextlib.contextmanager
def body_errors(peer: str) -> Iterator[None]:
    """
    Turn the failures of requests and urllib3 while a body is read into the provider's own, which contain no link.

    :param peer: Who sends the body, for messages.
    """
    try:
        yield
    except (requests.exceptions.RequestException, HTTPError) as e:
        raise _broken(e, peer) from None


def _open_error(error: Exception, peer: str, conn_id: str, hint: str = "") -> SeedanceError:
    """Return the typed error of a request that got no response."""
    if _request.written:
        return _broken(error, peer)
    cause = _cause(error)
    if isinstance(_innermost(error), ssl.CertificateError) or "CERTIFICATE_VERIFY_FAILED" in cause:
        return SeedanceRequestError(
            f"The certificate of {peer} does not verify ({cause}). Set 'verify' in the extra of connection "
            f"{conn_id!r} to the CA bundle's path.",
            field="verify",
        )
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout):
        return SeedanceTransportError(f"{peer} cannot be reached ({cause}).{hint}", sent=False)
    return SeedanceRequestError(
        f"{peer} cannot be called ({cause}). Check the address, the proxy and the CA bundle.{hint}", field="host"
    )


def _broken(error: Exception, peer: str) -> SeedanceTransportError:
    """Return the typed error of a request that was sent and got no whole response."""
    timed_out = isinstance(error, requests.exceptions.Timeout | TimeoutError | ReadTimeoutError)
    what = "did not answer in time" if timed_out else "broke the connection off"
    return SeedanceTransportError(f"{peer} {what} ({_cause(error)}).")


def _cause(error: Exception) -> str:
    """Name the innermost cause by its type and the system's message: never by a text that may contain an address."""
    inner = _innermost(error)
    if isinstance(inner, OSError) and inner.strerror:
        return f"{type(inner).__name__}: {redact(inner.strerror)}"
    return type(inner).__name__


def _innermost(error: BaseException) -> BaseException:
    """Return the exception that the others wrap."""
    for _ in range(10):
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None) or error.__cause__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error
