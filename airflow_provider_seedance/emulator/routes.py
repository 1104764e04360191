"""The routes of the service itself: create, query, model list, download."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import time
from typing import Any, NoReturn

from aiohttp import web

from airflow_provider_seedance.emulator import catalogue, clips, rules
from airflow_provider_seedance.emulator.assets import token_of
from airflow_provider_seedance.emulator.envelopes import gateway_error, openai_error
from airflow_provider_seedance.emulator.generations import new_request_id
from airflow_provider_seedance.emulator.world import World

WORLD = web.AppKey("world", World)

#: larger bodies hold media, whose check (Base64, image and audio headers) would hold up the event loop
_CHECKED_IN_LOOP = 64 * 1024


def authorize(request: web.Request) -> str:
    """Return the key of a request, and refuse one without a valid bearer key (contract 3.1)."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or key.strip() not in request.app[WORLD].api_keys:
        raise openai_error(401, "The provided API key is invalid.", kind="authentication_error", code="invalid_api_key")
    return key.strip()


async def read_body(request: web.Request) -> bytes:
    """Read a body up to the limit; beyond it the rest is read and dropped, so that the client sees the answer."""
    limit = request.app[WORLD].settings.body_limit
    data = bytearray()
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= limit:
            data += chunk
    if size > limit:
        raise gateway_error(413, "read_request_body_failed", "http: request body too large")
    return bytes(data)


def _reject_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def parse_json(data: bytes) -> Any:
    """Read a JSON body."""
    try:
        return json.loads(data, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise gateway_error(400, "invalid_json", "the request body is not valid JSON") from None


async def create(request: web.Request) -> web.Response:
    """``POST /v1/video/generations`` (contract 1)."""
    world = request.app[WORLD]
    token = token_of(authorize(request))
    data = await read_body(request)
    body = parse_json(data)
    words = world.settings.moderate_input_words
    now = time.time()

    def asset(asset_id: str, kind: str) -> rules.Stored:
        return world.library.use(token, asset_id, kind, now)

    if len(data) > _CHECKED_IN_LOOP:
        order = await asyncio.to_thread(rules.check, body, words, asset)
    else:
        order = rules.check(body, words, asset)
    generation = world.add(order, body)
    return web.json_response(
        {
            "id": generation.id,
            "task_id": generation.id,
            "object": "video",
            "model": order.model,
            "status": "queued",
            "progress": 0,
            "created_at": int(generation.created),
        }
    )


async def query(request: web.Request) -> web.Response:
    """``GET /v1/video/generations/{id}`` (contract 2)."""
    world = request.app[WORLD]
    authorize(request)
    generation = world.generations.get(request.match_info["id"])
    now = time.time()
    if generation is None or not generation.known(now):
        raise gateway_error(400, "task_not_exist", "task_not_exist")
    generation.queries += 1
    origin = f"{request.scheme}://{request.host}"

    @functools.cache
    def link(name: str) -> str:
        return origin + world.links.sign(f"/files/{generation.id}/{name}")

    answer = generation.answer(now, link)
    world.keep(generation)
    return web.json_response(answer)


async def models(request: web.Request) -> web.Response:
    """``GET /v1/models``, which costs nothing."""
    authorize(request)
    data = [{"id": name, "object": "model", "owned_by": "custom"} for name in catalogue.MODELS]
    return web.json_response({"success": True, "object": "list", "data": data})


def store_error(status: int, code: str, message: str) -> web.Response:
    """Return an error as the object store behind the signed links answers it."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")


async def download(request: web.Request) -> web.Response:
    """``GET`` or ``HEAD`` of a signed link; no key is asked for, Range is honoured."""
    world = request.app[WORLD]
    objection = world.links.objection(request.path, request.query)
    if objection is not None:
        return store_error(403, *objection)
    generation = world.generations.get(request.match_info["id"])
    if generation is None:
        return store_error(404, "NoSuchKey", "The specified key does not exist.")
    generation.downloads += 1
    world.keep(generation)
    name = request.match_info["name"]
    if name == "last_frame.png":
        data = await world.studio.make(clips.last_frame, generation.clip)
    else:
        spec = generation.original_clip if name == "original.mp4" else generation.clip
        data = clips.stamped(await world.studio.make(clips.render, spec), generation.id)
    return _file_answer(request, data, "image/png" if name.endswith(".png") else "video/mp4")


def _file_answer(request: web.Request, data: bytes, content_type: str) -> web.Response:
    """Answer with a whole file, a part of it (206), or 416."""
    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    try:
        wanted = request.http_range
    except ValueError:  # several ranges or another unit: a server may answer with the whole
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
    """Any other URL."""
    message = f"Invalid URL ({request.method} {request.path}) (request id: {new_request_id(time.time())})"
    raise openai_error(404, message, kind="invalid_request_error")
