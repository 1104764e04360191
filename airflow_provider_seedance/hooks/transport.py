"""
The synchronous way to the service: what an answer is, what a broken call is, and when a call is repeated.

Failures of ``requests`` become ours here, without any address's query in them, and with the one fact that matters for
a paid call: whether anything of it may have reached the service.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.exceptions import (
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceServiceError,
)

if TYPE_CHECKING:
    import requests
    from tenacity import Future, RetryCallState, Retrying

log = logging.getLogger(__name__)

#: Seconds that a worker waits in place at the most; a longer ``Retry-After`` is left to the task's retries.
MAX_WAIT_IN_PLACE = 60.0
#: Seconds to connect, within a call's time.
CONNECT_TIMEOUT = 20.0
#: Bytes of an answer that are read. The largest known one has a few KB.
MAX_ANSWER = 8 * 1024 * 1024


class TransportError(SeedanceServiceError):
    """
    A call did not get its answer.

    :param sent: Whether anything of the request may have reached the service.
    """

    def __init__(self, message: str = "", *, sent: bool = True, **details: Any) -> None:
        super().__init__(message, **details)
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: the body is parsed JSON, or text where it is none."""

    status: int
    headers: Mapping[str, str]
    body: object


def parse_body(raw: bytes) -> object:
    """Return an answer's JSON, or its text where it is none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw[:1000].decode("utf-8", "replace")


def read_body(response: requests.Response, *, deadline: float) -> bytes:
    """Read an answer within its time and size: a peer that trickles must not hold a worker for ever."""
    raw = bytearray()
    for part in response.iter_content(65536):
        raw += part
        if len(raw) > MAX_ANSWER or time.monotonic() > deadline:
            raise TransportError(f"The answer of {urlsplit(response.url).hostname} was too long or too slow.")
    return bytes(raw)


#: Whether a byte of this thread's request has been written: the one fact that says if the service may have seen it.
_request = threading.local()


class _WatchedConnection:
    """Mixed into a connection of urllib3: notes the first byte of a request, which a handshake or a CONNECT is not."""

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


def watched_session() -> requests.Session:
    """Make a session whose connections note the first byte of a request, whatever proxy they go through."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            _watch(self.poolmanager)

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **kwargs)
            if not known:
                _watch(manager)
            return manager

    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())
    return session


def _watch(manager: Any) -> None:
    manager.pool_classes_by_scheme = {
        scheme: type(
            pool.__name__,
            (pool,),
            {"ConnectionCls": type(pool.ConnectionCls.__name__, (_WatchedConnection, pool.ConnectionCls), {})},
        )
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }


@contextlib.contextmanager
def transport_errors(peer: str, conn_id: str | None = None) -> Iterator[None]:
    """Turn the failures of requests into ours, which hold no link, and tell whether anything was sent."""
    import requests
    from urllib3.exceptions import HTTPError

    hint = f" Check the host of connection {conn_id!r} and the network." if conn_id else ""
    _request.written = False
    try:
        yield
    except (OSError, HTTPError, ValueError) as e:  # all of requests' own are OSErrors; a URL or a proxy can be no such
        if _request.written:
            what = (
                "did not answer in time" if isinstance(e, requests.exceptions.Timeout) else "broke the connection off"
            )
            raise TransportError(f"{peer} {what} ({_cause(e)}).{hint}") from None
        if isinstance(e, requests.exceptions.SSLError):
            raise SeedanceRequestError(
                f"The certificate of {peer} does not verify ({_cause(e)}). Set 'verify' in the extra of connection "
                f"{conn_id or 'seedance_default'!r} to the CA bundle's path.",
                field="verify",
            ) from None
        if isinstance(e, requests.exceptions.ConnectionError | requests.exceptions.Timeout):
            raise TransportError(f"{peer} cannot be reached ({_cause(e)}).{hint}", sent=False) from None
        raise SeedanceRequestError(
            f"{peer} cannot be asked ({_cause(e)}). Check the address and proxy, and the CA bundle.{hint}", field="host"
        ) from None


def _cause(error: BaseException) -> str:
    """Name the innermost cause by its type and system message: never by a text that may hold an address's query."""
    seen: BaseException = error
    for _ in range(10):
        inner = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None) or seen.__cause__
        if not isinstance(inner, BaseException):
            break
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return f"{type(seen).__name__}: {redact(seen.strerror)}"
    return type(seen).__name__


def is_passing(outcome: Future) -> bool:
    """Whether a call that costs nothing is worth another try: the failure passes by itself, and soon."""
    error = outcome.exception()
    return isinstance(error, SeedanceServiceError | SeedanceRateLimitError) and waits_shortly(error)


def waits_shortly(error: BaseException | None) -> bool:
    asked = getattr(error, "retry_after", None)
    return asked is None or asked <= MAX_WAIT_IN_PLACE


def retrying(attempts: int, backoff: float, again: Callable[[Future], bool]) -> Retrying:
    """
    Build the repetition of a call: exponential backoff with jitter, ``Retry-After`` winning.

    :param again: Whether what came of a try calls for another.
    """
    from tenacity import Retrying, stop_after_attempt, wait_exponential, wait_random

    grow = wait_exponential(multiplier=backoff, max=MAX_WAIT_IN_PLACE) + wait_random(0, backoff / 2)

    def wait(state: RetryCallState) -> float:
        error = _error_of(state)
        asked = error.retry_after if isinstance(error, SeedanceRateLimitError) else None
        return asked if asked is not None else grow(state)

    def say(state: RetryCallState) -> None:
        pause = state.next_action.sleep if state.next_action else 0
        log.warning("%s Trying again in %.0f s; nothing was created.", _error_of(state), pause)

    def last(state: RetryCallState) -> Any:
        return state.outcome.result() if state.outcome else None

    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait,
        retry=lambda state: state.outcome is not None and again(state.outcome),
        before_sleep=say,
        retry_error_callback=last,
    )


def _error_of(state: RetryCallState) -> BaseException | None:
    """The error of a try, whether it was raised or stands in the judged answer."""
    if state.outcome is None:
        return None
    if state.outcome.failed:
        return state.outcome.exception()
    error: BaseException | None = getattr(state.outcome.result(), "error", None)
    return error
