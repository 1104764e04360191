"""
The asset calls of the hook (contract 4).

The vendor's own page shows ``CreateAssetGroup`` and ``CreateAsset``; the list calls are known from a sibling's. Whether
the service offers the others is not documented: their docstrings say so, and where it does not, the error says what to
do instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.assets import (
    BILLING_MODELS,
    Asset,
    AssetGroup,
    AssetType,
    created_id,
    result_items,
)
from airflow_provider_seedance.api.errors import error_from, read_error
from airflow_provider_seedance.api.generation import check_generation_id
from airflow_provider_seedance.api.submission import SubmitAnswer, read_submit_answer
from airflow_provider_seedance.exceptions import SeedanceNotFoundError, SeedanceRequestError
from airflow_provider_seedance.files.inputs import AssetSource
from airflow_provider_seedance.hooks.asset_source import Multipart
from airflow_provider_seedance.hooks.base import BaseSeedanceHook
from airflow_provider_seedance.hooks.transport import Answer

if TYPE_CHECKING:
    from airflow_provider_seedance.hooks.endpoint import Endpoint

ASSET_PATH = "/volc/asset/"
#: The only group type that an ordinary key may use; some channels answer nothing without it (contract 4.4).
GROUP_TYPE = "AIGC"
#: Items asked for at a time; 100 is the service's limit.
PAGE_SIZE = 100
#: Pages that are read at the most: a service that repeats itself must not hold a worker for ever.
MAX_PAGES = 1000

_INSTEAD = {
    "DeleteAsset": "Delete it in the Starrise console.",
    "DeleteAssetGroup": "Delete it in the Starrise console.",
    "UpdateAsset": "Create an asset under the new name.",
    "UpdateAssetGroup": "Create a group under the new name.",
    "GetAssetGroup": "Use list_asset_groups().",
    "GetAsset": "Use list_assets().",
}


def read_asset_answer(action: str, answer: Answer, endpoint: Endpoint) -> Mapping[str, Any]:
    """
    Read the answer to an asset call; shared by the synchronous and the asynchronous client.

    :raises SeedanceError: The typed exception of an error, which may come with HTTP 200 too (contract 3.1, E5).
    """
    if answer.status == 200 and isinstance(answer.body, Mapping) and read_error(answer.body) is None:
        return answer.body
    error = error_from(
        answer.status, answer.body, headers=answer.headers, conn_id=endpoint.conn_id, secrets=(endpoint.api_key,)
    )
    if isinstance(error, SeedanceRequestError) and error.field == "host" and action in _INSTEAD:
        raise SeedanceRequestError(
            f"The service has no {action}, which its documentation does not promise. {_INSTEAD[action]}",
            status=answer.status,
        ) from error
    raise error


class AssetCalls(BaseSeedanceHook):
    """The part of the hook that deals with assets and their groups."""

    def create_asset_group(self, name: str, description: str | None = None, **paying: Any) -> str:
        """
        Create a group. **It costs money per call.** Never repeated unless nothing can have been created.

        :param name: 1 to 64 characters.
        :param description: At most 300 characters.
        :param paying: ``before_send`` and ``after_refusal``, as :meth:`SeedanceHook.create_generation`.
        :returns: The group's id.
        :raises SeedanceAmbiguousSubmissionError: where the answer was lost.
        """
        body = {"model": BILLING_MODELS["Image"], "Name": name}
        if description:
            body["Description"] = description
        return self._pay(lambda: self._create("CreateAssetGroup", body), **paying)

    def create_asset(self, group_id: str, name: str, source: AssetSource, **paying: Any) -> str:
        """
        Create an asset. **It costs money per call.** Never repeated unless nothing can have been created.

        It is processed for some seconds before it can be used: see :meth:`get_asset`.

        :param group_id: The group it goes to. A group just created may not be known yet: that is waited out.
        :param name: 1 to 64 characters, unique in the group.
        :param source: From :func:`~airflow_provider_seedance.files.inputs.read_source`.
        :param paying: ``before_send`` and ``after_refusal``, as :meth:`SeedanceHook.create_generation`.
        :returns: The asset's id.
        :raises SeedanceAmbiguousSubmissionError: where the answer was lost.
        """
        fields = {
            "model": BILLING_MODELS[source.asset_type],
            "GroupId": group_id,
            "Name": name,
            "AssetType": source.asset_type,
        }
        if source.url is not None:
            return self._pay(lambda: self._create("CreateAsset", {**fields, "URL": source.url}), **paying)
        return self._pay(lambda: self._create("CreateAsset", Multipart(fields, source)), **paying)

    def get_asset(self, asset_id: str, *, attempts: int | None = None) -> Asset:
        """
        Ask for an asset. Free. The route stands on a sibling's page, not on the vendor's own.

        :param attempts: Tries in place where the service or the network fails; 1 for callers that wait by themselves.
        :raises SeedanceNotFoundError: where the service does not know it.
        """
        body = {"Id": check_generation_id(asset_id, parameter="asset")}
        return Asset.from_response(self._ask_asset("GetAsset", body, attempts), asset_id=asset_id)

    def list_assets(
        self, *, group_id: str | None = None, name: str | None = None, asset_type: AssetType | None = None
    ) -> Iterator[Asset]:
        """
        Iterate over the key's assets, page by page. Free.

        :param group_id: Only of this group.
        :param name: Only those whose name holds this.
        :param asset_type: Only of this type.
        """
        wanted: dict[str, Any] = {"GroupIds": [group_id]} if group_id else {}
        if name:
            wanted["Name"] = name
        for item in self._list("ListAssets", wanted):
            asset = Asset.from_response(item)
            if asset_type is None or asset.asset_type == asset_type:
                yield asset

    def update_asset(self, asset_id: str, name: str) -> None:
        """Rename an asset. Free. Not on the vendor's page: a service without it says so."""
        self._ask_asset("UpdateAsset", {"model": BILLING_MODELS["Image"], "Id": asset_id, "Name": name})

    def delete_asset(self, asset_id: str) -> None:
        """
        Delete an asset. Free. Not on the vendor's page: a service without it says so.

        :raises SeedanceNotFoundError: where the service does not know it.
        """
        self._ask_asset("DeleteAsset", {"model": BILLING_MODELS["Image"], "Id": asset_id})

    def get_asset_group(self, group_id: str) -> AssetGroup:
        """Ask for a group. Free. Not on the vendor's page: a service without it says so."""
        return AssetGroup.from_response(self._ask_asset("GetAssetGroup", {"Id": group_id}), group_id=group_id)

    def list_asset_groups(self, name: str | None = None) -> Iterator[AssetGroup]:
        """
        Iterate over the key's groups, page by page. Free.

        :param name: Only those whose name holds this.
        """
        for item in self._list("ListAssetGroups", {"Name": name} if name else {}):
            yield AssetGroup.from_response(item)

    def update_asset_group(self, group_id: str, name: str, description: str | None = None) -> None:
        """Rename a group. Free. Not on the vendor's page: a service without it says so."""
        body = {"model": BILLING_MODELS["Image"], "Id": group_id, "Name": name}
        self._ask_asset("UpdateAssetGroup", body | ({"Description": description} if description else {}))

    def delete_asset_group(self, group_id: str) -> None:
        """Delete a group **and all assets in it**. Free. Not on the vendor's page: a service without it says so."""
        self._ask_asset("DeleteAssetGroup", {"Id": group_id})

    def _create(self, action: str, body: dict[str, Any] | Multipart) -> SubmitAnswer:
        if isinstance(body, Multipart):
            answer = self._call(
                "POST",
                ASSET_PATH + action,
                data=body,
                content_type=body.content_type,
                timeout=self.endpoint.submit_timeout,
            )
        else:
            answer = self._call("POST", ASSET_PATH + action, data=_encode(body), timeout=self.endpoint.submit_timeout)
        judged = read_submit_answer(
            answer.status,
            answer.body,
            headers=answer.headers,
            conn_id=self.seedance_conn_id,
            secrets=(self.endpoint.api_key,),
        )
        text = str(judged.error).lower()
        if judged.verdict == "refused" and "group" in text and "not found" in text:
            return SubmitAnswer("repeat", error=judged.error)  # a group just created (contract 4.1)
        if isinstance(judged.error, SeedanceNotFoundError) and action == "CreateAsset":
            taken = SeedanceRequestError(
                f"The service refused the asset as not found, which it also says where the name is taken in the group: "
                f"{judged.error}",
                field="name",
                status=answer.status,
            )
            return SubmitAnswer(judged.verdict, error=taken)
        return judged

    def _ask_asset(self, action: str, body: Mapping[str, Any], attempts: int | None = None) -> Mapping[str, Any]:
        def ask() -> Mapping[str, Any]:
            return read_asset_answer(action, self._call("POST", ASSET_PATH + action, data=_encode(body)), self.endpoint)

        found: Mapping[str, Any] = self._free(ask, attempts)
        return found

    def _list(self, action: str, wanted: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """
        Iterate over all pages; an empty or a short one is the last, whatever ``TotalCount`` says (contract 4.4).

        Old groups have no type, and the filter would hide them: where it finds nothing, it is left out.
        """
        for filters in ({"GroupType": GROUP_TYPE, **wanted}, dict(wanted)):
            seen: set[str] = set()
            for number in range(1, MAX_PAGES + 1):
                body = {
                    "model": BILLING_MODELS["Image"],
                    "Filter": filters,
                    "PageNumber": number,
                    "PageSize": PAGE_SIZE,
                }
                items = list(result_items(self._ask_asset(action, body)))
                fresh = [item for item in items if (found := created_id(item)) and found not in seen]
                seen.update(str(created_id(item)) for item in fresh)
                yield from fresh
                if len(items) < PAGE_SIZE or not fresh:
                    break
            if seen:
                return


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
