"""``seedance-emulator`` and ``python -m airflow_provider_seedance.emulator``: the emulator as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.emulator.assets import SHAPES, UNKNOWN_ASSETS, AssetOptions

if TYPE_CHECKING:
    from airflow_provider_seedance.emulator.faults import Fault
    from airflow_provider_seedance.emulator.world import Settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seedance-emulator",
        description="A local stand-in for the Seedance 2.0 service: same routes, real mp4s, no cost.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="0 takes any free one (default: %(default)s)")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="times faster than the service; a generation takes 90 s / SPEED"
    )
    parser.add_argument(
        "--api-key", action="append", metavar="KEY", help="a valid key, may be repeated (default: sk-emulator)"
    )
    parser.add_argument(
        "--link-ttl", type=int, default=12 * 3600, metavar="SECONDS", help="life of a download link, in real time"
    )
    parser.add_argument(
        "--moderate-input-word", action="append", metavar="WORD", help="prompts with it are refused at create"
    )
    parser.add_argument(
        "--moderate-output-word", action="append", metavar="WORD", help="prompts with it fail at the end"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help='a fault, may be repeated, e.g. \'{"route": "create", "status": 429, "headers": {"Retry-After": "2"}}\'',
    )
    parser.add_argument(
        "--asset-shape",
        choices=SHAPES,
        default="flat",
        help="asset routes answer flat or under Result (default: %(default)s)",
    )
    parser.add_argument(
        "--unknown-assets",
        choices=UNKNOWN_ASSETS,
        default="refuse",
        help="what a generation that names an asset that is not there gets (default: %(default)s)",
    )
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keep generations, assets, counters, keys and links in it"
    )
    parser.add_argument("--certfile", help="serve https with this certificate (PEM)")
    parser.add_argument("--keyfile", help="its private key (PEM), where it is not in the same file")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    from airflow_provider_seedance.emulator.world import Settings

    given: dict[str, list[str] | None] = {
        "api_keys": options.api_key,
        "moderate_input_words": options.moderate_input_word,
        "moderate_output_words": options.moderate_output_word,
    }
    lists: dict[str, Any] = {name: tuple(words) for name, words in given.items() if words}
    assets = AssetOptions(options.asset_shape, options.unknown_assets)
    return Settings(speed=options.speed, link_ttl=options.link_ttl, state=options.state, assets=assets, **lists)


async def _run(
    settings: Settings, faults: Sequence[Fault], host: str, port: int, ssl_context: ssl.SSLContext | None
) -> None:
    from airflow_provider_seedance.emulator.instance import EmulatorControl
    from airflow_provider_seedance.emulator.server import serve
    from airflow_provider_seedance.emulator.world import World

    world = World(settings)
    for fault in faults:
        world.add_fault(fault)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner, url = await serve(world, host, port, ssl_context)
    try:
        control = EmulatorControl(url, settings.api_keys[0])
        print(f"listening on {url}", flush=True)
        print(f"export AIRFLOW_CONN_SEEDANCE_DEFAULT='{control.connection_json()}'", flush=True)
        await stopping.wait()
    finally:
        await runner.cleanup()
        world.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until SIGINT or SIGTERM.

    :param arguments: command line without the program's name; that of the process by default
    :returns: the exit status: 0 after a signal, 1 where it cannot start
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        from airflow_provider_seedance.emulator.faults import Fault
        from airflow_provider_seedance.emulator.server import require_codecs

        require_codecs()
        settings = _settings(options)
        faults = [Fault.from_json(json.loads(text)) for text in options.fault]
        context = None
        if options.certfile:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(options.certfile, options.keyfile)
        asyncio.run(_run(settings, faults, options.host, options.port, context))
    except (RuntimeError, ValueError, OverflowError, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            reason = f"port {options.port} of {options.host} is taken; choose another with --port (0: any free one)"
        print(f"seedance-emulator: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
