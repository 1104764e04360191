"""The video routes of the service: create, query, model list, download."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from typing import Any, NoReturn

from aiohttp import web

from airflow_provider_seedance.emulator import catalog, clips, rules
from airflow_provider_seedance.emulator.asset_library import KeyAssets
from airflow_provider_seedance.emulator.assets import token_of
from airflow_provider_seedance.emulator.envelopes import Refusal, gateway_error, new_request_id, openai_error
from airflow_provider_seedance.emulator.world import World

WORLD = web.AppKey("world", World)

#: Bytes of the largest request body.
BODY_LIMIT = 64 * 1024 * 1024
#: Files of a generation, which signed links lead to.
FILES = ("video.mp4", "original.mp4", "last_frame.png")


def authorize(request: web.Request) -> str:
    """
    Check the bearer key of a request.

    :param request: The request.
    :returns: The key.
    :raises Refusal: If there is none, or it is not valid.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or key.strip() not in request.app[WORLD].api_keys:
        raise openai_error(401, "The provided API key is invalid.", kind="authentication_error", code="invalid_api_key")
    return key.strip()


def body_too_large() -> Refusal:
    """Return the refusal of a body beyond :data:`BODY_LIMIT`."""
    return gateway_error(413, "read_request_body_failed", "http: request body too large")


async def read_body(request: web.Request) -> bytes:
    """
    Read a body; what exceeds the limit is read and dropped, so that the client sees the response.

    :param request: The request.
    :returns: The body.
    :raises Refusal: If it is too large.
    """
    data = bytearray()
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= BODY_LIMIT:
            data += chunk
    if size > BODY_LIMIT:
        raise body_too_large()
    return bytes(data)


def _reject_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def parse_json(data: bytes) -> Any:
    """
    Decode a JSON body.

    :param data: The body.
    :returns: The decoded JSON.
    :raises Refusal: If it is not JSON.
    """
    try:
        return json.loads(data, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise gateway_error(400, "invalid_json", "the request body is not valid JSON") from None


def origin(request: web.Request) -> str:
    """Return scheme, host and port under which a client reached the emulator."""
    return f"{request.scheme}://{request.host}"


async def create(request: web.Request) -> web.Response:
    """Answer ``POST /v1/video/generations`` (contract.md#create-response)."""
    world = request.app[WORLD]
    assets = KeyAssets(world.library, token_of(authorize(request)))
    data = await read_body(request)
    body = parse_json(data)
    words = world.settings.moderate_input_words
    order = await asyncio.to_thread(rules.check, body, words, assets)  # checking media would block the event loop
    generation = world.add(order, body, len(data))
    return web.json_response(generation.answer_create())


async def query(request: web.Request) -> web.Response:
    """Answer ``GET /v1/video/generations/{id}`` (contract.md#query-response)."""
    world = request.app[WORLD]
    authorize(request)
    generation = world.generations.get(request.match_info["id"])
    now = time.time()
    if generation is None or not generation.known(now):
        raise gateway_error(400, "task_not_exist", "task_not_exist")
    generation.queries += 1
    links = {name: origin(request) + world.links.sign(f"/files/{generation.id}/{name}") for name in FILES}
    answer = generation.answer(now, links)
    world.memory.keep(generation)
    return web.json_response(answer)


async def models(request: web.Request) -> web.Response:
    """Answer ``GET /v1/models``, which costs nothing."""
    authorize(request)
    data = [{"id": name, "object": "model", "owned_by": "custom"} for name in catalog.MODELS]
    return web.json_response({"success": True, "object": "list", "data": data})


def store_error(status: int, code: str, message: str) -> web.Response:
    """Return an error in the form of the object store behind the signed links."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")


async def download(request: web.Request) -> web.Response:
    """Answer ``GET`` or ``HEAD`` of a signed link. It needs no key and supports ranges."""
    world = request.app[WORLD]
    objection = world.links.objection(request.path, request.query)
    if objection is not None:
        return store_error(403, *objection)
    generation = world.generations.get(request.match_info["id"])
    if generation is None:
        return store_error(404, "NoSuchKey", "The specified key does not exist.")
    generation.downloads += 1
    world.memory.keep(generation)
    name = request.match_info["name"]
    if name == "last_frame.png":
        data = await world.studio.make(generation.clip(generation.order.resolution), still=True)
        return _file_answer(request, data, "image/png")
    original = name == "original.mp4"
    spec = generation.clip(generation.upstream_resolution if original else generation.order.resolution)
    data = clips.stamped(await world.studio.make(spec), generation.id)
    return _file_answer(request, data, "video/mp4")


def _file_answer(request: web.Request, data: bytes, content_type: str) -> web.Response:
    """Respond with a whole file, a part of it (206), or 416."""
    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    try:
        wanted = request.http_range
    except ValueError:  # several ranges or another unit: a server may send the whole file
        wanted = slice(None)
    if request.headers.get("If-Range", etag) != etag or (wanted.start is None and wanted.stop is None):
        return web.Response(body=data, headers=headers, content_type=content_type)
    start, stop, _ = wanted.indices(len(data))
    if start >= stop:
        headers["Content-Range"] = f"bytes */{len(data)}"
        return web.Response(status=416, headers=headers, content_type=content_type)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(status=206, body=data[start:stop], headers=headers, content_type=content_type)


async def unknown(request: web.Request) -> web.Response:
    """Refuse any other URL."""
    message = f"Invalid URL ({request.method} {request.path}) (request id: {new_request_id()})"
    raise openai_error(404, message, kind="invalid_request_error")
