"""
Whatever two faults meet a task, it keeps the promises about money (``tests/exploration/world.py`` says which).

And the exploration is no formality: with any of the mistakes below put into the provider, it finds a broken promise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_seedance import tasks
from airflow_provider_seedance.api import calls, paid_answer, submission
from airflow_provider_seedance.api.paid_answer import PaidAnswer
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.api.submission import SubmissionDecision, SubmissionRecord
from airflow_provider_seedance.jobs import submit
from airflow_provider_seedance.jobs.store import SubmissionStore
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from tests.exploration.explore import explore
from tests.exploration.scenarios import SCENARIOS
from tests.exploration.stage import set_up
from tests.exploration.world import World

#: Their hundred thousands of calls would take minutes under measurement, and lead where other tests lead too.
pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_two_faults_break_a_promise(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = explore(SCENARIOS[name])
    with capsys.disabled():
        print(f"\n{name}: {report.schedules} schedules", file=sys.stderr)
    assert not report.broken, report.text(name)
    assert report.schedules > 500


def test_clearing_after_success_makes_another_video_and_finds_the_same_asset() -> None:
    with set_up():
        worlds = {name: World(scenario).run_to_end() for name, scenario in SCENARIOS.items()}
    assert {name.split()[0] for name, world in worlds.items() if len(world.service.paid) == 1} == {"group", "asset"}
    assert all(len(world.service.paid) == 2 for name, world in worlds.items() if name.startswith("video"))
    assert all(world.outcomes == ["success", "success"] for world in worlds.values())


def any_4xx_refuses(patch: pytest.MonkeyPatch) -> None:
    proves = paid_answer._proves_refusal  # noqa: SLF001
    patch.setattr(paid_answer, "_proves_refusal", lambda r: 400 <= r.status < 500 or proves(r))


def id_in_an_error_is_dropped(patch: pytest.MonkeyPatch) -> None:
    read = calls.CreateGeneration.read

    def mistaken(call: calls.CreateGeneration, response: Response) -> PaidAnswer:
        answer = read(call, response)
        return answer if response.status < 300 else replace(answer, created_id=None)

    patch.setattr(calls.CreateGeneration, "read", mistaken)


def retries_tell_of_clearing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SubmissionRecord, "was_cleared", lambda record, tries: tries.first > record.first_try)


def intent_is_not_written(patch: pytest.MonkeyPatch) -> None:
    put = SubmissionStore.put
    patch.setattr(SubmissionStore, "put", lambda s, record: None if record.phase == "intent" else put(s, record))


def id_is_recorded_at_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SubmissionStore, "put_with_retries", lambda store, record: None)


def lost_response_leaves_no_record(patch: pytest.MonkeyPatch) -> None:
    def forget(store: SubmissionStore, record: SubmissionRecord, detail: str = "") -> Exception:
        store.clear()
        return submission.ambiguous_error(record, store.kind, detail)

    patch.setattr(submit, "reported", forget)


def delivery_is_recorded_before_the_success(patch: pytest.MonkeyPatch) -> None:
    deliver = SeedanceGenerateVideoOperator.execute

    def mistaken(operator: SeedanceGenerateVideoOperator, context: Any) -> Any:
        result = deliver(operator, context)
        ti = SimpleNamespace(**{**vars(context["ti"]), "get_task_states": lambda **of: {"manual__1": {"x": "success"}}})
        tasks._record_delivery({**context, "ti": ti})  # type: ignore[typeddict-item]  # noqa: SLF001
        return result

    patch.setattr(SeedanceGenerateVideoOperator, "execute", mistaken)


def doubt_is_lost_with_its_record(patch: pytest.MonkeyPatch) -> None:
    def mistaken(store: SubmissionStore, record: SubmissionRecord, detail: str = "") -> Exception:
        store.put(record)
        return submission.ambiguous_error(record, store.kind, detail)

    patch.setattr(submit, "reported", mistaken)


def _decision(patch: pytest.MonkeyPatch, action: str, when: Callable[..., bool]) -> None:
    decide = submission.decide

    def mistaken(record: SubmissionRecord | None, **given: Any) -> SubmissionDecision:
        if record is not None and when(record, **given):
            return SubmissionDecision(action, "A mistake.")  # type: ignore[arg-type]
        return decide(record, **given)

    patch.setattr(submit, "decide", mistaken)


def not_found_is_submitted_again(patch: pytest.MonkeyPatch) -> None:
    _decision(patch, "submit", lambda record, **given: given["remote"] == "not_found")


def changed_request_is_submitted(patch: pytest.MonkeyPatch) -> None:
    _decision(patch, "submit", lambda record, **given: given["fingerprint"] != record.fingerprint)


def lost_response_counts_as_never_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(calls, "read_paid_failure", lambda error: PaidAnswer("repeat", error=error))


@pytest.mark.parametrize(
    ("mistake", "name", "faults"),
    [
        (any_4xx_refuses, "video not waiting", 1),
        (id_in_an_error_is_dropped, "video not waiting", 1),
        (retries_tell_of_clearing, "video not waiting, rendered anew", 2),
        (intent_is_not_written, "video not waiting", 1),
        (id_is_recorded_at_the_end, "video not waiting", 1),
        (lost_response_leaves_no_record, "video not waiting", 1),
        (delivery_is_recorded_before_the_success, "video not waiting", 2),
        (doubt_is_lost_with_its_record, "video deferred, no retries", 2),
        (not_found_is_submitted_again, "video in the worker", 1),
        (changed_request_is_submitted, "video not waiting", 2),
        (lost_response_counts_as_never_sent, "video not waiting", 1),
    ],
)
def test_mistake_is_found(
    monkeypatch: pytest.MonkeyPatch, mistake: Callable[..., None], name: str, faults: int
) -> None:
    mistake(monkeypatch)
    report = explore(SCENARIOS[name], faults=faults, most_broken=100)
    assert any("pays again" in violation for violations in report.broken.values() for violation in violations)
