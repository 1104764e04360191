"""More faults, tries and clearings than ``tests/integration/test_exploration.py`` can try out, at random."""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.exploration.faults import MENU
from tests.exploration.scenarios import SCENARIOS
from tests.exploration.stage import set_up
from tests.exploration.world import World

#: Tries in which a task must end once nothing goes wrong any more: a person clears it as long as it fails.
LAST_TRIES = 12


class UnluckyWorld(World):
    """A world that has its faults at the next steps of their kinds."""

    def __init__(self, name: str) -> None:
        super().__init__(SCENARIOS[name])
        self.planned: list[tuple[str, str]] = []

    def fault_at(self, number: int, kind: str) -> str:
        for planned in self.planned:
            if planned[0] == kind:
                self.planned.remove(planned)
                return planned[1]
        return ""


class Exploration(RuleBasedStateMachine):
    """Airflow, the service and people do what they like, in any order; the promises hold all along."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(set_up())

    @initialize(name=st.sampled_from(sorted(SCENARIOS)))
    def begin(self, name: str) -> None:
        self.world = UnluckyWorld(name)

    @rule(planned=st.sampled_from([(kind, fault) for kind in MENU for fault in MENU[kind]]))
    def plan(self, planned: tuple[str, str]) -> None:
        self.world.planned.append(planned)

    @precondition(lambda self: self.world.is_to_run)
    @rule()
    def run_next_try(self) -> None:
        self.world.run_try()

    @precondition(lambda self: self.world.try_number)
    @rule()
    def clear(self) -> None:
        self.world.clear()

    @rule()
    def edit(self) -> None:
        self.world.edit()

    @rule(seconds=st.sampled_from([30.0, 120.0, 1200.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.sleep(seconds)

    @invariant()
    def keeps_its_promises(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.violations, "\n".join([*self.world.trace, *self.world.violations])

    def teardown(self) -> None:
        """Let it come to its end."""
        try:
            if hasattr(self, "world") and not self.world.violations:
                self._come_to_an_end()
        finally:
            self._stack.close()

    def _come_to_an_end(self) -> None:
        self.world.planned.clear()
        self.world.heal()
        for _ in range(LAST_TRIES):
            if self.world.is_to_run:
                self.world.run_try()
            elif self.world.state == "failed":
                self.world.clear()
        assert self.world.state == "success", self.world.outcomes
        assert not self.world.violations, "\n".join([*self.world.trace, *self.world.violations])


TestExploration = Exploration.TestCase
TestExploration.settings = settings(
    max_examples=1500,
    stateful_step_count=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
