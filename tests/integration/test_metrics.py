from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceModerationError, SeedanceTimeoutError
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.assets import SeedanceCreateAssetOperator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.telemetry import metrics
from tests.harness import Task


class Recorder:
    """Replaces Airflow's statistics client and records what it is given."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.timings: dict[str, timedelta] = {}

    def incr(self, name: str, by: int = 1, *, tags: dict[str, str]) -> None:
        self.counters[name.removeprefix("seedance.generations.") + "".join(f"[{tag}]" for tag in tags.values())] += by

    def timing(self, name: str, took: timedelta) -> None:
        self.timings[name] = took


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The recorder of all that is counted."""
    recorder = Recorder()
    monkeypatch.setattr(metrics, "Stats", recorder)
    return recorder


def video_task(**arguments: Any) -> Task:
    given = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 0.1, **arguments}
    return Task(lambda: SeedanceGenerateVideoOperator(task_id="generate", **given))


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_video_is_counted_with_its_tokens_and_time(emulator: Emulator, recorded: Recorder, deferrable: bool) -> None:
    tokens = video_task(deferrable=deferrable).run()["total_tokens"]
    assert recorded.counters == {"submitted": 1, "succeeded": 1, "tokens": tokens}
    assert list(recorded.timings) == ["seedance.generations.seconds"]


def test_a_failure_is_counted_by_its_reason(emulator: Emulator, recorded: Recorder) -> None:
    emulator.fault(route="generation", fail={"code": "OutputVideoSensitiveContentDetected", "message": "x"})
    with pytest.raises(SeedanceModerationError):
        video_task().run()
    assert recorded.counters == {"submitted": 1, "failed[output_moderation]": 1}


def test_attaching_again_is_counted(emulator: Emulator, recorded: Recorder) -> None:
    task = video_task(timeout=0.2)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    emulator.finish()
    task.make = video_task().make
    task.run()
    assert recorded.counters["submitted"] == 1
    assert recorded.counters["failed[timeout]"] == 1
    assert recorded.counters["reattached"] == 1
    assert recorded.counters["succeeded"] == 1


def test_statistics_that_fail_do_not_become_the_tasks_trouble(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "Stats", None)
    assert video_task().run()["video_url"]


def test_trouble_while_waiting_is_counted_by_its_kind(emulator: Emulator, recorded: Recorder) -> None:
    emulator.fault(route="query", status=502, body="<html>", count=2)
    video_task(deferrable=False).run()
    assert recorded.counters["poll_errors[SeedanceServiceError]"] == 2


def test_trouble_while_an_asset_is_waited_for_is_counted_as_the_assets(emulator: Emulator, recorded: Recorder) -> None:
    group_id = SeedanceHook().create_asset_group("my-project")
    source = "https://example.com/hero.png"
    emulator.fault(route="GetAsset", status=502, body="<html>", count=2)
    Task(
        lambda: SeedanceCreateAssetOperator(
            task_id="asset", group_id=group_id, name="hero", source=source, asset_type="Image", poll_interval=0.05
        )
    ).run()
    assert recorded.counters == {"seedance.assets.poll_errors[SeedanceServiceError]": 2}
