"""The hook: the connection, and a method per call. HTTP clients are imported with the first call."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_seedance.api.assets import Asset, AssetGroup, AssetType
from airflow_provider_seedance.api.calls import (
    GROUP_TYPE,
    Call,
    CreateAsset,
    CreateAssetGroup,
    CreateGeneration,
    DeleteAsset,
    GetAsset,
    GetGeneration,
    ListAssetGroups,
    ListAssets,
    ListCall,
    ListModels,
    PaidCall,
    Source,
)
from airflow_provider_seedance.api.errors import is_transient, retry_in
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.ids import check_asset_id, check_generation_id
from airflow_provider_seedance.api.links import read_link_answer
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.request import encode_body, secrets_of
from airflow_provider_seedance.api.response import DEFAULT_CONN_ID
from airflow_provider_seedance.clock import SYSTEM_CLOCK, Clock
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTransportError,
)
from airflow_provider_seedance.hooks.endpoint import Endpoint, warn_if_unencrypted

if TYPE_CHECKING:
    import requests

    from airflow_provider_seedance.hooks.async_client import AsyncClient
    from airflow_provider_seedance.hooks.transport import Transport

log = logging.getLogger(__name__)

T = TypeVar("T")
Item = TypeVar("Item", Asset, AssetGroup)

#: Attempts of a call that costs nothing.
READ_ATTEMPTS = 4
#: Seconds before the second attempt; doubled for each further one.
READ_BACKOFF = 1.0
#: Pages of a list that are read: a service that repeats itself must not block a worker forever.
MAX_PAGES = 1000


class SeedanceHook(BaseHook):
    """
    Hook for the Starrise AI API.

    :param seedance_conn_id: The connection: password is the key, host the base URL.
    :param clock: The time that waits are measured by. Default: the system's.
    """

    conn_name_attr = "seedance_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "seedance"
    hook_name = "Seedance (Starrise AI)"

    def __init__(
        self, seedance_conn_id: str = default_conn_name, *, clock: Clock = SYSTEM_CLOCK, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.seedance_conn_id = seedance_conn_id
        self.clock = clock
        self._doubted = False

    # -- the connection

    @cached_property
    def endpoint(self) -> Endpoint:
        """
        The connection, read once.

        :raises AirflowNotFoundException: There is no such connection.
        :raises SeedanceAuthError: It has no key.
        :raises SeedanceRequestError: A field cannot be used, or it is of another type.
        """
        conn = self.get_connection(self.seedance_conn_id)
        endpoint = Endpoint.from_connection(conn, conn.extra_dejson)
        warn_if_unencrypted(endpoint)
        return endpoint

    @cached_property
    def _transport(self) -> Transport:
        from airflow_provider_seedance.hooks.transport import Transport

        return Transport(self.endpoint)

    def get_conn(self) -> requests.Session:
        """Return the ``requests.Session`` of all calls. It carries no key: each call to the service adds it."""
        return self._transport.session

    def refresh(self) -> None:
        """Read the connection again before the next call: it may have been edited."""
        self._doubted = True

    def _reread(self) -> None:
        """
        Replace the connection by what it is now.

        :raises SeedanceTransportError: It cannot be read at the moment, which ends no wait.
        """
        try:
            conn = self.get_connection(self.seedance_conn_id)
            endpoint = Endpoint.from_connection(conn, conn.extra_dejson)
        except SeedanceError:
            raise
        except Exception as e:
            raise SeedanceTransportError(
                f"Connection {self.seedance_conn_id!r} cannot be looked up ({type(e).__name__}).", sent=False
            ) from None
        self.close()
        self.__dict__.pop("_transport", None)
        self.endpoint, self._doubted = endpoint, False

    def close(self) -> None:
        """Close the open connections. The hook stays usable."""
        if "_transport" in self.__dict__:
            self._transport.close()

    def send(self, call: Call[T]) -> T:
        """
        Send a call to the service, once: the only place where a worker does so.

        :param call: One of :mod:`airflow_provider_seedance.api.calls`.
        :returns: What the call reads from the response.
        :raises SeedanceError: The typed exception of any failure; a paid call returns what became of it instead.
        """
        if call.is_paid:
            self.close()  # an idle connection may be dead; if a new one fails, nothing was sent
        try:
            if self._doubted:
                self._reread()
            response = self._transport.exchange(call)
        except SeedanceError as e:
            return call.read_failure(e)
        return call.read(response)

    def _read_with_retries(self, call: Call[T], attempts: int = READ_ATTEMPTS) -> T:
        """Send a call that costs nothing, again after a transient error."""
        attempt = 1
        while True:
            try:
                return self.send(call)
            except SeedanceError as e:
                self._wait_before_retry(e, attempt, attempts)
            attempt += 1

    def _wait_before_retry(self, error: SeedanceError, attempt: int, attempts: int) -> None:
        """Wait before a call that costs nothing is repeated, or raise its error if it is not."""
        wait = retry_in(error, attempt, attempts=attempts, backoff=READ_BACKOFF)
        if wait is None or not is_transient(error):
            raise error
        log.warning("%s Retrying in %.0f s.", error, wait)
        self.clock.sleep(wait)

    def _send_billed(self, call: PaidCall) -> str:
        """Send a paid call without a record of it, and repeat it only if nothing can have been created."""
        attempt = 1
        while True:
            answer = self.send(call)
            wait = answer.retry_in(attempt)
            if wait is None:
                return answer.require_id()
            log.warning("%s Nothing was created. Retrying in %.0f s.", answer.error, wait)
            self.clock.sleep(wait)
            attempt += 1

    # -- generations

    def create_generation(self, body: Mapping[str, Any]) -> str:
        """
        Submit a generation: **the call that costs money**. Never repeated unless nothing can have been created.

        A task that may be retried records its submission first: see :mod:`airflow_provider_seedance.jobs.submit`.

        :param body: The request's JSON, as ``GenerationRequest.to_json`` makes it.
        :returns: The generation's id.
        :raises SeedanceAmbiguousSubmissionError: The response was lost: it may have been created and be billed.
        :raises SeedanceError: The typed exception of a refusal; nothing was created.
        """
        return self._send_billed(CreateGeneration(encode_body(body), secrets=secrets_of(body)))

    def get_generation(self, generation_id: str, *, attempts: int = READ_ATTEMPTS) -> Generation:
        """
        Query a generation. Free.

        :param generation_id: Its id.
        :param attempts: Attempts in place if the service or the network fails.
        :raises SeedanceNotFoundError: The service does not know it.
        :raises SeedanceError: The typed exception of any other failure.
        """
        return self._read_with_retries(GetGeneration(check_generation_id(generation_id)), attempts)

    def requery_generation(self, generation_id: str) -> Generation:
        """
        Query a generation that was paid for. Free. Whatever is raised names it.

        :param generation_id: Its id.
        :raises SeedanceNotFoundError: The service itself says that it does not know it.
        :raises SeedanceServiceError: Something else answered in its place, whatever it said: a retry may help.
        :raises SeedanceError: The typed exception of any other failure.
        """
        try:
            return self.get_generation(generation_id)
        except SeedanceError as e:
            about = f"Generation {generation_id} cannot be queried."
            if not e.is_from_service:
                raise e.retyped(SeedanceServiceError, f"{about} {e}") from None
            raise e.add(before=about) from None

    def list_models(self) -> list[str]:
        """
        Return the ids of the models that the key may use. Free; the route is not promised (contract.md#common-rules).

        :raises SeedanceError: The typed exception of a failure.
        """
        return self._read_with_retries(ListModels())

    def test_connection(self) -> tuple[bool, str]:
        """
        Check address and key without cost: by the model list, else by querying a generation that does not exist.

        :returns: Whether it works, and what was seen.
        """
        try:
            try:
                models = self.list_models()
                if any("seedance" in model.lower() for model in models):  # other services have such a list too
                    return True, f"The key is valid; {len(models)} models can be used with it."
            except (SeedanceRequestError, SeedanceServiceError, SeedanceNotFoundError):
                pass
            self.get_generation("asyntask_connection_test", attempts=1)
        except SeedanceNotFoundError as e:
            return e.is_from_service, "The key is valid." if e.is_from_service else str(e)
        except Exception as e:
            return False, redact(str(e))
        return False, "The address answers as if it knew a generation that does not exist: is it the API's base URL?"

    # -- assets: the vendor's page shows the two that create; a service without another route says what to do instead

    def create_asset_group(self, name: str, description: str | None = None) -> str:
        """
        Create a group. **It costs money per call.** Never repeated unless nothing can have been created.

        :param name: 1 to 64 characters.
        :param description: At most 300 characters.
        :returns: The group's id.
        :raises SeedanceAmbiguousSubmissionError: The response was lost.
        """
        return self._send_billed(CreateAssetGroup(name, description))

    def create_asset(self, group_id: str, name: str, source: Source) -> str:
        """
        Create an asset. **It costs money per call.** Never repeated unless nothing can have been created.

        It is processed for some seconds before it can be used: see :meth:`get_asset`.

        :param group_id: The group it goes into. One that was just created may not be known yet: that is waited out.
        :param name: 1 to 64 characters, unique in the group.
        :param source: From :func:`~airflow_provider_seedance.files.inputs.read_source`.
        :returns: The asset's id.
        :raises SeedanceAmbiguousSubmissionError: The response was lost.
        """
        return self._send_billed(CreateAsset(group_id, name, source))

    def get_asset(self, asset_id: str, *, attempts: int = READ_ATTEMPTS) -> Asset:
        """
        Query an asset. Free.

        :param asset_id: Its id.
        :param attempts: Attempts in place if the service or the network fails.
        :raises SeedanceNotFoundError: The service does not know it.
        """
        return self._read_with_retries(GetAsset(check_asset_id(asset_id)), attempts)

    def delete_asset(self, asset_id: str) -> None:
        """
        Delete an asset. Free.

        :raises SeedanceNotFoundError: The service does not know it.
        """
        self._read_with_retries(DeleteAsset(check_asset_id(asset_id)))

    def list_assets(
        self,
        *,
        group_id: str | None = None,
        name: str | None = None,
        asset_type: AssetType | None = None,
        page_size: int = 100,
    ) -> Iterator[Asset]:
        """
        Iterate over the key's assets, page by page. Free.

        :param group_id: Only of this group.
        :param name: Only those whose name contains this, in any case.
        :param asset_type: Only of this type.
        :param page_size: Assets a page; 100 is the service's limit.
        """
        filters: dict[str, Any] = {"GroupIds": [group_id]} if group_id else {}
        if name:
            filters["Name"] = name
        for asset in self._list(ListAssets(filters=filters, page_size=page_size)):
            # the service's own filters are not relied upon; what it does not say cannot be checked
            in_group = asset.group_id in (group_id, None) or group_id is None
            of_type = asset.asset_type in (asset_type, "") or asset_type is None
            if in_group and of_type and _contains(asset.name, name):
                yield asset

    def list_asset_groups(self, name: str | None = None, *, page_size: int = 100) -> Iterator[AssetGroup]:
        """
        Iterate over the key's groups, page by page. Free.

        :param name: Only those whose name contains this, in any case.
        :param page_size: Groups a page; 100 is the service's limit.
        """
        for group in self._list(ListAssetGroups(filters={"Name": name} if name else {}, page_size=page_size)):
            if _contains(group.name, name):
                yield group

    def _list(self, call: ListCall[Item]) -> Iterator[Item]:
        """
        Iterate over all pages, of the list by type and of the one without it, each item once.

        Some channels list nothing without the type, and it hides old groups that have none (contract.md#list-assets).
        """
        known: set[str] = set()
        for filters in ({"GroupType": GROUP_TYPE, **call.filters}, call.filters):
            seen: set[str] = set()
            for number in range(1, MAX_PAGES + 1):
                try:
                    page = self._read_with_retries(replace(call, filters=filters, page=number))
                except SeedanceRequestError as e:
                    if filters is call.filters and number == 1 and e.is_from_service:
                        return  # the channel demands the type: what it listed by it is all
                    raise
                new = [item for item in page.items if item.id not in seen]
                seen.update(item.id for item in new)
                yield from (item for item in new if item.id not in known)
                if not new or not page.may_have_next(len(seen)):
                    break
            else:
                raise SeedanceServiceError(f"The service's list does not end within {MAX_PAGES} pages.")
            known |= seen

    # -- results

    @contextlib.contextmanager
    def download(self, url: str, *, start: int = 0, end: int | None = None) -> Iterator[requests.Response]:
        """
        Open a signed link for streaming, without the key: it is another host's, and the link is its own permission.

        Proxy and CA bundle are those of the environment, as ``requests`` reads them, not the connection's.

        :param url: A link of a generation's result.
        :param start: First byte wanted.
        :param end: Last byte wanted. Default: the file's.
        :raises SeedanceServiceError: The host cannot be reached or breaks off.
        """
        byte_range = f"bytes={start}-{'' if end is None else end}" if start or end is not None else None
        with self._transport.download(url, byte_range) as response:
            yield response

    def size_of(self, url: str) -> int | None:
        """
        Return the bytes of the file behind a signed link, None if its storage does not report them.

        :raises SeedanceServiceError: The link is refused, or the host cannot be reached.
        """
        attempt = 1
        while True:
            try:
                with self.download(url, end=0) as response:  # a link that is signed for GET is refused for HEAD
                    return read_link_answer(response.status_code, response.headers, start=0).size
            except SeedanceError as e:
                self._wait_before_retry(e, attempt, READ_ATTEMPTS)
            attempt += 1

    def shared_client(self) -> AbstractAsyncContextManager[AsyncClient]:
        """Return the asynchronous client that all triggers of an event loop share, as a context manager."""
        from airflow_provider_seedance.hooks.async_client import shared_client

        return shared_client(self.seedance_conn_id)


def _contains(found: str, wanted: str | None) -> bool:
    return wanted is None or wanted.lower() in found.lower()
