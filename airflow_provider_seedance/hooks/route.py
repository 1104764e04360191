"""The way to an address, found alike for both clients: which proxy leads there, and which certificates are trusted."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from urllib.parse import urlsplit

from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.hooks.failures import without_userinfo


def proxy_to(url: str, own: str | None = None, *, takes_socks: bool = False) -> str | None:
    """
    Return the proxy for an address.

    :param url: The address.
    :param own: The connection's own proxy. Default: the environment's, by the rules of ``requests``; aiohttp's own
        ``trust_env`` reads a netrc file at every request.
    :param takes_socks: Whether the client can use a SOCKS proxy if its library is installed.
    :returns: Its address; None if there is none.
    :raises SeedanceRequestError: It cannot be used.
    """
    from requests.utils import get_environ_proxies, select_proxy

    try:
        found: str | None = own or select_proxy(url, get_environ_proxies(url))
    except ValueError:
        return None  # the address itself is invalid; the caller reports that
    if not found:
        return None
    proxy = found if "://" in found else f"http://{found}"
    name = without_userinfo(proxy)
    try:
        parts = urlsplit(proxy)
        host, _ = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:
        host = b""
    scheme = proxy.partition("://")[0].lower()
    if scheme.startswith("socks") and host:
        _check_socks(name, takes_socks)
    elif scheme not in ("http", "https") or not host or b" " in host:
        raise SeedanceRequestError(
            f"The proxy {name!r} is not an address. Correct 'proxy' in the extra of the connection, or HTTPS_PROXY and "
            "its like in the environment, to one such as http://proxy.internal:3128.",
            field="proxy",
        )
    return proxy


def _check_socks(name: str, takes_socks: bool) -> None:
    if not takes_socks:
        raise SeedanceRequestError(
            f"The triggerer cannot use the SOCKS proxy {name}. Set an HTTP proxy as 'proxy' in the extra of the "
            "connection, or wait in the worker with deferrable=False.",
            field="proxy",
        )
    if importlib.util.find_spec("socks") is None:
        raise SeedanceRequestError(
            f"The SOCKS proxy {name} needs a library: install 'requests[socks]' where the task runs, or set an HTTP "
            "proxy as 'proxy' in the extra of the connection.",
            field="proxy",
        )


def trusted(verify: bool | str = True) -> bool | str:
    """
    Return the certificates to trust, as ``requests`` takes them.

    :param verify: The connection's. True (default) means the bundle that the environment names for ``requests``.
    :returns: True for the bundle of ``certifi``, False for any certificate, or the path of a bundle.
    :raises SeedanceRequestError: The bundle does not exist.
    """
    bundle = verify
    if verify is True:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    if isinstance(bundle, str) and not Path(bundle).exists():
        raise SeedanceRequestError(
            f"The CA bundle {bundle!r} does not exist where this runs. Correct 'verify' in the extra of the "
            "connection, or REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE in the environment.",
            field="verify",
        )
    return bundle
