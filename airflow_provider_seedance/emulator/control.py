"""The control routes under ``/_emulator/``, by which tests ask for faults and read the counters."""

from __future__ import annotations

import dataclasses
import time

from aiohttp import web

from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.routes import WORLD


async def add_fault(request: web.Request) -> web.Response:
    """``POST /_emulator/faults`` with the fields of :class:`~.faults.Fault` as a JSON object."""
    try:
        request.app[WORLD].add_fault(Fault.from_json(await request.json()))
    except (ValueError, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response({})


async def clear_faults(request: web.Request) -> web.Response:
    """``DELETE /_emulator/faults``."""
    request.app[WORLD].faults.clear()
    return web.json_response({})


async def reset(request: web.Request) -> web.Response:
    """``POST /_emulator/reset``."""
    request.app[WORLD].reset()
    return web.json_response({})


async def finish(request: web.Request) -> web.Response:
    """``POST /_emulator/finish``: running generations end now."""
    request.app[WORLD].finish()
    return web.json_response({})


async def expire_links(request: web.Request) -> web.Response:
    """``POST /_emulator/expire_links``."""
    request.app[WORLD].expire_links()
    return web.json_response({})


async def set_api_keys(request: web.Request) -> web.Response:
    """``POST /_emulator/api_keys`` with a JSON list: from now on these keys are valid, and no others."""
    keys = await request.json()
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        return web.json_response({"error": "a list of keys is needed"}, status=400)
    request.app[WORLD].set_api_keys(keys)
    return web.json_response({})


async def stats(request: web.Request) -> web.Response:
    """``GET /_emulator/stats``."""
    return web.json_response(request.app[WORLD].stats())


async def generations(request: web.Request) -> web.Response:
    """``GET /_emulator/generations``."""
    return web.json_response(request.app[WORLD].describe())


async def assets(request: web.Request) -> web.Response:
    """``GET /_emulator/assets``."""
    return web.json_response(request.app[WORLD].library.describe_assets(time.time()))


async def asset_groups(request: web.Request) -> web.Response:
    """``GET /_emulator/asset_groups``."""
    return web.json_response(request.app[WORLD].library.describe_groups())


async def asset_options(request: web.Request) -> web.Response:
    """``POST /_emulator/asset_options`` with the fields of :class:`~.assets.AssetOptions` that are to change."""
    library = request.app[WORLD].library
    try:
        library.options = dataclasses.replace(library.options, **await request.json())
    except (ValueError, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response({})


async def requests(request: web.Request) -> web.Response:
    """``GET /_emulator/requests``."""
    return web.json_response(list(request.app[WORLD].log))


def add_routes(app: web.Application) -> None:
    """Add the control routes to the emulator's application."""
    app.router.add_post("/_emulator/faults", add_fault)
    app.router.add_delete("/_emulator/faults", clear_faults)
    app.router.add_post("/_emulator/reset", reset)
    app.router.add_post("/_emulator/finish", finish)
    app.router.add_post("/_emulator/expire_links", expire_links)
    app.router.add_post("/_emulator/api_keys", set_api_keys)
    app.router.add_get("/_emulator/stats", stats)
    app.router.add_get("/_emulator/generations", generations)
    app.router.add_get("/_emulator/assets", assets)
    app.router.add_get("/_emulator/asset_groups", asset_groups)
    app.router.add_post("/_emulator/asset_options", asset_options)
    app.router.add_get("/_emulator/requests", requests)
