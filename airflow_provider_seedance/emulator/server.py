"""The web application: its routes, the counting of requests, and the faults that affect them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import socket
import ssl
import struct
import termios

from aiohttp import web
from aiohttp.typedefs import Handler

from airflow_provider_seedance.emulator import asset_routes, routes
from airflow_provider_seedance.emulator.control import control
from airflow_provider_seedance.emulator.envelopes import Refusal
from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.routes import WORLD
from airflow_provider_seedance.emulator.world import World

#: Seconds that a stopping server leaves to requests under way.
_SHUTDOWN_SECONDS = 0.2
#: Seconds to wait for a client to receive what was sent before a reset.
_FLUSH_SECONDS = 5.0


def require_codecs() -> None:
    """
    Check that the libraries that make the clips are installed.

    :raises RuntimeError: If PyAV or Pillow is missing; the message says how to install them.
    """
    missing = [title for module, title in (("av", "PyAV"), ("PIL", "Pillow")) if not importlib.util.find_spec(module)]
    if missing:
        remedy = "pip install 'airflow-provider-seedance[emulator]'"
        raise RuntimeError(f"The Seedance emulator needs {' and '.join(missing)}: {remedy}")


async def serve(
    world: World, host: str, port: int, ssl_context: ssl.SSLContext | None = None
) -> tuple[web.AppRunner, str]:
    """
    Start to listen.

    :param world: The state to serve.
    :param host: Address to listen on.
    :param port: 0 chooses a free one.
    :param ssl_context: Serves https instead of http.
    :returns: The runner, whose ``cleanup()`` ends the server, and the base URL.
    :raises OSError: If the port is taken, or the host is not an address of this machine.
    """
    app = web.Application(middlewares=[_gateway])
    app[WORLD] = world
    app.router.add_post("/v1/video/generations", routes.create, name="create")
    app.router.add_get("/v1/video/generations/{id}", routes.query, name="query")
    app.router.add_get("/v1/models", routes.models, name="models")
    app.router.add_get(f"/files/{{id}}/{{name:{'|'.join(routes.FILES)}}}", routes.download, name="download")
    asset_routes.add_routes(app)
    app.router.add_route("*", "/_emulator/{name}", control, name="control")
    app.router.add_route("*", "/{path:.*}", routes.unknown, name="unknown")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
    except BaseException:
        await runner.cleanup()
        raise
    shown = _reachable(host)
    return runner, f"{'https' if ssl_context else 'http'}://{shown}:{runner.addresses[0][1]}"


def _reachable(host: str) -> str:
    """Return a host as it stands in an address; one that means all of this machine's is no address to call."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


@web.middleware
async def _gateway(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count a request and serve it, as a fault wants it if one affects it."""
    resource = request.match_info.route.resource
    route = str(resource.name) if resource is not None else "unknown"
    if route == "control":
        return await handler(request)
    world = request.app[WORLD]
    world.arrived(route, request.method, request.path, request.headers)
    fault = world.faults.take(route)
    if fault is None:
        return await _served(request, handler)
    return await _faulty(fault, request, handler)


async def _served(request: web.Request, handler: Handler, envelope: str | None = None) -> web.StreamResponse:
    """Return a route's response, which may be a refusal, in this envelope or its usual one."""
    try:
        return await handler(request)
    except Refusal as refusal:
        body = refusal.body if envelope is None else refusal.within(envelope)
        return web.json_response(body, status=refusal.status)


async def _faulty(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve a request that a fault affects."""
    if fault.drop == "before_body":
        return _reset(request)
    if fault.delay is not None:
        await asyncio.sleep(fault.delay)
        return await _served(request, handler)
    if fault.envelope is not None:
        return await _served(request, handler, fault.envelope)
    answer: web.StreamResponse | None = None
    if fault.accepted:
        answer = await _served(request, handler)
    else:
        with contextlib.suppress(Refusal):  # the fault is the response even if the body exceeds the limit
            await routes.read_body(request)
    if fault.status is not None:
        return _canned(fault, fault.status)
    if fault.hang is not None:
        await asyncio.sleep(fault.hang)
    if fault.drop == "mid_answer" and isinstance(answer, web.Response):
        return await _cut(request, answer, fault.after_bytes)
    return answer if fault.hang is not None and answer is not None else _reset(request)


def _canned(fault: Fault, status: int) -> web.Response:
    headers = dict(fault.headers or {})
    if fault.body is None:
        return web.json_response(fault.json, status=status, headers=headers)
    headers.setdefault("Content-Type", "text/html; charset=utf-8")
    return web.Response(body=fault.body.encode(), status=status, headers=headers)


def _reset(request: web.Request) -> web.Response:
    """Close the connection with a TCP reset; the returned response goes nowhere."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _cut(request: web.Request, answer: web.Response, after_bytes: int | None) -> web.StreamResponse:
    """Send the head and a part of a response's body, then reset the connection."""
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
    """Wait until the client's side has received what was written, because a reset would discard the rest."""
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
