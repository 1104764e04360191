"""The hook: the connection, authentication and raw calls. Nothing heavy is imported before a call is made."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_seedance.api.errors import error_from
from airflow_provider_seedance.api.generation import Generation, check_generation_id
from airflow_provider_seedance.api.request import encode_body
from airflow_provider_seedance.api.submission import SubmitAnswer, read_submit_answer
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
)
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
)

if TYPE_CHECKING:
    import requests
    from tenacity import Future

    from airflow_provider_seedance.hooks.shared_client import SharedClient

GENERATIONS_PATH = "/v1/video/generations"
MODELS_PATH = "/v1/models"

#: Tries of a call that costs nothing.
READ_ATTEMPTS = 4
#: Tries of the paid call, repeated only where nothing was created.
SUBMIT_ATTEMPTS = 6
#: Seconds before the second try; doubled for each further one.
READ_BACKOFF = 1.0
SUBMIT_BACKOFF = 5.0


def read_generation(answer: Answer, generation_id: str, endpoint: Endpoint) -> Generation:
    """
    Read the answer to a query; shared by the synchronous and the asynchronous client.

    :raises SeedanceError: The typed exception where the answer is an error or describes no generation.
    """
    if answer.status == 200 and isinstance(answer.body, Mapping):
        return Generation.from_response(answer.body, generation_id=generation_id)
    raise error_from(
        answer.status, answer.body, headers=answer.headers, conn_id=endpoint.conn_id, secrets=(endpoint.api_key,)
    )


class SeedanceHook(BaseHook):
    """
    Talk to the Starrise AI API.

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
        import requests

        return requests.Session()

    def get_conn(self) -> requests.Session:
        """Return the ``requests.Session`` of all calls. It carries no key: each call to the service adds it."""
        return self._session

    def close(self) -> None:
        """Close the session's connections. The hook stays usable."""
        if "_session" in self.__dict__:
            self._session.close()

    # -- calls to the service ---------------------------------------------------------------------------------------

    def create_generation(
        self,
        body: Mapping[str, Any],
        *,
        item_name: Callable[[int], str | None] = lambda index: None,
        secrets: Iterable[str] = (),
        before_send: Callable[[], None] = lambda: None,
        after_refusal: Callable[[], None] = lambda: None,
    ) -> str:
        """
        Submit a generation: **the call that costs money**. Never repeated unless nothing can have been created.

        :param body: The request's JSON, as :meth:`GenerationRequest.to_json` makes it.
        :param item_name: Names the parameter behind an index into the request's ``content``, for messages.
        :param secrets: What messages must not hold, such as the prompt.
        :param before_send: Called before each time the request is sent.
        :param after_refusal: Called after each answer that proves that nothing was created.
        :returns: The generation's id.
        :raises SeedanceAmbiguousSubmissionError: where the answer was lost: it may have been created and be billed.
        :raises SeedanceError: The typed exception of a refusal; nothing was created.
        """
        payload = encode_body(body)

        def send() -> SubmitAnswer:
            before_send()
            answer = self._submit(payload, item_name, secrets)
            if answer.verdict in ("refused", "repeat"):
                after_refusal()
            return answer

        answer: SubmitAnswer = retrying(SUBMIT_ATTEMPTS, SUBMIT_BACKOFF, _may_repeat)(send)
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

    def _submit(self, payload: bytes, item_name: Callable[[int], str | None], secrets: Iterable[str]) -> SubmitAnswer:
        self.close()  # a kept-alive connection may be half dead; one that cannot be made was surely not used
        try:
            answer = self._call("POST", GENERATIONS_PATH, data=payload, timeout=self.endpoint.submit_timeout)
        except TransportError as e:
            return SubmitAnswer("lost" if e.sent else "repeat", error=e)
        return read_submit_answer(
            answer.status,
            answer.body,
            headers=answer.headers,
            conn_id=self.seedance_conn_id,
            secrets=(self.endpoint.api_key, *secrets),
            item_name=item_name,
        )

    def get_generation(self, generation_id: str, *, attempts: int = READ_ATTEMPTS) -> Generation:
        """
        Ask for a generation. Costs nothing.

        :param generation_id: Its id.
        :param attempts: Tries in place where the service or the network fails; 1 for callers that wait by themselves.
        :raises SeedanceNotFoundError: where the service does not know it.
        :raises SeedanceError: The typed exception of any other failure.
        """
        path = f"{GENERATIONS_PATH}/{check_generation_id(generation_id)}"

        def ask() -> Generation:
            return read_generation(self._call("GET", path), generation_id, self.endpoint)

        generation: Generation = retrying(attempts, READ_BACKOFF, is_passing)(ask)
        return generation

    def list_models(self) -> list[str]:
        """
        Return the ids of the models that the key may use. Costs nothing; the route is not promised (contract 0).

        :raises SeedanceError: The typed exception of a failure.
        """

        def ask() -> list[str]:
            answer = self._call("GET", MODELS_PATH)
            data = answer.body.get("data") if isinstance(answer.body, Mapping) else None
            if answer.status == 200 and isinstance(data, list):
                return [str(model["id"]) for model in data if isinstance(model, Mapping) and "id" in model]
            raise error_from(
                answer.status,
                answer.body,
                headers=answer.headers,
                conn_id=self.seedance_conn_id,
                secrets=(self.endpoint.api_key,),
            )

        models: list[str] = retrying(READ_ATTEMPTS, READ_BACKOFF, is_passing)(ask)
        return models

    def test_connection(self) -> tuple[bool, str]:
        """
        Check address and key without cost: by the model list, else by asking for a generation that does not exist.

        :returns: Whether it works, and what was seen.
        """
        try:
            try:
                models = self.list_models()
                return True, f"The key is valid; {len(models)} models can be used with it."
            except (SeedanceRequestError, SeedanceServiceError, SeedanceNotFoundError):
                self.get_generation("asyntask_connection_test", attempts=1)
                return True, "The key is valid."
        except SeedanceNotFoundError:
            return True, "The key is valid."
        except Exception as e:
            return False, str(e)

    @contextlib.contextmanager
    def download(self, url: str, *, start: int = 0) -> Iterator[requests.Response]:
        """
        Open a signed link for streaming, without the key: it is another host's, and the link is its own permission.

        :param url: A link of a generation's result.
        :param start: First byte wanted.
        :raises SeedanceServiceError: where the host cannot be reached or breaks off.
        """
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with (
            transport_errors("the storage of the result"),
            self.get_conn().get(
                url,
                headers=headers,
                auth=_no_auth,
                stream=True,
                timeout=(CONNECT_TIMEOUT, self.endpoint.timeout),
                **self._transport(),
            ) as response,
        ):
            yield response

    def shared_client(self) -> AbstractAsyncContextManager[SharedClient]:
        """Return the asynchronous client that all triggers of an event loop share, as a context manager."""
        from airflow_provider_seedance.hooks.shared_client import shared_client

        return shared_client(self.seedance_conn_id)

    def _transport(self) -> dict[str, Any]:
        proxy = self.endpoint.proxy
        return {
            "verify": self.endpoint.verify,
            "proxies": {"http": proxy, "https": proxy} if proxy else None,
        }

    def _call(self, method: str, path: str, *, data: bytes | None = None, timeout: float | None = None) -> Answer:
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
                headers={"Accept": "application/json"} | ({"Content-Type": "application/json"} if data else {}),
                auth=authorize,
                allow_redirects=False,
                stream=True,
                timeout=(min(CONNECT_TIMEOUT, limit), limit),
                **self._transport(),
            ) as response,
        ):
            raw = read_body(response, deadline=time.monotonic() + limit)
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, parse_body(raw))


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials at all: without this, requests would look into a netrc file."""
    return request


def _may_repeat(outcome: Future) -> bool:
    """Whether an answer to the paid call proves that nothing was created and says that waiting helps."""
    if outcome.failed:
        return False
    answer: SubmitAnswer = outcome.result()
    return answer.verdict == "repeat" and waits_shortly(answer.error)
