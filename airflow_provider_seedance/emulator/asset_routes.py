"""The asset routes: ``POST /volc/asset/<Action>`` (contract.md#assets), and the preview of an asset."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Any

from aiohttp import BodyPartReader, web

from airflow_provider_seedance.emulator import asset_requests
from airflow_provider_seedance.emulator.asset_library import AssetOptions
from airflow_provider_seedance.emulator.assets import token_of
from airflow_provider_seedance.emulator.catalog import ASSET_ACTIONS
from airflow_provider_seedance.emulator.envelopes import gateway_error, new_request_id
from airflow_provider_seedance.emulator.routes import (
    BODY_LIMIT,
    WORLD,
    authorize,
    body_too_large,
    origin,
    parse_json,
    read_body,
    store_error,
    unknown,
)

_CHUNK = 64 * 1024


async def act(request: web.Request) -> web.Response:
    """Answer an asset action."""
    action = request.path.rpartition("/")[2]
    options = request.app[WORLD].library.options
    if action in options.missing:
        return await unknown(request)
    token = token_of(authorize(request))
    file = None
    if action == "CreateAsset" and request.content_type == "multipart/form-data":
        body, file = await _read_form(request)
    else:
        body = parse_json(await read_body(request))
        if not isinstance(body, dict):
            raise gateway_error(400, "invalid_json", "json: the request body must be an object")
    result = await _result(request, action, token, body, file)
    if options.shape == "wrapped":
        metadata = {"RequestId": new_request_id(), "Action": action, "Version": "2024-01-01"}
        metadata |= {"Service": "ark", "Region": "cn-beijing"}
        result = {"ResponseMetadata": metadata, "Result": result}
    return web.json_response(result)


async def _result(
    request: web.Request, action: str, token: int, body: dict[str, Any], file: bytes | None
) -> dict[str, Any]:
    library = request.app[WORLD].library
    match action:
        case "CreateAssetGroup":
            return {"Id": library.create_group(token, *asset_requests.new_group(body)).id}
        case "CreateAsset":
            new = await asyncio.to_thread(asset_requests.new_asset, body, file)
            return {"Id": library.create_asset(token, new).id}
        case "ListAssetGroups":
            query = _query(body, library.options)
            total, groups = library.list_groups(token, query)
            return _page(query, total, [group.item() for group in groups])
        case "ListAssets":
            query = _query(body, library.options)
            total, assets = library.list_assets(token, query)
            return _page(query, total, [asset.item(time.time(), _link(request, asset.id)) for asset in assets])
        case "GetAsset":
            asset_id = asset_requests.needed(body, "Id")
            return library.asset(token, asset_id).item(time.time(), _link(request, asset_id))
        case _:  # DeleteAsset
            asset_id = asset_requests.needed(body, "Id")
            library.delete_asset(token, asset_id)
            return {"Id": asset_id, "Deleted": True}


def _query(body: dict[str, Any], options: AssetOptions) -> asset_requests.Query:
    """Read the request for a list as a host with these options does."""
    query = asset_requests.query(body)
    if options.demand_group_type and not body["Filter"].get("GroupType"):
        raise asset_requests.missing("GroupType")
    if options.filters == "ignore":
        query = replace(query, name="", group_ids=())
    return replace(query, size=min(query.size, options.page_cap))


def _page(query: asset_requests.Query, total: int, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"PageNumber": query.number, "PageSize": query.size, "TotalCount": total, "Items": items}


def _link(request: web.Request, asset_id: str) -> str:
    """Sign a preview link that was never given before."""
    path = f"/files/assets/{asset_id}/{secrets.token_hex(8)}"
    return origin(request) + request.app[WORLD].links.sign(path)


async def _read_form(request: web.Request) -> tuple[dict[str, str], bytes]:
    """
    Read a multipart form up to the limit of all bodies.

    :returns: Its text fields, and the bytes of ``file``.
    :raises Refusal: If it is no form, has no file, or is too large.
    """
    parts: dict[str, bytes] = {}
    size = 0
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise ValueError("a form within a form")
            data = bytearray()
            while chunk := await part.read_chunk(_CHUNK):
                size += len(chunk)
                if size <= BODY_LIMIT:
                    data += chunk
            parts[part.name or ""] = bytes(data)
        file = parts.pop("file", None)
        fields = {name: data.decode() for name, data in parts.items()}
    except ValueError:
        raise gateway_error(400, "invalid_request", "the multipart form cannot be read") from None
    if size > BODY_LIMIT:
        raise body_too_large()
    if file is None:
        raise asset_requests.missing("file")
    return fields, file


async def preview(request: web.Request) -> web.Response:
    """Answer a preview link with the bytes of its asset, if the emulator has them. It needs no key."""
    world = request.app[WORLD]
    objection = world.links.objection(request.path, request.query)
    if objection is not None:
        return store_error(403, *objection)
    data = world.library.preview(request.match_info["id"])
    if data is None:
        return store_error(404, "NoSuchKey", "The specified key does not exist.")
    return web.Response(body=data, content_type="application/octet-stream")


def add_routes(app: web.Application) -> None:
    """Add the asset routes to the emulator's application; each is named after its action."""
    for action in ASSET_ACTIONS:
        app.router.add_post(f"/volc/asset/{action}", act, name=action)
    app.router.add_get("/files/assets/{id}/{reading}", preview, name="preview")
