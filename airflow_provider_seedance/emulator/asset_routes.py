"""The asset routes of the service: ``POST /volc/asset/<Action>`` (contract 4), and the preview of an asset."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import BodyPartReader, web

from airflow_provider_seedance.emulator import asset_media, asset_requests
from airflow_provider_seedance.emulator.asset_media import BadMedia, Facts
from airflow_provider_seedance.emulator.asset_requests import Source
from airflow_provider_seedance.emulator.assets import Asset, token_of
from airflow_provider_seedance.emulator.envelopes import gateway_error
from airflow_provider_seedance.emulator.generations import new_request_id
from airflow_provider_seedance.emulator.routes import WORLD, authorize, parse_json, read_body, store_error
from airflow_provider_seedance.emulator.world import World

_CHUNK = 64 * 1024


class _Call:
    """One request of an asset action: whose it is, when it came, and how it is answered."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.world: World = request.app[WORLD]
        self.token = token_of(authorize(request))
        self.library = self.world.library

    async def body(self) -> dict[str, Any]:
        """Return the JSON object that was sent."""
        body = parse_json(await read_body(self.request))
        if not isinstance(body, dict):
            raise gateway_error(400, "invalid_json", "json: the request body must be an object")
        return body

    def answer(self, result: dict[str, Any]) -> web.Response:
        """Return an answer in the shape that is set."""
        if self.library.options.shape == "flat":
            return web.json_response(result)
        action = self.request.path.rpartition("/")[2]
        metadata = {"RequestId": new_request_id(time.time()), "Action": action, "Version": "2024-01-01"}
        metadata |= {"Service": "ark", "Region": "cn-beijing"}
        return web.json_response({"ResponseMetadata": metadata, "Result": result})

    def link(self, asset: Asset) -> str:
        """Sign a preview link that was never given before."""
        path = f"/files/assets/{asset.id}/{secrets.token_hex(8)}"
        return f"{self.request.scheme}://{self.request.host}{self.world.links.sign(path)}"


async def create_group(request: web.Request) -> web.Response:
    """``CreateAssetGroup`` (contract 4.1)."""
    call = _Call(request)
    name, description = asset_requests.group_fields(await call.body())
    return call.answer({"Id": call.library.create_group(call.token, name, description, time.time()).id})


async def get_group(request: web.Request) -> web.Response:
    """``GetAssetGroup`` (contract 4.6)."""
    call = _Call(request)
    group_id = asset_requests.needed(await call.body(), "Id")
    return call.answer(call.library.group(call.token, group_id, time.time()).told())


async def list_groups(request: web.Request) -> web.Response:
    """``ListAssetGroups`` (contract 4.5)."""
    call = _Call(request)
    return call.answer(call.library.list_groups(call.token, asset_requests.query(await call.body())))


async def update_group(request: web.Request) -> web.Response:
    """``UpdateAssetGroup`` (contract 4.8)."""
    call = _Call(request)
    body = await call.body()
    group_id = asset_requests.needed(body, "Id")
    changes = asset_requests.changes(body, "Name", "Description")
    call.library.update_group(call.token, group_id, changes, time.time())
    return call.answer({"Id": group_id})


async def delete_group(request: web.Request) -> web.Response:
    """``DeleteAssetGroup`` (contract 4.9), whose answer the contract does not show."""
    call = _Call(request)
    group_id = asset_requests.needed(await call.body(), "Id")
    call.library.delete_group(call.token, group_id, time.time())
    return call.answer({})


async def create_asset(request: web.Request) -> web.Response:
    """``CreateAsset`` (contract 4.2), as JSON or as a form."""
    call = _Call(request)
    multipart = request.content_type == "multipart/form-data"
    if multipart:
        fields, data = await _form(request)
        new = asset_requests.asset_fields(fields, multipart=True)
        if data is None:
            raise asset_requests.missing("file")
        source = Source(data=data)
    else:
        body = await call.body()
        new = asset_requests.asset_fields(body, multipart=False)
        url = asset_requests.needed(body, "URL")
        source = await asyncio.to_thread(asset_requests.source, url)
    judged = await asyncio.to_thread(_judge, source, new.type)
    asset = call.library.create_asset(call.token, new, source, judged, time.time())
    return call.answer({"Id": asset.id})


def _judge(source: Source, asset_type: str) -> Facts | BadMedia:
    """Judge the bytes of a new asset; what lies behind a URL is not fetched and counts as good."""
    if source.data is None:
        return Facts()
    try:
        return asset_media.inspect(source.data, asset_type, source.declared)
    except BadMedia as finding:
        return finding


async def _form(request: web.Request) -> tuple[dict[str, str], bytes | None]:
    """Read a multipart form up to the limit of all bodies.

    :returns: its text fields, and the bytes of ``file``
    :raises Refusal: no form, or too large
    """
    limit = request.app[WORLD].settings.body_limit
    fields: dict[str, str] = {}
    file: bytes | None = None
    size = 0
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise ValueError("a form has no forms in it")
            data = bytearray()
            while chunk := await part.read_chunk(_CHUNK):
                size += len(chunk)
                if size <= limit:
                    data += chunk
            if part.name == "file":
                file = bytes(data)
            elif part.name:
                fields[part.name] = data.decode()
    except ValueError:
        raise gateway_error(400, "invalid_request", "the multipart form cannot be read") from None
    if size > limit:
        raise gateway_error(413, "read_request_body_failed", "http: request body too large")
    return fields, file


async def get_asset(request: web.Request) -> web.Response:
    """``GetAsset`` (contract 4.3)."""
    call = _Call(request)
    asset_id = asset_requests.needed(await call.body(), "Id")
    now = time.time()
    return call.answer(call.library.asset(call.token, asset_id, now).told(now, call.link))


async def list_assets(request: web.Request) -> web.Response:
    """``ListAssets`` (contract 4.4)."""
    call = _Call(request)
    query = asset_requests.query(await call.body())
    return call.answer(call.library.list_assets(call.token, query, time.time(), call.link))


async def update_asset(request: web.Request) -> web.Response:
    """``UpdateAsset`` (contract 4.7): it renames, and does nothing else."""
    call = _Call(request)
    body = await call.body()
    asset_id = asset_requests.needed(body, "Id")
    name = asset_requests.changes(body, "Name")["Name"]
    call.library.rename_asset(call.token, asset_id, name, time.time())
    return call.answer({"Id": asset_id})


async def delete_asset(request: web.Request) -> web.Response:
    """``DeleteAsset`` (contract 4.9)."""
    call = _Call(request)
    asset_id = asset_requests.needed(await call.body(), "Id")
    call.library.delete_asset(call.token, asset_id, time.time())
    return call.answer({"Id": asset_id, "Deleted": True})


async def preview(request: web.Request) -> web.Response:
    """What a preview link leads to: the bytes of an asset, where the emulator has them; no key is needed."""
    world = request.app[WORLD]
    objection = world.links.objection(request.path, request.query)
    if objection is not None:
        return store_error(403, *objection)
    asset = world.library.assets.get(request.match_info["id"])
    if asset is None or asset.deleted or asset.data is None:
        return store_error(404, "NoSuchKey", "The specified key does not exist.")
    return web.Response(body=asset.data, content_type="application/octet-stream")


_HANDLERS: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
    "CreateAssetGroup": create_group,
    "GetAssetGroup": get_group,
    "ListAssetGroups": list_groups,
    "UpdateAssetGroup": update_group,
    "DeleteAssetGroup": delete_group,
    "CreateAsset": create_asset,
    "GetAsset": get_asset,
    "ListAssets": list_assets,
    "UpdateAsset": update_asset,
    "DeleteAsset": delete_asset,
}


def add_routes(app: web.Application) -> None:
    """Add the asset routes to the emulator's application; each is named by its action."""
    for action, handler in _HANDLERS.items():
        app.router.add_post(f"/volc/asset/{action}", handler, name=action)
    app.router.add_get("/files/assets/{id}/{reading}", preview, name="preview")
