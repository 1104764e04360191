"""
The synchronous transport to the service and to the storage of its results, over ``requests``.

Failures of ``requests`` become the provider's own here, without any address's query in them, and with the one fact that
matters for a paid call: whether any of it may have reached the service (decisions.md#paying-once).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from airflow_provider_seedance.api.calls import Call, Multipart
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import SeedanceServiceError
from airflow_provider_seedance.hooks.endpoint import CONNECT_TIMEOUT, MAX_RESPONSE, USER_AGENT, Endpoint
from airflow_provider_seedance.hooks.failures import Peer, host_of, transport_error
from airflow_provider_seedance.hooks.reading import ACCEPT_ENCODING, read_response
from airflow_provider_seedance.hooks.route import proxy_to, trusted
from airflow_provider_seedance.hooks.watched import Exchange, WatchedAdapter

#: Redirects of a download that are followed.
MAX_REDIRECTS = 5
#: The peer of a download, in messages.
RESULT_STORAGE = "The storage of the result"


class Transport:
    """
    A session with the service.

    :param endpoint: Where the service is.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.session = requests.Session()
        self.session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING})
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, WatchedAdapter())

    def close(self) -> None:
        """Close the connections. The session stays usable."""
        self.session.close()

    def exchange(self, call: Call[Any]) -> Response:
        """
        Send a call, once. Redirects are not followed: they would carry the key along.

        :raises SeedanceTransportError: There was no whole response.
        :raises SeedanceRequestError: The call cannot be sent: an address, a proxy or a certificate is wrong.
        """
        endpoint, body = self._endpoint, call.body
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = body.content_type if isinstance(body, Multipart) else "application/json"
        request = requests.Request(
            call.method, endpoint.base_url + call.path, headers, data=body, auth=_BearerAuth(endpoint.api_key)
        )
        exchange = Exchange(endpoint.submit_timeout if call.is_paid else endpoint.timeout)
        proxy = proxy_to(endpoint.base_url, endpoint.proxy, takes_socks=True)
        peer = Peer(name=endpoint.base_url, conn_id=endpoint.conn_id, proxy=proxy)
        bundle = trusted(endpoint.verify)
        try:
            with self._open(request, exchange, peer, bundle) as response:
                raw = _read(response)
        except Exception as e:  # whatever it is: the body's source may fail halfway too, with errors of ours
            raise transport_error(e, peer, sent=exchange.written) from None
        return read_response(response.status_code, response.headers, raw, endpoint, limit=MAX_RESPONSE)

    @contextlib.contextmanager
    def download(self, url: str, byte_range: str | None) -> Iterator[requests.Response]:
        """
        Open a signed link for streaming, without the key: it is another host's, and the link is its own permission.

        Proxy and CA bundle are those of the environment: the connection's own belong to the service. A MiB of the body
        must arrive within each period of the connection's ``timeout``.

        :param url: The link. Its redirects are followed, to http(s) only.
        :param byte_range: A ``Range`` header.
        :raises SeedanceServiceError: The host cannot be reached, breaks off, or redirects too often.
        """
        headers = {"Range": byte_range} if byte_range else {}
        for _ in range(MAX_REDIRECTS + 1):
            exchange = Exchange(self._endpoint.timeout)
            peer = Peer(
                name=f"{RESULT_STORAGE} at {host_of(url)}",
                conn_id=self._endpoint.conn_id,
                proxy=proxy_to(url, takes_socks=True),
                is_storage=True,
            )
            request, bundle = requests.Request("GET", url, headers, auth=_BearerAuth(None)), trusted()
            try:
                response = self._open(request, exchange, peer, bundle)
            except Exception as e:
                raise transport_error(e, peer, sent=exchange.written) from None
            with response:
                location = response.headers.get("Location") if response.is_redirect else None
                if location is None:
                    exchange.pace()
                    yield response
                    return
            url = _redirected(url, location)
        raise SeedanceServiceError(f"{RESULT_STORAGE} redirects more than {MAX_REDIRECTS} times.")

    def _open(self, request: requests.Request, exchange: Exchange, peer: Peer, verify: bool | str) -> requests.Response:
        """Send one request past the session's own handling of redirects, which reads their bodies and sends on keys."""
        prepared = self.session.prepare_request(request)
        prepared.exchange = exchange  # type: ignore[attr-defined]
        return self.session.get_adapter(str(prepared.url)).send(
            prepared,
            stream=True,
            timeout=(min(CONNECT_TIMEOUT, exchange.seconds), exchange.seconds),
            verify=verify,
            proxies={"http": peer.proxy, "https": peer.proxy} if peer.proxy else {},
        )


def _read(response: requests.Response) -> bytes:
    """Read a response as it came, no longer than one can be: requests would inflate what a few bytes of gzip hold."""
    raw = bytearray()
    while len(raw) <= MAX_RESPONSE and (part := response.raw.read(64 * 1024, decode_content=False)):
        raw += part
    announced = response.headers.get("Content-Length", "")
    if len(raw) <= MAX_RESPONSE and announced.isdigit() and len(raw) < int(announced):
        raise EOFError  # older urllib3 does not count
    return bytes(raw)


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
def body_errors() -> Iterator[None]:
    """Turn the failures of requests and urllib3 while a result is read into the provider's own, which hold no link."""
    try:
        yield
    except (requests.exceptions.RequestException, HTTPError, TimeoutError) as e:
        raise transport_error(e, Peer(name=RESULT_STORAGE, conn_id=""), sent=True) from None
