"""The control route ``/_emulator/{name}``, through which tests request faults and read the counters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.routes import WORLD
from airflow_provider_seedance.emulator.world import World


async def control(request: web.Request) -> web.Response:
    """Answer a control request; 400 with the reason if its value is wrong."""
    try:
        body = await request.json() if request.can_read_body else None
        answer = _answer(request.app[WORLD], request.method, request.match_info["name"], body)
    except (ValueError, TypeError, RecursionError) as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response(answer)


def _answer(world: World, method: str, name: str, body: Any) -> Any:
    match method, name:
        case "GET", "stats":
            return world.stats()
        case "GET", "generations":
            return world.describe()
        case "GET", "requests":
            return list(world.log)
        case "GET", "assets":
            return world.library.describe_assets()
        case "GET", "asset_groups":
            return world.library.describe_groups()
        case "POST", "faults":
            world.add_fault(Fault.from_json(body))
        case "DELETE", "faults":
            world.faults.clear()
        case "POST", "asset_options":
            world.library.options = replace(world.library.options, **body)
        case "POST", "api_keys":
            world.set_api_keys(body)
        case "POST", "reset":
            world.reset()
        case "POST", "finish":
            world.finish()
        case "POST", "expire_links":
            world.expire_links()
        case _:
            raise web.HTTPNotFound
    return {}
