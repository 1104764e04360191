"""
Whatever dies on a real Airflow, and whenever: nothing is paid twice, and nothing paid for is lost.

The cases are in ``faults/cases.py``; each test judges one. At the end, a table shows what was paid for and delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tests.e2e.faults.campaign import Case, Verdict, table
from tests.e2e.faults.cases import APART, TOGETHER
from tests.e2e.faults.stage import FaultStage

#: How many cases run at the same time.
AT_ONCE = 10

Outcomes = dict[str, "Future[Verdict]"]


@pytest.fixture(scope="module")
def outcomes(fault_stage: FaultStage, request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The outcome of every selected case: its verdict, or its error. The cases run in the background."""
    selected = [item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")]
    with ThreadPoolExecutor(AT_ONCE, "apart") as apart, ThreadPoolExecutor(1, "together") as together:
        played: Outcomes = {case.name: apart.submit(case.play, fault_stage) for case in APART if case in selected}
        before = list(played.values())

        def play_alone(case: Case) -> Verdict:
            wait(before)
            return case.play(fault_stage)

        played |= {case.name: together.submit(play_alone, case) for case in TOGETHER if case in selected}
        yield played
    verdicts = [case.verdict for case in (*APART, *TOGETHER) if case.verdict is not None]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("", *table(verdicts), sep="\n")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", [*APART, *TOGETHER], ids=lambda case: case.slug)
def test_nothing_is_paid_twice_and_nothing_paid_for_is_lost(case: Case, outcomes: Outcomes) -> None:
    verdict = outcomes[case.name].result()
    assert (verdict.duplicates, verdict.losses) == (0, 0)
    assert verdict.delivered == verdict.wanted
    assert verdict.billed == verdict.wanted + verdict.unknown
