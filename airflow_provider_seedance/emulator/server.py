"""The web application: routes, the counting of requests, and faults, which strike before or instead of a route."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import socket
import ssl
import struct
import termios
from collections.abc import Awaitable, Callable

from aiohttp import web

from airflow_provider_seedance.emulator import asset_routes, control, routes
from airflow_provider_seedance.emulator.envelopes import Refusal
from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.routes import WORLD
from airflow_provider_seedance.emulator.world import World

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: seconds that a stopping server gives to requests under way
_SHUTDOWN_SECONDS = 0.2
_FLUSH_SECONDS = 5.0
_REMEDY = "pip install 'airflow-provider-seedance[emulator]'"


def require_codecs() -> None:
    """Check that what makes the clips is installed.

    :raises RuntimeError: PyAV or Pillow is missing; the message names the remedy
    """
    missing = [title for module, title in (("av", "PyAV"), ("PIL", "Pillow")) if not importlib.util.find_spec(module)]
    if missing:
        raise RuntimeError(f"The Seedance emulator needs {' and '.join(missing)}: {_REMEDY}")


def build_app(world: World) -> web.Application:
    """Return the application that serves a world."""
    app = web.Application(middlewares=[_gateway])
    app[WORLD] = world
    router = app.router
    router.add_post("/v1/video/generations", routes.create, name="create")
    router.add_get("/v1/video/generations/{id}", routes.query, name="query")
    router.add_get("/v1/models", routes.models, name="models")
    files = r"/files/{id}/{name:video\.mp4|original\.mp4|last_frame\.png}"
    router.add_get(files, routes.download, name="download")
    asset_routes.add_routes(app)
    control.add_routes(app)
    return app


async def serve(
    world: World, host: str, port: int, ssl_context: ssl.SSLContext | None = None
) -> tuple[web.AppRunner, str]:
    """Start to listen.

    :param port: 0 takes any free one
    :returns: the runner, whose ``cleanup()`` ends the server, and the base URL
    :raises OSError: the port is taken, or the host is not of this machine
    """
    runner = web.AppRunner(build_app(world), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
    except BaseException:
        await runner.cleanup()
        raise
    shown = f"[{host}]" if ":" in host else host
    return runner, f"{'https' if ssl_context else 'http'}://{shown}:{runner.addresses[0][1]}"


@web.middleware
async def _gateway(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Count a request, let a fault strike it, and turn refusals into answers."""
    resource = request.match_info.route.resource
    route = (resource.name if resource is not None else None) or "unknown"
    if request.path.startswith("/_emulator/"):
        return await handler(request)
    if route == "unknown":
        handler = routes.unknown
    world = request.app[WORLD]
    world.arrived(route, request.method, request.path, request.headers)
    fault = world.faults.strike(route)
    if fault is None:
        return await _served(request, handler)
    return await _struck(fault, request, handler)


async def _served(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Return a route's answer, a refusal being one, too."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return web.json_response(refusal.body, status=refusal.status)


async def _struck(fault: Fault, request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Serve a request that a fault strikes."""
    if fault.drop == "before_body":
        return _reset(request)
    if fault.delay is not None:
        await asyncio.sleep(fault.delay)
        return await _served(request, handler)
    answer: web.StreamResponse | None = None
    if fault.accepted:
        answer = await _served(request, handler)
    else:
        with contextlib.suppress(Refusal):  # a body over the limit: the fault is the answer all the same
            await routes.read_body(request)
    if fault.status is not None:
        return _canned(fault)
    if fault.hang is not None:
        await asyncio.sleep(fault.hang)
    if fault.drop == "mid_answer" and isinstance(answer, web.Response):
        return await _cut(request, answer, fault.after_bytes)
    return answer if fault.hang is not None and answer is not None else _reset(request)


def _canned(fault: Fault) -> web.Response:
    headers = dict(fault.headers or {})
    status = fault.status or 200
    if fault.body is None:
        return web.json_response(fault.json, status=status, headers=headers)
    headers.setdefault("Content-Type", "text/html; charset=utf-8")
    return web.Response(body=fault.body.encode(), status=status, headers=headers)


def _reset(request: web.Request) -> web.Response:
    """Close the connection with a TCP reset; the answer that is returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _cut(request: web.Request, answer: web.Response, after_bytes: int | None) -> web.StreamResponse:
    """Send the head and a part of an answer's body, then reset the connection."""
    body = answer.body if isinstance(answer.body, bytes | bytearray) else b""
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
    stream = web.StreamResponse(status=answer.status, headers=headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    await stream.write(body[: len(body) // 2 if after_bytes is None else after_bytes])
    await _delivered(request)
    _reset(request)
    return stream


async def _delivered(request: web.Request) -> None:
    """Wait until the client's side has what was written, since a reset would take the rest back."""
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport is not None else None
    if transport is None or connection is None:
        return
    deadline = asyncio.get_running_loop().time() + _FLUSH_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        if transport.get_write_buffer_size() == 0 and struct.unpack("i", queued)[0] == 0:
            return
        await asyncio.sleep(0.002)
