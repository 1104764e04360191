"""
Measure what downloading a video costs: this provider to disk and to S3, compared with curl and other operators.

    python -m benchmarks.download             # 64 MiB and 1 GiB, each contestant three times: 8 minutes
    python -m benchmarks.download --quick     # 64 and 256 MiB, once: 90 seconds
    python -m benchmarks.download --link 125  # the same over a network of 1 Gbit/s
    python -m benchmarks.download --only curl,ours --size 4096 --json

Every measurement has a fresh process and a fresh S3; the video server sends from memory. It needs Linux, ``curl``,
``openssl`` and the dependency groups ``bench`` and ``test``. It prints medians and whether the targets were met, and
exits 0 either way: timing is not a test.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.download_contestants import CONTESTANTS, Contestant, Place
from benchmarks.download_measure import MIB, hash_rate, measure, measure_commands
from benchmarks.download_server import serve_s3, serve_videos

#: MiB of the smaller video: compared with the larger one, it shows memory that grows with the size.
SMALL = 64
#: Targets: fraction of curl's throughput, and MiB of memory above the bare task.
WANTED_RATIO = 0.8
WANTED_MEMORY = 64

_spawn = multiprocessing.get_context("spawn")


@dataclasses.dataclass(frozen=True)
class Figures:
    """
    What was measured of one transfer.

    :param rate: Bytes per second.
    :param cpu: CPU seconds of the contestant.
    :param memory: Peak bytes above the bare task.
    :param servers: CPU cores that the servers were using.
    :param others: CPU cores that everything else on the machine was using: measure again if it is not near 0.
    """

    rate: float
    cpu: float
    memory: float
    servers: float
    others: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a target was met; ``met`` is None if the run did not measure it."""

    wanted: str
    measured: str
    met: bool | None


@dataclasses.dataclass
class Results:
    """
    All that was measured.

    :param sizes: MiB of the videos, the larger one last.
    :param runs: By contestant, then by MiB: every repetition.
    :param hash_rates: Python's hashing rate in each round, in bytes per second.
    """

    sizes: list[int]
    runs: dict[str, dict[int, list[Figures]]]
    hash_rates: list[float] = dataclasses.field(default_factory=list)

    def median(self, name: str, attribute: str, size: int | None = None) -> float | None:
        """Return the median of a figure, by default for the larger video; None if it was not measured."""
        values = [getattr(run, attribute) for run in self._of(name, size)]
        return statistics.median(values) if values else None

    def ratio(self, name: str, other: str) -> float | None:
        """Return the median, over the rounds, of the ratio of two contestants' rates in the same round."""
        rounds = zip(self._of(name), self._of(other), strict=False)
        ratios = [mine.rate / theirs.rate for mine, theirs in rounds]
        return statistics.median(ratios) if ratios else None

    def worst_memory(self, name: str) -> float | None:
        """Return the highest peak of all repetitions and sizes, in MiB."""
        peaks = [run.memory / MIB for runs in self.runs.get(name, {}).values() for run in runs]
        return max(peaks, default=None)

    def _of(self, name: str, size: int | None = None) -> list[Figures]:
        return self.runs.get(name, {}).get(size or self.sizes[-1], [])


@contextmanager
def serving(serve: Callable[..., None], *arguments: Any) -> Iterator[tuple[str, psutil.Process]]:
    """Run a server in a process of its own. Yields its address and its process."""
    here, there = _spawn.Pipe(duplex=False)
    server = _spawn.Process(target=serve, args=(*arguments, there), daemon=True)
    server.start()
    there.close()
    try:
        yield here.recv(), psutil.Process(server.pid)
    finally:
        server.terminate()
        server.join()


def run_once(name: str, size: int, videos: tuple[str, psutil.Process], scratch: str) -> Figures:
    """
    Measure one transfer, and remove what it wrote.

    :param size: Bytes of the video.
    :param videos: Address and process of the video server.
    """
    contestant = CONTESTANTS[name]
    place = Place(videos[0], f"{scratch}/target.mp4")
    if not contestant.to_s3:
        return _run_once(name, contestant, place, size, [videos[1]], scratch)
    with serving(serve_s3) as (s3, process):
        place = dataclasses.replace(place, s3=s3)
        return _run_once(name, contestant, place, size, [videos[1], process], scratch)


def _run_once(
    name: str, contestant: Contestant, place: Place, size: int, servers: list[psutil.Process], scratch: str
) -> Figures:
    before = _busy(servers)
    if contestant.commands is not None:
        cost, overall = measure_commands(contestant.commands(place, size)), _busy(servers)
    else:
        here, there = _spawn.Pipe(duplex=False)
        process = _spawn.Process(target=measure, args=(name, place, size, scratch, there))
        process.start()
        there.close()
        try:
            here.recv()  # it is about to start
            before = _busy(servers)
            cost = here.recv()
            overall = _busy(servers)
        except EOFError:
            sys.exit(f"The measurement of {name} failed; its traceback is above.")
        process.join()
    if not contestant.to_s3:
        target = Path(place.target)
        assert target.stat().st_size == size
        target.unlink()  # else the next one waits until these bytes are written out
    by_servers, by_all = (now - then for now, then in zip(overall, before, strict=True))
    return Figures(
        rate=size / cost.seconds,
        cpu=cost.cpu,
        memory=cost.memory,
        servers=by_servers / cost.seconds,
        others=max(by_all - by_servers - cost.cpu, 0) / cost.seconds,
    )


def _busy(servers: list[psutil.Process]) -> tuple[float, float]:
    """Return the CPU seconds that the servers, and the whole machine, have used so far."""
    machine = psutil.cpu_times()
    used = (server.cpu_times() for server in servers)
    idle = machine.idle + getattr(machine, "iowait", 0.0)
    return sum(cpu.user + cpu.system for cpu in used), sum(machine) - idle


def run_all(contestants: list[str], sizes: list[int], rounds: int, link: float | None, folder: str | None) -> Results:
    """
    Measure in turn, so that a slow minute of the machine affects all.

    :param sizes: MiB of the videos.
    :param link: MB/s that the video server sends; None for as fast as it can.
    :param folder: For the files, which are removed again.
    """
    results = Results(sizes, {name: {size: [] for size in sizes} for name in contestants})
    with (
        tempfile.TemporaryDirectory(prefix="download-", dir=folder) as scratch,
        serving(serve_videos, scratch, link) as videos,
    ):
        for size in sizes:
            warm_up = CONTESTANTS["curl"].commands
            assert warm_up is not None
            measure_commands(warm_up(Place(videos[0], os.devnull), size * MIB))  # the server makes the video
            for number in range(1, rounds + 1):
                results.hash_rates.append(hash_rate())
                for name in contestants:
                    _say(f"{size} MiB, {name}, {number} of {rounds}; load {os.getloadavg()[0]:.1f}")
                    results.runs[name][size].append(run_once(name, size * MIB, videos, scratch))
    return results


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def judge(results: Results) -> Iterator[Verdict]:
    """Compare the medians of the larger video with the targets."""

    def against(wanted: str, name: str, other: str) -> Verdict:
        value = results.ratio(name, other)
        if value is None:
            return Verdict(wanted, "not measured", None)
        return Verdict(wanted, f"{value:.2f}", value >= WANTED_RATIO)

    yield against(f"to disk: at least {WANTED_RATIO} of curl's throughput", "ours", "curl")
    yield against(f"to disk: at least {WANTED_RATIO} of curl with SHA-256, the same work", "ours", "curl-hash")
    yield against(f"to disk, hashing taken out: at least {WANTED_RATIO} of curl's throughput", "ours-no-hash", "curl")
    for place, name in (("disk", "ours"), ("S3", "ours-s3")):
        if (peak := results.worst_memory(name)) is not None:
            wanted = f"to {place}: under {WANTED_MEMORY} MiB above the bare task, at every size"
            yield Verdict(wanted, f"{peak:.0f} MiB", peak < WANTED_MEMORY)


def remark(results: Results) -> str:
    """Return what hashing alone would allow."""
    bound, ours, curl = (
        statistics.median(results.hash_rates),
        results.median("ours", "rate"),
        results.median("curl", "rate"),
    )
    text = f"Python's hashlib does SHA-256 at {bound / 1e6:.0f} MB/s here, with nothing else to do."
    if ours is None or curl is None or bound >= curl:
        return text
    return (
        f"{text} That is {bound / curl:.2f} of curl's rate, and this provider reaches {ours / bound:.2f} of it to disk."
    )


def table(results: Results) -> str:
    """Return the medians as a table in Markdown, one contestant a line."""
    sizes = results.sizes
    memory = [f"memory, {_in_words(size)}" for size in sizes]
    rows = [["", "MB/s", "of `curl`", "CPU s", *memory, "servers' cores", "others' cores"]]
    rows.append(["---"] * len(rows[0]))
    for name in results.runs:
        contestant = CONTESTANTS[name]
        cells = [
            (results.median(name, "rate"), 1e6, ".0f"),
            (results.ratio(name, "curl"), 1, ".2f"),
            (results.median(name, "cpu"), 1, ".2f"),
            *((results.median(name, "memory", size), MIB, ".0f") for size in sizes),
            (results.median(name, "servers"), 1, ".2f"),
            (results.median(name, "others"), 1, ".2f"),
        ]
        title = f"to {'S3' if contestant.to_s3 else 'disk'}: {contestant.title}"
        rows.append([title, *("" if value is None else format(value / unit, form) for value, unit, form in cells)])
    return "\n".join("|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|" for row in rows).replace(
        " --- ", "---"
    )


def _in_words(mib: int) -> str:
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib} MiB"


def machine() -> Mapping[str, object]:
    """Return the facts about this machine."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return {
        "cores": os.cpu_count(),
        "SHA instructions": "sha_ni" in flags or "sha2" in flags,
        "load average": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "curl": subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1],
        "airflow": version("apache-airflow"),
        "amazon": version("apache-airflow-providers-amazon"),
        "s3fs": version("s3fs"),
        "moto": version("moto"),
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0].strip())
    parser.add_argument("--size", type=int, help=f"MiB of the video, next to one of {SMALL} (1024; 256 with --quick)")
    parser.add_argument("--rounds", type=int, help="times; medians are printed (3; 1 with --quick)")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="contestants, of %(default)s")
    parser.add_argument("--quick", action="store_true", help="a smaller video, and once")
    parser.add_argument("--link", type=float, help="MB/s that the video server sends (as fast as it can)")
    parser.add_argument("--folder", help="on the disk to write to (that of temporary files)")
    parser.add_argument("--json", action="store_true", help="print JSON, with every repetition")
    args = parser.parse_args()
    args.size = args.size or (256 if args.quick else 1024)
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.contestants = args.only.split(",")
    if unknown := set(args.contestants) - set(CONTESTANTS):
        parser.error(f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(CONTESTANTS)}")
    return args


def main() -> None:
    """Measure and print."""
    args = arguments()
    about = machine()
    results = run_all(args.contestants, sorted({SMALL, args.size}), args.rounds, args.link, args.folder)
    verdicts = list(judge(results))
    if args.json:
        report = {
            "machine": about,
            "plan": {name: getattr(args, name) for name in ("size", "rounds", "link")},
            "hash_rates": results.hash_rates,
            "runs": {
                name: {size: [dataclasses.asdict(run) for run in runs] for size, runs in by_size.items()}
                for name, by_size in results.runs.items()
            },
            "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
        }
        print(json.dumps(report, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    link = f" over a link of {args.link:g} MB/s" if args.link else ""
    print(f"A video of {_in_words(args.size)}{link}, medians of {args.rounds}; memory in MiB above the bare task\n")
    print(table(results), end="\n\n")
    print(remark(results), end="\n\n")
    for verdict in verdicts:
        word = {True: "PASS", False: "FAIL", None: "?"}[verdict.met]
        print(f"{word:4}  {verdict.wanted}: {verdict.measured}")


if __name__ == "__main__":
    main()
