"""
Measure what waiting costs a triggerer: this provider, a client written by hand, dbt Cloud's trigger and http's.

    python -m benchmarks.poll_cost            # 1000 generations, each contestant three times: about 12 minutes
    python -m benchmarks.poll_cost --scale    # 10000 generations of this provider at 15 s
    python -m benchmarks.poll_cost --only ours,raw --repeat 1 --json

Every measurement has a fresh process for the event loop and another for a lean TLS server on loopback. It needs the
dependency group ``bench`` and about two free cores. It prints medians and whether the targets were met, and exits 0
either way: timing is not a test.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks.poll_clients import CONTESTANTS
from benchmarks.poll_measure import Figures, Plan, measure
from benchmarks.poll_server import Board, serve

SCALE_GENERATIONS = 10_000
SCALE_INTERVAL = 15.0
DEFAULT_CONTESTANTS = "ours,raw,dbt-cloud,http-event"

Results = Mapping[str, list[Figures]]

#: Title, format and attribute of each column. CPU at the end is in cores.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("CPU ms/poll", ".3f", "cpu_ms"),
    ("conn/poll", ".3f", "connections"),
    ("TLS/poll", ".3f", "handshakes"),
    ("lag p99 ms", ".1f", "lag_p99_ms"),
    ("lag max", ".0f", "lag_max_ms"),
    ("KB/gen", ".1f", "kb_per_generation"),
    ("done>event ms", ".2f", "latency_ms"),
    ("p99", ".1f", "latency_p99_ms"),
    ("made/due", ".3f", "kept_up"),
    ("loop CPU", ".2f", "loop_load"),
    ("server CPU", ".2f", "server_load"),
    ("others' CPU", ".2f", "others_load"),
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a target was met; ``met`` is None if the run did not measure it."""

    wanted: str
    measured: str
    met: bool | None


def run_once(plan: Plan) -> Figures:
    """Measure in two fresh processes."""
    import trustme

    context = multiprocessing.get_context("spawn")
    board = Board(context, plan.generations + 1)
    with tempfile.TemporaryDirectory(prefix="poll-cost-") as scratch:
        authority = trustme.CA()
        ca_file, certificate = Path(scratch, "ca.pem"), Path(scratch, "server.pem")
        authority.cert_pem.write_to_path(ca_file)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        port_here, port_there = context.Pipe(duplex=False)
        server = context.Process(target=serve, args=(board, str(certificate), port_there), daemon=True)
        server.start()
        try:
            port_there.close()
            port = port_here.recv()
            figures_here, figures_there = context.Pipe(duplex=False)
            client = context.Process(
                target=measure,
                args=(plan, board, server.pid, port, str(ca_file), scratch, figures_there),
            )
            client.start()
            figures_there.close()
            try:
                figures: Figures = figures_here.recv()
            except EOFError:
                sys.exit(f"The measurement of {plan.contestant} failed; its traceback is above.")
            client.join()
            return figures
        finally:
            server.terminate()
            server.join()


def median(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    columns = (field.name for field in dataclasses.fields(Figures))
    return Figures(**{name: statistics.median(getattr(run, name) for run in runs) for name in columns})


def judge(results: Results) -> Iterator[Verdict]:
    """Compare the medians with the targets at 1000 generations."""
    medians = {name: median(runs) for name, runs in results.items()}
    ours = medians.get("ours")

    def against(
        other: str, ratio: Callable[[float, float], float], met: Callable[[float], bool], wanted: str
    ) -> Verdict:
        if ours is None or other not in medians:
            return Verdict(wanted, "not measured", None)
        value = ratio(ours.cpu_ms, medians[other].cpu_ms)
        return Verdict(wanted, f"{value:.2f}", met(value))

    yield against(
        "dbt-cloud", lambda a, b: b / a, lambda x: x >= 5, "CPU per poll: at least 5 times less than dbt-cloud"
    )
    yield against("raw", lambda a, b: a / b, lambda x: x <= 2, "CPU per poll: within 2 times of the client by hand")
    if ours is not None:
        connections, lag, memory = ours.connections, ours.lag_p99_ms, ours.kb_per_generation
        yield Verdict("connections per poll: under 0.02", f"{connections:.4f}", connections < 0.02)
        yield Verdict("event loop lag p99: under 10 ms", f"{lag:.1f} ms", lag < 10)
        yield Verdict("memory per generation: under 40 KB", f"{memory:.1f} KB", memory < 40)


def judge_scale(results: Results) -> Iterator[Verdict]:
    """Compare the medians with the targets at 10000 generations."""
    ours = median(results["ours"])
    measured = f"{ours.kept_up:.3f} of the polls due, lag p99 {ours.lag_p99_ms:.1f} ms, loop CPU {ours.loop_load:.2f}"
    yield Verdict("10000 generations at 15 s: keeps up (97 % of the polls due)", measured, ours.kept_up >= 0.97)


def table(results: Results) -> str:
    """Return the medians, one contestant a line."""
    rows = [["", *(title for title, _, _ in COLUMNS)]]
    for name, runs in results.items():
        figures = median(runs)
        rows.append([name, *(format(getattr(figures, attribute), form) for _, form, attribute in COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def machine() -> dict[str, object]:
    """Return the facts about this machine."""
    return {
        "cores": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "airflow": version("apache-airflow"),
        "aiohttp": version("aiohttp"),
        "dbt-cloud": version("apache-airflow-providers-dbt-cloud"),
        "http": version("apache-airflow-providers-http"),
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--generations", type=int, help="that wait at the same time (1000; 10000 with --scale)")
    parser.add_argument("--interval", type=float, help="seconds between two polls of one (5; 15 with --scale)")
    parser.add_argument("--seconds", type=float, default=30, help="measured, after the warm-up (%(default)s)")
    parser.add_argument("--repeat", type=int, help="times; medians are printed (3; 1 with --scale)")
    parser.add_argument("--only", help=f"contestants, of {','.join(CONTESTANTS)} ({DEFAULT_CONTESTANTS})")
    parser.add_argument("--scale", action="store_true", help="10000 generations of this provider at 15 s instead")
    parser.add_argument("--json", action="store_true", help="print JSON, with every repetition")
    args = parser.parse_args()
    args.generations = args.generations or (SCALE_GENERATIONS if args.scale else 1000)
    args.interval = args.interval or (SCALE_INTERVAL if args.scale else 5.0)
    args.repeat = args.repeat or (1 if args.scale else 3)
    args.contestants = (args.only or ("ours" if args.scale else DEFAULT_CONTESTANTS)).split(",")
    if unknown := set(args.contestants) - set(CONTESTANTS):
        parser.error(f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(CONTESTANTS)}")
    if args.scale and "ours" not in args.contestants:
        parser.error("--scale is about 'ours'")
    return args


def main() -> None:
    """Measure in turn, so that a slow minute of the machine affects all, and print."""
    args = arguments()
    results: dict[str, list[Figures]] = {name: [] for name in args.contestants}
    about = machine()
    for repetition in range(1, args.repeat + 1):
        for name, runs in results.items():
            print(f"{name}, {repetition} of {args.repeat}; load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
            runs.append(run_once(Plan(name, args.generations, args.interval, args.seconds)))
    verdicts = list((judge_scale if args.scale else judge)(results))
    if args.json:
        report = {
            "machine": about,
            "plan": {name: getattr(args, name) for name in ("generations", "interval", "seconds", "repeat")},
            "medians": {name: dataclasses.asdict(median(runs)) for name, runs in results.items()},
            "runs": {name: [dataclasses.asdict(run) for run in runs] for name, runs in results.items()},
            "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
        }
        print(json.dumps(report, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(
        f"{args.generations} generations, a poll every {args.interval:g} s each, {args.seconds:g} s measured, "
        f"medians of {args.repeat}\n"
    )
    print(table(results), end="\n\n")
    for verdict in verdicts:
        word = {True: "PASS", False: "FAIL", None: "?"}[verdict.met]
        print(f"{word:4}  {verdict.wanted}: {verdict.measured}")


if __name__ == "__main__":
    main()
