"""``seedance-emulator`` and ``python -m airflow_provider_seedance.emulator``: the emulator as a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import signal
import ssl
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.instance import Emulator

_FAULT_EXAMPLE = '\'{"route": "create", "status": 429, "headers": {"Retry-After": "2"}}\''


def _parser() -> argparse.ArgumentParser:
    """Return the parser; options left out are those of :class:`Emulator`, whose arguments they are named after."""
    parser = argparse.ArgumentParser(
        prog="seedance-emulator",
        description="A local stand-in for the Seedance 2.0 service: same routes, real mp4s, no cost.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8765, help="port to listen on; 0 chooses a free one (default: %(default)s)")
    add("--speed", type=float, help="times faster than the service; a generation takes 90 s / SPEED (default: 1)")
    add("--api-key", action="append", dest="api_keys", metavar="KEY", help="a valid key (default: sk-emulator)")
    add("--link-ttl", type=int, metavar="SECONDS", help="life of a download link in real time (default: 43200)")
    for stage, effect in (("input", "are refused when the generation is created"), ("output", "fail at the end")):
        add(
            f"--moderate-{stage}-word",
            action="append",
            dest=f"moderate_{stage}_words",
            metavar="WORD",
            help=f"prompts that contain it {effect} (default: emulator:moderate-{stage})",
        )
    add("--fault", action="append", default=[], metavar="JSON", help=f"a fault, for example {_FAULT_EXAMPLE}")
    add("--asset-shape", choices=("flat", "wrapped"), help="wrapped: asset routes respond under Result (default: flat)")
    add(
        "--unknown-assets",
        choices=("refuse", "accept"),
        help="what happens to a generation that names an unknown asset (default: refuse)",
    )
    add("--state", type=Path, metavar="FILE", help="keep generations, assets, counters, keys and links in this file")
    add("--certfile", default=None, help="serve https with this certificate (PEM)")
    add("--keyfile", default=None, help="its private key (PEM), if it is in another file")
    parser.epilog = "--api-key, --moderate-input-word, --moderate-output-word and --fault may be repeated."
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the emulator until SIGINT or SIGTERM.

    :param arguments: Command line without the program's name; that of the process by default.
    :returns: The exit status: 0 after a signal, 1 if it cannot start.
    """
    options = vars(_parser().parse_args(arguments))
    certfile, keyfile = options.pop("certfile"), options.pop("keyfile")
    try:
        faults = [Fault.from_json(json.loads(text)) for text in options.pop("fault")]
        context = None
        if certfile:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certfile, keyfile)
        with Emulator(**options, ssl_context=context) as emulator:
            for fault in faults:
                emulator.fault(**asdict(fault))
            _wait_for_signal(emulator)
    except (RuntimeError, ValueError, OverflowError, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            reason = (
                f"port {options['port']} of {options['host']} is taken; choose another with --port (0: any free one)"
            )
        print(f"seedance-emulator: {reason}", file=sys.stderr)
        return 1
    return 0


def _wait_for_signal(emulator: Emulator) -> None:
    """Print where the emulator listens, and wait for SIGINT or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        print(f"listening on {emulator.url}", flush=True)
        print(f"export AIRFLOW_CONN_SEEDANCE_DEFAULT='{emulator.connection_json()}'", flush=True)
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
