"""
Explores a task: every placement of one fault, then every placement of a second one.

What is bound to end alike is run once: faults at the same step after which all goes on alike are followed by a second
one only once, second faults that were never told apart take turns, and a try that starts in a state which was followed
before is not followed again. ``python -m tests.exploration.explore`` explores all tasks, ``… replay NAME SCHEDULE``
shows one schedule.
"""

from __future__ import annotations

import ast
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from tests.exploration.faults import MENU, Schedule
from tests.exploration.scenarios import SCENARIOS
from tests.exploration.stage import set_up
from tests.exploration.world import Scenario, World


@dataclass
class Report:
    """What was explored: how many schedules, and those that broke a promise."""

    schedules: int = 0
    broken: dict[Schedule, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Say what was found, with the call that shows each broken schedule."""
        lines = [f"{name}: {self.schedules} schedules, {len(self.broken)} broken"]
        for schedule, violations in self.broken.items():
            lines.append(f"  replay({name!r}, {schedule!r})")
            lines.extend(f"    {violation}" for violation in violations)
        return "\n".join(lines)


def explore(scenario: Scenario, *, faults: int = 2, most_broken: int = 10) -> Report:
    """
    Run every schedule of up to so many faults.

    :param most_broken: Broken schedules after which it stops.
    """
    report = Report()
    with set_up():
        for _ in _runs(scenario, report, faults):
            if len(report.broken) >= most_broken:
                break
    return report


def replay(name: str, schedule: Schedule) -> None:
    """Run one schedule and print its steps, tries and broken promises."""
    with set_up():
        world = World(SCENARIOS[name], schedule).run_to_end()
    for number, step in enumerate(world.trace):
        print(f"{number:3} {step}  {world.faults.get(number, '')}")
    print("tries:", ", ".join(world.outcomes))
    print("\n".join(world.violations) or "all promises kept")


def _runs(scenario: Scenario, report: Report, faults: int) -> Iterator[World]:
    plain = _run(scenario, (), report)
    yield plain
    known: dict[str, int] = {}
    followed: dict[tuple[int, str], tuple[Schedule, World]] = {}
    effects: dict[str, dict[str, list[str]]] = {}
    for at, fault in _placements(plain, 0, {}, known):
        world = _run(scenario, ((at, fault),), report)
        yield world
        effect = _effect(world, at)
        followed.setdefault((at, effect), (((at, fault),), world))
        effects.setdefault(_kind(plain.trace[at]), {}).setdefault(fault, []).append(effect)
    # a plain run has no retry, so what its starts show says nothing of those of retries
    alike = {kind: _alike(of_kind) for kind, of_kind in effects.items() if kind != "start"}
    for schedule, world in followed.values() if faults > 1 else ():
        for at, fault in _placements(world, schedule[0][0] + 1, alike, known):
            yield _run(scenario, (*schedule, (at, fault)), report)


def _run(scenario: Scenario, schedule: Schedule, report: Report) -> World:
    world = World(scenario, schedule).run_to_end()
    report.schedules += 1
    if world.violations:
        report.broken[schedule] = world.violations
    return world


def _placements(
    world: World, start: int, alike: dict[str, list[list[str]]], known: dict[str, int]
) -> Iterator[tuple[int, str]]:
    """
    Yield where a fault can be, until a state is reached that was followed before, with as many clearings to come.

    Of the polls of a long wait the first, the second and the last count; of faults that are alike one, in turns.
    """
    for at, step in enumerate(world.trace[start:], start):
        if at in world.states:
            state, rounds = world.states[at]
            if known.get(state, rounds + 1) <= rounds:
                return
            known[state] = rounds
        if world.trace[at - 2 : at + 2] == [step] * 4:
            continue
        kind = _kind(step)
        for faults in alike.get(kind) or [[fault] for fault in MENU[kind]]:
            yield at, faults[at % len(faults)]


def _alike(effects: dict[str, list[str]]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for fault, of_fault in effects.items():
        groups.setdefault(json.dumps(of_fault), []).append(fault)
    return list(groups.values())


def _kind(step: str) -> str:
    return next(kind for kind in (step, step.partition(" ")[0]) if kind in MENU)


def _effect(world: World, at: int) -> str:
    """Return what followed a fault, without times and texts."""
    paid = [
        (item.request, item.told, item.fails, item.denied, item.delivered, item.named) for item in world.service.paid
    ]
    return json.dumps([world.trace[at + 1 :], world.outcomes, paid, world.state, world.max_tries])


def main(arguments: list[str]) -> int:
    """Explore the tasks of these names, or all; or replay one."""
    if arguments[:1] == ["replay"]:
        replay(arguments[1], ast.literal_eval(arguments[2]))
        return 0
    return _explore_all(arguments)


def _explore_all(names: list[str]) -> int:
    began, reports = time.monotonic(), {}
    for name in names or SCENARIOS:
        reports[name] = explore(SCENARIOS[name])
        print(reports[name].text(name), flush=True)
    total = sum(report.schedules for report in reports.values())
    print(f"{total} schedules in {time.monotonic() - began:.0f} s")
    return 1 if any(chain.from_iterable(report.broken for report in reports.values())) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
