"""The hook: the connection, authentication and raw calls. Nothing heavy is imported before a call is made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.arrival import read_link_answer
from airflow_provider_seedance.api.errors import error_from
from airflow_provider_seedance.api.generation import Generation, check_generation_id
from airflow_provider_seedance.api.request import encode_body
from airflow_provider_seedance.api.submission import SubmitAnswer, read_submit_answer
from airflow_provider_seedance.exceptions import SeedanceNotFoundError, SeedanceRequestError, SeedanceServiceError
from airflow_provider_seedance.hooks.assets import AssetCalls
from airflow_provider_seedance.hooks.base import READ_ATTEMPTS
from airflow_provider_seedance.hooks.endpoint import Endpoint
from airflow_provider_seedance.hooks.transport import CONNECT_TIMEOUT, Answer, transport_errors

if TYPE_CHECKING:
    import requests

    from airflow_provider_seedance.hooks.shared_client import SharedClient

GENERATIONS_PATH = "/v1/video/generations"
MODELS_PATH = "/v1/models"


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


class SeedanceHook(AssetCalls):
    """
    Talk to the Starrise AI API.

    :param seedance_conn_id: The connection: password is the key, host the base URL.
    """

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
            answer = self._call("POST", GENERATIONS_PATH, data=payload, timeout=self.endpoint.submit_timeout)
            return read_submit_answer(
                answer.status,
                answer.body,
                headers=answer.headers,
                conn_id=self.seedance_conn_id,
                secrets=(self.endpoint.api_key, *secrets),
                item_name=item_name,
            )

        return self._pay(send, before_send=before_send, after_refusal=after_refusal)

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

        generation: Generation = self._free(ask, attempts)
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

        models: list[str] = self._free(ask)
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
    def download(self, url: str, *, start: int = 0, end: int | None = None) -> Iterator[requests.Response]:
        """
        Open a signed link for streaming, without the key: it is another host's, and the link is its own permission.

        :param url: A link of a generation's result.
        :param start: First byte wanted.
        :param end: Last byte wanted. Default: the file's.
        :raises SeedanceServiceError: where the host cannot be reached or breaks off.
        """
        headers = {"Accept-Encoding": "identity"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end}"
        with (
            transport_errors("The storage of the result"),
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

    def size_of(self, url: str) -> int | None:
        """
        Return the bytes of the file behind a signed link, None where its storage does not say.

        Asks for the first byte: a link that is signed for GET is refused for HEAD.

        :raises SeedanceServiceError: where the link is refused, or the host cannot be reached.
        """

        def ask() -> int | None:
            with self.download(url, end=0) as response:
                return read_link_answer(response.status_code, response.headers, start=0).size

        size: int | None = self._free(ask)
        return size

    def shared_client(self) -> AbstractAsyncContextManager[SharedClient]:
        """Return the asynchronous client that all triggers of an event loop share, as a context manager."""
        from airflow_provider_seedance.hooks.shared_client import shared_client

        return shared_client(self.seedance_conn_id)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials at all: without this, requests would look into a netrc file."""
    return request
