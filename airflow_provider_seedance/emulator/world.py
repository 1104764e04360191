"""All that an emulator remembers: generations, assets, faults, links and counters. Lives in one event loop."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_seedance.emulator.asset_library import AssetLibrary, AssetOptions
from airflow_provider_seedance.emulator.assets import PROCESSING_SECONDS
from airflow_provider_seedance.emulator.clips import Studio
from airflow_provider_seedance.emulator.faults import REQUEST_ROUTES, Fault, FaultList
from airflow_provider_seedance.emulator.generations import TYPICAL_SECONDS, Generation
from airflow_provider_seedance.emulator.links import LinkSigner
from airflow_provider_seedance.emulator.memory import Memory
from airflow_provider_seedance.emulator.rules import Order

#: Number of requests that are remembered.
_REMEMBERED_REQUESTS = 5_000
#: Characters of a path or a header that are remembered.
_REMEMBERED_TEXT = 500
#: Number of generations that are remembered, and bytes of their bodies: pictures stand in them.
_REMEMBERED_GENERATIONS = 10_000
_REMEMBERED_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """
    How an emulator behaves; the fields are those of :class:`~airflow_provider_seedance.emulator.Emulator`.

    :raises ValueError: If a value is not usable.
    """

    speed: float
    api_keys: Sequence[str]
    link_ttl: int
    moderate_input_words: Sequence[str]
    moderate_output_words: Sequence[str]
    assets: AssetOptions
    state: Path | None

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError("speed must be greater than 0")
        if not self.api_keys:
            raise ValueError("at least one API key is needed")


class World:
    """
    The state behind the routes.

    :param settings: How the emulator behaves.
    :raises ValueError: If the state file is of another kind or cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.studio = Studio()
        self.memory = Memory(settings.state)
        self.links = LinkSigner(settings.link_ttl)
        self._start()
        facts = self.memory.facts()
        if facts is not None:
            self.api_keys = set(facts["api_keys"])
            self.arrivals.update(facts["arrivals"])
            self.forgotten.update(facts.get("forgotten", {}))
            self.links = LinkSigner(settings.link_ttl, facts["link_secret"], facts["link_epoch"])
        self._keep_facts()

    def _start(self) -> None:
        """Start with what the memory holds, and with nothing else."""
        self.faults = FaultList()
        self.generations = {kept["id"]: Generation.from_json(kept) for kept in self.memory.entries(Generation)}
        self.arrivals: Counter[str] = Counter()
        #: What the counters had of generations that are not remembered any more.
        self.forgotten: Counter[str] = Counter()
        self.log: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED_REQUESTS)
        self.api_keys = set(self.settings.api_keys)
        processing = PROCESSING_SECONDS / self.settings.speed
        self.library = AssetLibrary(self.settings.assets, processing, self.faults, self.memory)

    def _keep_facts(self) -> None:
        self.memory.keep_facts(
            {
                "api_keys": sorted(self.api_keys),
                "arrivals": self.arrivals,
                "forgotten": self.forgotten,
                "link_secret": self.links.secret,
                "link_epoch": self.links.epoch,
            }
        )

    def close(self) -> None:
        """Release threads and files."""
        self.studio.close()
        self.memory.close()

    def reset(self) -> None:
        """Forget everything but the settings and what signs the links."""
        self.memory.forget()
        self._start()
        self._keep_facts()

    def set_api_keys(self, keys: object) -> None:
        """
        Replace the valid keys.

        :param keys: A list of keys.
        :raises ValueError: If it is anything else, or empty.
        """
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
            raise ValueError("a list of keys is needed")
        self.api_keys = set(keys)
        self._keep_facts()

    def expire_links(self) -> None:
        """Make every link given so far expire."""
        self.links.epoch += 1
        self._keep_facts()

    def arrived(self, route: str, method: str, path: str, headers: Mapping[str, str]) -> None:
        """
        Count and remember a request.

        :param route: Name of the route.
        :param method: HTTP method.
        :param path: Path without the query.
        :param headers: The headers; the value of Authorization is not kept.
        """
        self.arrivals[route] += 1
        kept = {name.lower()[:_REMEMBERED_TEXT]: value[:_REMEMBERED_TEXT] for name, value in headers.items()}
        path = path[:_REMEMBERED_TEXT]
        if "authorization" in kept:
            kept["authorization"] = "Bearer ***"
        self.log.append({"route": route, "method": method, "path": path, "headers": kept, "at": time.time()})
        self._keep_facts()

    def add(self, order: Order, request: Mapping[str, Any], size: int) -> Generation:
        """
        Create a generation and charge for it. The oldest are forgotten, as the service forgets them after some days.

        :param order: The checked request.
        :param request: The JSON body as it came.
        :param size: Its bytes.
        :returns: The generation.
        """
        seconds = TYPICAL_SECONDS / self.settings.speed
        generation = Generation.create(order, request, time.time(), seconds, self.faults.take("generation"))
        if any(word in order.prompt for word in self.settings.moderate_output_words):
            generation.moderate()
        generation.size = size
        self.generations[generation.id] = generation
        self.memory.keep(generation)
        self._forget_oldest()
        return generation

    def _forget_oldest(self) -> None:
        size = sum(generation.size for generation in self.generations.values())
        while len(self.generations) > 1 and (
            len(self.generations) > _REMEMBERED_GENERATIONS or size > _REMEMBERED_BYTES
        ):
            oldest = self.generations.pop(next(iter(self.generations)))
            size -= oldest.size
            self.forgotten.update(_counted([oldest], oldest.ends))
            self.memory.drop(oldest)
            self._keep_facts()

    def add_fault(self, fault: Fault) -> None:
        """
        Queue a fault, or apply it to the generation that it names.

        :param fault: The fault.
        :raises ValueError: If there is no such generation.
        """
        if fault.generation_id is None:
            self.faults.add(fault)
        elif fault.route != "generation" or fault.generation_id not in self.generations:
            raise ValueError(f"there is no generation {fault.generation_id!r}")
        else:
            generation = self.generations[fault.generation_id]
            generation.fault = fault
            self.memory.keep(generation)

    def finish(self) -> None:
        """End every running generation and the processing of every asset now."""
        self.library.finish()
        now = time.time()
        for generation in self.generations.values():
            generation.ends = min(generation.ends, now)
            self.memory.keep(generation)

    def stats(self) -> dict[str, Any]:
        """Return the counters, as :meth:`EmulatorControl.stats` describes them."""
        now = time.time()
        counted = self.forgotten + _counted(self.generations.values(), now)
        return {
            "posts": self.arrivals["create"],
            "queries": self.arrivals["query"],
            "models": self.arrivals["models"],
            "downloads": self.arrivals["download"],
            "requests": {route: self.arrivals[route] for route in (*REQUEST_ROUTES, "unknown")},
            **{name: counted[name] for name in _COUNTED},
            **self.library.stats(),
        }

    def describe(self) -> list[dict[str, Any]]:
        """Return the generations in order of creation, as the control route describes them."""
        now = time.time()
        return [
            {
                "id": generation.id,
                "status": generation.status(now),
                "model": generation.order.model,
                "mode": generation.order.mode,
                "created_at": generation.created,
                "ends_at": generation.ends,
                "total_tokens": generation.total_tokens,
                "queries": generation.queries,
                "downloads": generation.downloads,
                "request": generation.request,
            }
            for generation in self.generations.values()
        ]


_COUNTED = ("created", "billed", "refunded", "billed_tokens", "refunded_tokens")


def _counted(generations: Iterable[Generation], now: float) -> Counter[str]:
    """Count generations, as :meth:`EmulatorControl.stats` describes it."""
    counted: Counter[str] = Counter()
    for generation in generations:
        kind = "refunded" if generation.status(now) == "FAILURE" else "billed"
        counted.update({"created": 1, kind: 1, f"{kind}_tokens": generation.total_tokens})
    return counted
