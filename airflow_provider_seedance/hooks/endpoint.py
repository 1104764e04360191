"""A connection as plain data: read in one place for the synchronous and the asynchronous client."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_seedance import __version__
from airflow_provider_seedance.api.parse import as_number, as_text, is_loopback
from airflow_provider_seedance.api.response import DEFAULT_CONN_ID
from airflow_provider_seedance.api.values import shown
from airflow_provider_seedance.exceptions import SeedanceAuthError, SeedanceRequestError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

log = logging.getLogger(__name__)

#: The only type of connection that is used: the password of any other belongs to another service.
CONN_TYPE = "seedance"
#: The vendor's base URL (contract.md#common-rules).
DEFAULT_BASE_URL = "https://ai.alad.com"
#: Seconds for an ordinary call.
DEFAULT_TIMEOUT = 60.0
#: Seconds for a paid call, which the gateway can hold while it relays (contract.md#create-response).
DEFAULT_SUBMIT_TIMEOUT = 300.0
#: Seconds: the longest that a call may be given. A socket takes no more than some centuries.
MAX_TIMEOUT = 86400.0

#: How the provider names itself to servers.
USER_AGENT = f"airflow-provider-seedance/{__version__}"
#: Seconds to connect, within a call's time.
CONNECT_TIMEOUT = 20.0
#: Bytes of a response that a worker reads. The largest known one has a few KB.
MAX_RESPONSE = 8 * 1024 * 1024

#: What is read of a connection's extra.
EXTRA_FIELDS = ("model", "timeout", "submit_timeout", "verify", "proxy")

_warned_unencrypted: set[str] = set()
_warned_unknown: set[tuple[str, tuple[str, ...]]] = set()


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """
    Where the service is and how to reach it.

    :param conn_id: The connection that it was read from, for messages.
    :param base_url: Scheme, host, port and path prefix, without a trailing slash.
    :param api_key: The bearer token.
    :param model: Model for operators that name none; None for the provider's default.
    :param timeout: Seconds for an ordinary call.
    :param submit_timeout: Seconds for a paid call.
    :param verify: Whether to check certificates, or the path of a CA bundle.
    :param proxy: Address of an HTTP proxy; None for the one in the environment.
    """

    conn_id: str
    base_url: str
    api_key: str = field(repr=False)
    model: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    submit_timeout: float = DEFAULT_SUBMIT_TIMEOUT
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)

    @classmethod
    def from_connection(cls, conn: Connection, extra: Mapping[str, Any]) -> Endpoint:
        """
        Read a connection.

        :param conn: The Airflow connection.
        :param extra: Its extra, decoded.
        :raises SeedanceAuthError: It has no key, or one that cannot be sent.
        :raises SeedanceRequestError: It is of another type, or a field cannot be used; ``.field`` names it.
        """
        conn_id = conn.conn_id or DEFAULT_CONN_ID
        if (conn.conn_type or "").lower() != CONN_TYPE:
            raise SeedanceRequestError(
                f"Connection {conn_id!r} is of type {conn.conn_type!r}: its password is not for this service. Name a "
                f"connection of type {CONN_TYPE!r} in 'seedance_conn_id'.",
                field="seedance_conn_id",
            )
        _check_extra(conn.extra, extra, conn_id)
        return cls(
            conn_id=conn_id,
            base_url=_base_url(conn, conn_id),
            api_key=_api_key(conn.password, conn_id),
            model=as_text(extra.get("model")),
            timeout=_seconds(extra, "timeout", DEFAULT_TIMEOUT, conn_id),
            submit_timeout=_seconds(extra, "submit_timeout", DEFAULT_SUBMIT_TIMEOUT, conn_id),
            verify=_verify(extra.get("verify"), conn_id),
            proxy=_proxy(extra.get("proxy"), conn_id),
        )

    @property
    def sends_key_unencrypted(self) -> bool:
        """Whether the key crosses a network without encryption."""
        url = urlsplit(self.base_url)
        return url.scheme == "http" and not is_loopback(url.hostname or "")


def _check_extra(text: str | None, extra: object, conn_id: str) -> None:
    """Refuse an extra that is no JSON object, of which nothing would be followed; warn of fields that nothing reads."""
    written = "".join((text or "").split())
    if not isinstance(extra, Mapping) or (not extra and written not in ("", "{}")):
        raise SeedanceRequestError(
            f"The extra of connection {conn_id!r} is not a JSON object, so none of it can be used. Write it as "
            '{"timeout": 60}, or leave it empty.',
            field="extra",
        )
    unknown = tuple(sorted(shown(name) for name in extra.keys() - set(EXTRA_FIELDS)))
    if unknown and (conn_id, unknown) not in _warned_unknown:
        _warned_unknown.add((conn_id, unknown))
        log.warning(
            "Ignored in the extra: %s (connection %r). Known fields: %s.",
            ", ".join(unknown),
            conn_id,
            ", ".join(EXTRA_FIELDS),
        )


def _base_url(conn: Connection, conn_id: str) -> str:
    host = (conn.host or "").strip()
    if not host:
        host = DEFAULT_BASE_URL
    scheme = (conn.schema or "").strip().rstrip(":/").lower()
    if "://" in host:
        scheme, _, host = host.partition("://")
    elif host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"  # a bare IPv6 address
    host = host.rstrip("/").removesuffix("/v1")
    url = f"{(scheme or 'https').lower()}://{host}"
    try:
        parts = urlsplit(url)
        port, hostname = parts.port, parts.hostname
    except ValueError:
        port, hostname = None, None
        parts = None
    if parts is None or not hostname or parts.scheme not in ("http", "https") or parts.query or parts.username:
        raise SeedanceRequestError(
            f"The host of connection {conn_id!r} is not a base URL: give one such as {DEFAULT_BASE_URL}, "
            "with scheme http or https and without user name or query.",
            field="host",
        )
    if conn.port and port is None:
        url = f"{parts.scheme}://{parts.netloc}:{conn.port}{parts.path}"
    return url


def _api_key(password: str | None, conn_id: str) -> str:
    key = re.sub(r"(?i)^bearer(\s+|$)", "", (password or "").strip())
    if not key:
        raise SeedanceAuthError(f"Connection {conn_id!r} has no key: set its password to the Starrise API key.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SeedanceAuthError(
            f"The password of connection {conn_id!r} is not an API key: it contains spaces or characters that a header "
            "cannot carry. Paste the key alone."
        )
    return key


def _seconds(extra: Mapping[str, Any], name: str, default: float, conn_id: str) -> float:
    value = extra.get(name)
    if value is None or value == "":
        return default
    seconds = as_number(value)
    if seconds is None or not 0 < seconds <= MAX_TIMEOUT:
        raise SeedanceRequestError(
            f"{name!r} in the extra of connection {conn_id!r} must be a number of seconds above 0, like {default:g}, "
            f"and at most {MAX_TIMEOUT:.0f}.",
            field=name,
        )
    return seconds


def _verify(value: object, conn_id: str) -> bool | str:
    if value is None or value == "":
        return True
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if Path(text).exists():
        return text
    raise SeedanceRequestError(
        f"'verify' in the extra of connection {conn_id!r} must be true, false, or the path of a CA bundle that exists "
        "where the task runs.",
        field="verify",
    )


def _proxy(value: object, conn_id: str) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    if not text.startswith(("http://", "https://")):
        raise SeedanceRequestError(
            f"'proxy' in the extra of connection {conn_id!r} must be an address such as http://proxy.internal:3128.",
            field="proxy",
        )
    return text


def warn_if_unencrypted(endpoint: Endpoint) -> None:
    """Warn once per process and address if the key would cross a network without encryption."""
    if endpoint.sends_key_unencrypted and endpoint.base_url not in _warned_unencrypted:
        _warned_unencrypted.add(endpoint.base_url)
        log.warning("Connection %r sends its key unencrypted to %s: use https.", endpoint.conn_id, endpoint.base_url)
