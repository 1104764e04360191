"""All that an emulator remembers: its settings, generations, faults, links and counters. Lives in one event loop."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from airflow_provider_seedance.emulator.asset_library import AssetLibrary
from airflow_provider_seedance.emulator.assets import PROCESSING_SECONDS, Asset, AssetGroup, AssetOptions
from airflow_provider_seedance.emulator.clips import Studio
from airflow_provider_seedance.emulator.faults import REQUEST_ROUTES, Fault, FaultList
from airflow_provider_seedance.emulator.generations import TYPICAL_SECONDS, Generation
from airflow_provider_seedance.emulator.links import LinkSigner
from airflow_provider_seedance.emulator.memory import Memory
from airflow_provider_seedance.emulator.rules import Order

#: requests kept for :meth:`World.requests`
_REMEMBERED_REQUESTS = 5_000


@dataclass(frozen=True)
class Settings:
    """How an emulator behaves.

    :param speed: how many times faster than the service; a generation takes 90 s divided by it
    :param api_keys: the keys that are valid
    :param link_ttl: life of a download link in seconds of real time, whatever the speed
    :param body_limit: bytes of the largest create request
    :param moderate_input_words: a prompt that contains one is refused at create
    :param moderate_output_words: a prompt that contains one fails at the end
    :param assets: how the asset routes behave
    :param state: a file that keeps generations, assets, counters, keys and links for an emulator started later, whose
        keys then are those of the file
    """

    speed: float = 1.0
    api_keys: Sequence[str] = ("sk-emulator",)
    link_ttl: int = 12 * 3600
    body_limit: int = 64 * 1024 * 1024
    moderate_input_words: Sequence[str] = ("emulator:moderate-input",)
    moderate_output_words: Sequence[str] = ("emulator:moderate-output",)
    assets: AssetOptions = field(default_factory=AssetOptions)
    state: Path | None = None

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError("speed must be greater than 0")
        if not self.api_keys:
            raise ValueError("at least one API key is needed")


@dataclass
class World:
    """The state behind the routes."""

    settings: Settings
    studio: Studio = field(default_factory=Studio)
    faults: FaultList = field(default_factory=FaultList)
    generations: dict[str, Generation] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_REQUESTS))

    def __post_init__(self) -> None:
        self.api_keys = set(self.settings.api_keys)
        self.links = LinkSigner(self.settings.link_ttl)
        self.library = self._new_library()
        self._memory: Memory | None = None
        if self.settings.state is not None:
            self._memory = Memory(self.settings.state)
            self._recall(self._memory)

    def _new_library(self) -> AssetLibrary:
        processing = PROCESSING_SECONDS / self.settings.speed
        return AssetLibrary(self.settings.assets, processing, self.faults, keep=self._keep_stored)

    def _recall(self, memory: Memory) -> None:
        facts = memory.get("facts")
        if facts is None:
            self.keep_facts()
            return
        self.api_keys = set(facts["api_keys"])
        self.arrivals.update(facts["arrivals"])
        self.links = LinkSigner(self.settings.link_ttl, **facts["links"])
        self.library.groups = {row["id"]: AssetGroup.from_json(row) for row in memory.rows("asset_group")}
        self.library.assets = {row["id"]: Asset.from_json(row) for row in memory.rows("asset")}
        for row in memory.rows("generation"):
            generation = Generation.from_json(row, self.library.recall)
            self.generations[generation.id] = generation

    def keep(self, generation: Generation) -> None:
        """Write a generation that is new or has changed into the state file, where there is one."""
        if self._memory is not None:
            self._memory.keep_row("generation", generation.id, generation.to_json())

    def _keep_stored(self, changed: AssetGroup | Asset) -> None:
        if self._memory is not None:
            table: Literal["asset", "asset_group"] = "asset" if isinstance(changed, Asset) else "asset_group"
            self._memory.keep_row(table, changed.id, changed.to_json())

    def keep_facts(self) -> None:
        """Write keys, counters and links into the state file, where there is one."""
        if self._memory is not None:
            facts = {"api_keys": sorted(self.api_keys), "arrivals": self.arrivals, "links": self.links.to_json()}
            self._memory.keep("facts", facts)

    def close(self) -> None:
        """Let go of threads and files."""
        self.studio.close()
        if self._memory is not None:
            self._memory.close()

    def reset(self) -> None:
        """Forget everything but the settings."""
        self.faults.clear()
        self.generations.clear()
        self.library = self._new_library()
        self.arrivals.clear()
        self.log.clear()
        self.api_keys = set(self.settings.api_keys)
        if self._memory is not None:
            self._memory.forget()
        self.keep_facts()

    def set_api_keys(self, keys: Collection[str]) -> None:
        """Make these the only valid keys."""
        self.api_keys = set(keys)
        self.keep_facts()

    def expire_links(self) -> None:
        """Make every link given so far expire."""
        self.links.expire_all()
        self.keep_facts()

    def arrived(self, route: str, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Count and remember a request; the value of its Authorization header is not kept."""
        self.arrivals[route] += 1
        kept = {name.lower(): value for name, value in headers.items()}
        if "authorization" in kept:
            kept["authorization"] = "Bearer ***"
        entry = {"route": route, "method": method, "path": path, "headers": kept, "at": time.time()}
        self.log.append(entry)
        self.keep_facts()

    def add(self, order: Order, request: Mapping[str, Any]) -> Generation:
        """Make and charge a generation."""
        generation = Generation.create(order, request, time.time(), TYPICAL_SECONDS / self.settings.speed)
        generation.fault = self.faults.strike("generation")
        moderated = any(word in order.prompt for word in self.settings.moderate_output_words)
        if moderated and generation.fault is None:
            generation.moderate_output()
        self.generations[generation.id] = generation
        self.keep(generation)
        return generation

    def add_fault(self, fault: Fault) -> None:
        """Queue a fault, or strike the generation that it names.

        :raises ValueError: no such generation
        """
        if fault.generation_id is None:
            self.faults.add(fault)
        elif fault.route != "generation" or fault.generation_id not in self.generations:
            raise ValueError(f"no generation {fault.generation_id!r} to strike")
        else:
            generation = self.generations[fault.generation_id]
            generation.fault = fault
            self.keep(generation)

    def finish(self) -> None:
        """Bring every running generation, and the processing of every asset, to its end now."""
        now = time.time()
        self.library.finish(now)
        for generation in self.generations.values():
            generation.ends = min(generation.ends, now)
            self.keep(generation)

    def stats(self) -> dict[str, Any]:
        """Return the counters.

        :returns: ``posts``, ``queries``, ``models``, ``downloads`` (requests received on each route), ``requests`` (by
            route), ``created`` (generations made, each pre-charged), ``refunded`` (of these, failed) and ``billed``
            (the rest), with ``billed_tokens`` and ``refunded_tokens``; ``asset_groups_created``, ``assets_created``
            (deleted ones, too) and ``asset_calls_billed`` (both)
        """
        now = time.time()
        made = list(self.generations.values())
        refunded = [generation for generation in made if generation.status(now) == "FAILURE"]
        refunded_tokens = sum(generation.total_tokens for generation in refunded)
        return {
            "posts": self.arrivals["create"],
            "queries": self.arrivals["query"],
            "models": self.arrivals["models"],
            "downloads": self.arrivals["download"],
            "requests": {route: self.arrivals[route] for route in (*REQUEST_ROUTES, "unknown")},
            "created": len(made),
            "billed": len(made) - len(refunded),
            "refunded": len(refunded),
            "billed_tokens": sum(generation.total_tokens for generation in made) - refunded_tokens,
            "refunded_tokens": refunded_tokens,
            **self.library.stats(),
        }

    def describe(self) -> list[dict[str, Any]]:
        """Return the generations in order of creation, as the control route tells them."""
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
