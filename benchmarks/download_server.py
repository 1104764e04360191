"""
The servers of download.py: the service with its storage, and an S3. Each has a process of its own.

The storage sends by ``sendfile`` from the page cache, so that it takes as little as possible of what is measured.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

#: The bucket that the S3 has.
BUCKET = "videos"
#: A signed link's query; the storage ignores it.
SIGNATURE = f"X-Tos-Date=20260427T111505Z&X-Tos-Expires=43200&X-Tos-Signature={'0' * 64}"

#: Seconds by which a slow link may catch up after being late. It does not catch up on what a stalled reader missed.
_CATCH_UP = 0.01
_FTYP = (24).to_bytes(4, "big") + b"ftypisom\0\0\2\0isommp41"
#: Version 0, a thousand units per second, a clip of five; the rest is as a player would have it, near enough.
_MVHD = bytes(12) + (1000).to_bytes(4, "big") + (5000).to_bytes(4, "big") + bytes(80)


def generation_id(size: int) -> str:
    """Return the id of the generation whose video has this many bytes; it is as long as the service's ids."""
    return f"asyntask_{size:032d}"


def link_path(size: int) -> str:
    """Return path and query of the link to a video of this many bytes."""
    return f"/files/{generation_id(size)}.mp4?{SIGNATURE}"


def serve_videos(folder: str, link: float | None, url: Connection) -> None:
    """
    Serve generations and their videos on loopback until the process is ended.

    :param folder: For the videos, which are sparse files.
    :param link: MB/s that a download gets; None for no limit.
    :param url: Receives the address once it is served.
    """
    asyncio.run(_serve_videos(Path(folder), link, url))


async def _serve_videos(folder: Path, link: float | None, url: Connection) -> None:
    from aiohttp import web

    async def generation(request: web.Request) -> web.Response:
        name = request.match_info["id"]
        task = {
            "task_id": name,
            "status": "SUCCESS",
            "progress": "100%",
            "result_url": f"http://{request.host}{link_path(int(name.removeprefix('asyntask_')))}",
        }
        return web.json_response({"code": "success", "message": "", "data": task})

    async def file(request: web.Request) -> web.StreamResponse:
        path = folder / request.match_info["name"]
        size = int(path.stem.removeprefix("asyntask_"))
        if not path.exists():
            _make_video(path, size)
        return await _send_slowly(request, path, size, link) if link else web.FileResponse(path)

    app = web.Application()
    app.router.add_get("/v1/video/generations/{id}", generation)
    app.router.add_get("/files/{name}", file)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


async def _send_slowly(request: Any, path: Path, size: int, link: float) -> Any:
    """Send a whole file of this size at a rate in MB/s."""
    from aiohttp import web

    response = web.StreamResponse(headers={"Content-Length": str(size)})
    await response.prepare(request)
    clock = asyncio.get_running_loop()
    with path.open("rb") as file, suppress(ConnectionError):  # a client that wants only the head hangs up
        due = clock.time()
        while piece := file.read(128 * 1024):
            await response.write(piece)
            due = max(due, clock.time() - _CATCH_UP) + len(piece) / (link * 1e6)
            await asyncio.sleep(due - clock.time())
    return response


def _make_video(path: Path, size: int) -> None:
    """Make a complete mp4 of this many bytes: ``mdat`` has the 64-bit size that a clip of more than 4 GiB needs."""
    moov = _box(b"moov", _box(b"mvhd", _MVHD))
    left = size - len(_FTYP) - len(moov)
    with path.open("wb") as file:
        file.write(_FTYP + moov + b"\0\0\0\1mdat" + left.to_bytes(8, "big"))
        file.truncate(size)
    with path.open("rb") as file:  # into the page cache
        while file.read(1024 * 1024):
            pass


def _box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def serve_s3(url: Connection) -> None:
    """
    Be an S3 with one bucket, which keeps all in memory, until the process is ended.

    :param url: Receives the address once it is served.
    """
    # or moto would write what is larger than 16 MB to a disk, and measure that
    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(2**40)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys: dict[str, Any] = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **keys)
    client.create_bucket(Bucket=BUCKET)
    url.send(f"http://{host}:{port}")
    threading.Event().wait()
