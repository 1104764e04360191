"""What every call of the hook stands on: the connection, one request, and how often it may be made."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_seedance.api.generation import check_generation_id
from airflow_provider_seedance.api.submission import SubmitAnswer
from airflow_provider_seedance.exceptions import SeedanceAmbiguousSubmissionError, SeedanceRequestError
from airflow_provider_seedance.hooks.endpoint import Endpoint, warn_if_in_clear
from airflow_provider_seedance.hooks.transport import (
    CONNECT_TIMEOUT,
    Answer,
    TransportError,
    is_passing,
    parse_body,
    read_body,
    retrying,
    transport_errors,
    waits_shortly,
    watched_session,
)

if TYPE_CHECKING:
    import requests
    from tenacity import Future

    from airflow_provider_seedance.hooks.asset_source import Multipart

#: Tries of a call that costs nothing.
READ_ATTEMPTS = 4
#: Tries of the paid call, repeated only where nothing was created.
SUBMIT_ATTEMPTS = 6
#: Seconds before the second try; doubled for each further one.
READ_BACKOFF = 1.0
SUBMIT_BACKOFF = 5.0


class BaseSeedanceHook(BaseHook):
    """
    The connection, and the two kinds of call: those that cost nothing and those that are paid.

    :param seedance_conn_id: The connection: password is the key, host the base URL.
    """

    conn_name_attr = "seedance_conn_id"
    default_conn_name = "seedance_default"
    conn_type = "seedance"
    hook_name = "Seedance (Starrise AI)"

    def __init__(self, seedance_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seedance_conn_id = seedance_conn_id

    @cached_property
    def endpoint(self) -> Endpoint:
        """
        The connection, read once.

        :raises AirflowNotFoundException: where there is no such connection.
        :raises SeedanceAuthError: without a key.
        :raises SeedanceRequestError: with a field that cannot be used.
        """
        conn = self.get_connection(self.seedance_conn_id)
        endpoint = Endpoint.from_connection(conn, conn.extra_dejson)
        warn_if_in_clear(endpoint)
        return endpoint

    def refresh(self) -> None:
        """Forget the connection, so that the next call reads it afresh: its key may have been changed meanwhile."""
        self.close()
        self.__dict__.pop("endpoint", None)

    @cached_property
    def _session(self) -> requests.Session:
        return watched_session()

    def get_conn(self) -> requests.Session:
        """Return the ``requests.Session`` of all calls. It carries no key: each call to the service adds it."""
        return self._session

    def close(self) -> None:
        """Close the session's connections. The hook stays usable."""
        if "_session" in self.__dict__:
            self._session.close()

    def _pay(
        self,
        send: Callable[[], SubmitAnswer],
        *,
        before_send: Callable[[], None] = lambda: None,
        after_refusal: Callable[[], None] = lambda: None,
    ) -> str:
        """
        Make a paid call: once, and again only where nothing was created and waiting helps.

        :returns: The id of what was created.
        """

        def send_once() -> SubmitAnswer:
            before_send()
            self.close()  # a kept-alive connection may be half dead; one that cannot be made was surely not used
            try:
                answer = send()
            except TransportError as e:
                answer = SubmitAnswer("lost" if e.sent else "repeat", error=e)
            except SeedanceRequestError as e:  # it could not be sent at all
                answer = SubmitAnswer("refused", error=e)
            if answer.verdict in ("refused", "repeat"):
                after_refusal()
            return answer

        answer: SubmitAnswer = retrying(SUBMIT_ATTEMPTS, SUBMIT_BACKOFF, _may_repeat)(send_once)
        if answer.error is None:
            return check_generation_id(answer.generation_id)
        if answer.verdict != "lost":
            raise answer.error
        raise SeedanceAmbiguousSubmissionError(
            f"The answer to a paid call was lost: {answer.error}",
            code=answer.error.code,
            status=answer.error.status,
            request_id=answer.error.request_id,
        ) from answer.error

    def _free(self, ask: Callable[[], Any], attempts: int | None = None) -> Any:
        """Make a call that costs nothing: again where trouble passes by itself."""
        return retrying(attempts or READ_ATTEMPTS, READ_BACKOFF, is_passing)(ask)

    def _transport(self) -> dict[str, Any]:
        proxy = self.endpoint.proxy
        return {
            "verify": self.endpoint.verify,
            "proxies": {"http": proxy, "https": proxy} if proxy else None,
        }

    def _call(
        self,
        method: str,
        path: str,
        *,
        data: bytes | Multipart | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> Answer:
        """Send one request to the service, once. Redirects are not followed: they would carry the key along."""
        endpoint = self.endpoint

        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {endpoint.api_key}"
            return request

        limit = timeout or endpoint.timeout
        with (
            transport_errors(endpoint.base_url, conn_id=endpoint.conn_id),
            self.get_conn().request(
                method,
                endpoint.base_url + path,
                data=data,
                headers={"Accept": "application/json"} | ({"Content-Type": content_type} if data else {}),
                auth=authorize,
                allow_redirects=False,
                stream=True,
                timeout=(min(CONNECT_TIMEOUT, limit), limit),
                **self._transport(),
            ) as response,
        ):
            raw = read_body(response, deadline=time.monotonic() + limit)
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, parse_body(raw))


def _may_repeat(outcome: Future) -> bool:
    """Whether an answer to the paid call proves that nothing was created and says that waiting helps."""
    if outcome.failed:
        return False
    answer: SubmitAnswer = outcome.result()
    return answer.verdict == "repeat" and waits_shortly(answer.error)
