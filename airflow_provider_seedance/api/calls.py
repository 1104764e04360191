"""
Every call of the service as data: what is sent, and how its response is read.

A call knows neither a client nor a connection. ``SeedanceHook.send(call)`` and ``AsyncClient.send(call)`` are the only
two places that do I/O with the service, and both end in :meth:`Call.read` or :meth:`Call.read_failure`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from airflow_provider_seedance.api.assets import BILLING_MODELS, Asset, AssetGroup, AssetType, Page, result_items
from airflow_provider_seedance.api.errors import (
    error_from,
    foreign_answer,
    is_error_envelope,
    is_group_missing,
    read_error,
)
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.paid_answer import PaidAnswer, read_paid_answer, read_paid_failure
from airflow_provider_seedance.api.parse import as_mapping, encode_json
from airflow_provider_seedance.api.response import Response, is_about
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceNotFoundError, SeedanceRequestError

T = TypeVar("T")
Item = TypeVar("Item", Asset, AssetGroup)

GENERATIONS_PATH = "/v1/video/generations"
MODELS_PATH = "/v1/models"
ASSET_PATH = "/volc/asset/"
#: The only group type that an ordinary key may use; some channels list nothing without it (contract.md#list-assets).
GROUP_TYPE = "AIGC"
#: Bytes of an upload that are read at a time.
_CHUNK = 1024 * 1024


class Call(ABC, Generic[T]):
    """One call: its children are frozen dataclasses, whose ``path``, ``body`` and ``read`` are described here."""

    method: ClassVar[str] = "POST"
    #: Whether it costs money, so that it is never repeated unless nothing can have been created.
    is_paid: ClassVar[bool] = False

    @property
    @abstractmethod
    def path(self) -> str:
        """The path on the service, without the base URL."""

    @property
    def body(self) -> bytes | Multipart | None:
        """What is sent, as JSON unless it is a form; None for nothing."""
        return None

    @abstractmethod
    def read(self, response: Response) -> T:
        """
        Return the value in a response.

        :raises SeedanceError: The typed exception of a response that is an error.
        """

    def read_failure(self, error: SeedanceError) -> T:
        """Return the value of a call without a response: none, so its error is raised."""
        raise error


class PaidCall(Call[PaidAnswer]):
    """A call that costs money. It never raises: what became of it is a value, which the caller must not miss."""

    is_paid = True

    def read(self, response: Response) -> PaidAnswer:
        return read_paid_answer(response)

    def read_failure(self, error: SeedanceError) -> PaidAnswer:
        return read_paid_failure(error)


@dataclass(frozen=True)
class CreateGeneration(PaidCall):
    """
    Submit a generation (contract.md#create-request). It costs money.

    :param payload: The request as JSON, from :func:`~airflow_provider_seedance.api.request.encode_body`.
    :param item_names: The parameter behind each item of the request's ``content``, for messages.
    :param secrets: Texts of which messages must not quote anything, such as the prompt.
    """

    path = GENERATIONS_PATH

    payload: bytes = field(repr=False)
    item_names: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def body(self) -> bytes:
        return self.payload

    def read(self, response: Response) -> PaidAnswer:
        return read_paid_answer(response, secrets=self.secrets, item_names=self.item_names, sent=self.payload)


@dataclass(frozen=True)
class GetGeneration(Call[Generation]):
    """
    Query a generation (contract.md#query-response). Free.

    :param generation_id: Its id, checked.
    """

    method = "GET"
    generation_id: str

    @property
    def path(self) -> str:
        return f"{GENERATIONS_PATH}/{self.generation_id}"

    def read(self, response: Response) -> Generation:
        if response.status == 200 and isinstance(response.body, Mapping):
            generation = Generation.from_response(response.body, generation_id=self.generation_id)
            if is_about(response.body, self.generation_id):
                return generation
            raise foreign_answer(f"generation {self.generation_id}")
        raise error_from(response, secrets=None)


@dataclass(frozen=True)
class ListModels(Call[list[str]]):
    """List the models that the key may use (contract.md#common-rules). Free; the route is not promised."""

    method = "GET"
    path = MODELS_PATH

    def read(self, response: Response) -> list[str]:
        data = response.body.get("data") if isinstance(response.body, Mapping) else None
        if response.status == 200 and isinstance(data, list):
            return [str(model["id"]) for model in data if isinstance(model, Mapping) and "id" in model]
        raise error_from(response)


@dataclass(frozen=True)
class CreateAssetGroup(PaidCall):
    """
    Create a group of assets (contract.md#create-asset-group). It costs money.

    :param name: 1 to 64 characters.
    :param description: At most 300 characters; None sends none.
    """

    path = f"{ASSET_PATH}CreateAssetGroup"

    name: str
    description: str | None = None

    @property
    def body(self) -> bytes:
        described = {"Description": self.description} if self.description else {}
        return encode_json({"model": BILLING_MODELS["Image"], "Name": self.name, **described})


@dataclass(frozen=True)
class Source:
    """
    What an asset is made from, checked.

    :param asset_type: ``Image``, ``Video`` or ``Audio``.
    :param digest: SHA-256 in hexadecimal: of the bytes, or for a link, of the link without its signature.
    :param url: What the call sends instead of a file: a link or a ``data:`` URI; None if the file is uploaded.
    :param filename: File name to upload it under.
    :param data: The bytes to upload, which the digest is of; read once, since a file can change meanwhile.
    """

    asset_type: AssetType
    digest: str
    url: str | None = field(default=None, repr=False)
    filename: str = ""
    data: bytes = field(default=b"", repr=False)

    @property
    def is_link(self) -> bool:
        """Whether the service fetches it."""
        return self.url is not None and not self.url.startswith("data:")


class Multipart:
    """
    A ``multipart/form-data`` body that is written in parts, so that the file is held in memory once.

    :param fields: The text fields.
    :param source: The file.
    """

    def __init__(self, fields: Mapping[str, str], source: Source) -> None:
        self._source = source
        boundary = source.digest[:32]
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{source.filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        """Return the bytes to send, for the ``Content-Length`` header."""
        return len(self._head) + len(self._source.data) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body."""
        data = self._source.data
        yield self._head
        for start in range(0, len(data), _CHUNK):
            yield data[start : start + _CHUNK]
        yield self._tail


@dataclass(frozen=True)
class CreateAsset(PaidCall):
    """
    Create an asset (contract.md#create-asset). It costs money.

    :param group_id: The group that it goes into.
    :param name: 1 to 64 characters, unique in the group.
    :param source: What it is made from.
    """

    path = f"{ASSET_PATH}CreateAsset"

    group_id: str
    name: str
    source: Source

    @property
    def body(self) -> bytes | Multipart:
        fields = {
            "model": BILLING_MODELS[self.source.asset_type],
            "GroupId": self.group_id,
            "Name": self.name,
            "AssetType": self.source.asset_type,
        }
        url = self.source.url
        return Multipart(fields, self.source) if url is None else encode_json({**fields, "URL": url})

    def read(self, response: Response) -> PaidAnswer:
        answer = read_paid_answer(response)
        if answer.verdict != "refused" or answer.error is None:
            return answer
        if response.status == 404:  # a duplicate name and an unknown group look alike
            taken = (
                f"The service refused the asset as not found: there is no group {self.group_id}, or the name "
                f"{self.name!r} is taken in it. {answer.error}"
            )
            return PaidAnswer("refused", error=answer.error.retyped(SeedanceNotFoundError, taken))
        if _lacks_group(response):  # it was just created: that passes
            return PaidAnswer("repeat", error=answer.error)
        return answer


def _lacks_group(response: Response) -> bool:
    detail = read_error(response.body) if is_error_envelope(response.body) else None
    return detail is not None and is_group_missing(detail)


@dataclass(frozen=True)
class GetAsset(Call[Asset]):
    """
    Query an asset (contract.md#get-asset). Free; the route is a sibling's, not on the vendor's own page.

    :param asset_id: Its id, checked.
    """

    path = f"{ASSET_PATH}GetAsset"

    asset_id: str

    @property
    def body(self) -> bytes:
        return encode_json({"Id": self.asset_id})

    def read(self, response: Response) -> Asset:
        body = _read_asset_response(response, without_route="List the assets instead.")
        if is_about(body, self.asset_id):
            return Asset.from_response(body, asset_id=self.asset_id)
        raise foreign_answer(f"asset {self.asset_id}")


@dataclass(frozen=True)
class DeleteAsset(Call[None]):
    """
    Delete an asset. Free; a service without the route says so (contract.md#other-asset-routes).

    :param asset_id: Its id, checked.
    """

    path = f"{ASSET_PATH}DeleteAsset"

    asset_id: str

    @property
    def body(self) -> bytes:
        return encode_json({"model": BILLING_MODELS["Image"], "Id": self.asset_id})

    def read(self, response: Response) -> None:
        _read_asset_response(response, without_route="Delete it in the Starrise console.")


@dataclass(frozen=True, kw_only=True)
class ListCall(Call[Page[Item]]):
    """
    One page of a list (contract.md#list-assets). Free; known from a sibling, not on the vendor's own page.

    :param filters: What the items must match, by the service's names.
    :param page: From 1.
    :param page_size: Items a page; the service may return fewer.
    """

    filters: Mapping[str, Any] = field(default_factory=dict)
    page: int = 1
    page_size: int = 100

    @property
    def body(self) -> bytes:
        page = {"Filter": self.filters, "PageNumber": self.page, "PageSize": self.page_size}
        return encode_json({"model": BILLING_MODELS["Image"], **page})


class ListAssets(ListCall[Asset]):
    """One page of the key's assets. Parameters: ``filters``, ``page``, ``page_size``."""

    path = f"{ASSET_PATH}ListAssets"

    def read(self, response: Response) -> Page[Asset]:
        try:
            body = _read_asset_response(response, without_route="Give the asset's id.")
        except SeedanceError:
            if _lacks_group(response):  # there is nothing in it; whether it exists is found out by creating something
                return Page(())
            raise
        return Page.of(_require_list(body, "assets"), map(Asset.from_response, result_items(body)))


class ListAssetGroups(ListCall[AssetGroup]):
    """One page of the key's groups. Parameters: ``filters``, ``page``, ``page_size``."""

    path = f"{ASSET_PATH}ListAssetGroups"

    def read(self, response: Response) -> Page[AssetGroup]:
        body = _read_asset_response(response, without_route="Give the group's id.")
        return Page.of(_require_list(body, "asset groups"), map(AssetGroup.from_response, result_items(body)))


def _require_list(body: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """Return a list's response; raise if it is none: an empty list means that one is to be created, and paid for."""
    for node in map(as_mapping, (body, body.get("Result"), body.get("data"))):
        items = node.get("Items")
        if items == [] or (items is None and node.get("TotalCount") == 0):
            return body
    if any(result_items(body)):
        return body
    raise foreign_answer(f"the list of {what}")


def _read_asset_response(response: Response, *, without_route: str) -> Mapping[str, Any]:
    """
    Return the body of an asset call's response. An error may come with HTTP 200 (contract.md#error-envelopes).

    :param without_route: What to do if the service lacks the route, which its documentation does not promise.
    """
    if response.status == 200 and isinstance(response.body, Mapping) and read_error(response.body) is None:
        return response.body
    error = error_from(response)
    no_such_url = isinstance(error, SeedanceRequestError) and error.field == "host" and error.is_from_service
    if no_such_url or response.status == 501:
        lacking = SeedanceRequestError(
            f"The service lacks this route, which its documentation does not promise. {without_route}",
            status=response.status,
        )
        lacking.lacks_route = True
        raise lacking from error
    raise error
