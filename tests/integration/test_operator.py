from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowNotFoundException

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceError,
    SeedanceGenerationFailedError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTimeoutError,
)
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from tests.clock import QuickClock
from tests.harness import Task

RESULT_KEYS = {
    "generation_id",
    "video_url",
    "video_url_expires_at",
    "video_path",
    "last_frame_url",
    "last_frame_path",
    "model",
    "resolution",
    "ratio",
    "duration",
    "seed",
    "total_tokens",
    "expected_tokens",
    "prompt_fingerprint",
    "submitted_at",
    "finished_at",
    "request_id",
    "metadata",
}


def video_task(**arguments: Any) -> Task:
    given = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 0.1, **arguments}
    return Task(lambda: SeedanceGenerateVideoOperator(task_id="generate", **given))


@pytest.mark.parametrize("deferrable", [True, False])
def test_prompt_becomes_a_result(emulator: Emulator, deferrable: bool) -> None:
    task = video_task(deferrable=deferrable, ratio="9:16", seed=7)
    result = task.run()
    assert set(result) == RESULT_KEYS
    assert result["video_url"].startswith("http")
    assert (result["resolution"], result["ratio"], result["duration"], result["seed"]) == ("480p", "9:16", 4, 7)
    assert result["total_tokens"] == result["expected_tokens"] == 496 * 864 * (24 * 4 + 1) // 1024
    assert task.xcom["generation_id"] == result["generation_id"]
    assert task.xcom["video_url"] == result["video_url"]
    assert len(task.deferrals) == int(deferrable)
    assert emulator.stats()["posts"] == 1


def test_what_the_triggerer_gets_and_sends_is_ids_and_numbers(emulator: Emulator) -> None:
    task = video_task(prompt="my secret plan")
    task.run()
    path, kwargs = task.deferrals[0].trigger.serialize()
    stored = json.dumps([path, kwargs, task.events])
    assert set(kwargs) == {"seedance_conn_id", "generation_id", "deadline", "submitted_at", "poll_interval"}
    assert set(task.events[0]) == {"version", "generation_id", "outcome", "reason", "message"}
    for secret in ("secret plan", "sk-emulator", "Signature", "http"):
        assert secret not in stored


def test_generation_id_is_pushed_before_the_wait_is_over(emulator: Emulator) -> None:
    emulator.fault(route="generation", fail={"code": "InternalServiceError", "message": "boom"})
    task = video_task()
    with pytest.raises(SeedanceGenerationFailedError):
        task.run()
    assert task.xcom["generation_id"] == emulator.generations()[0]["id"]


def test_without_waiting_the_id_is_returned_at_once(emulator: Emulator) -> None:
    task = video_task(wait_for_completion=False)
    assert task.run() == emulator.generations()[0]["id"] == task.xcom["generation_id"]
    assert task.deferrals == []
    assert task.store is not None
    assert task.store.record["phase"] == "delivered"


def test_backstop_of_the_framework_is_later_than_our_deadline(emulator: Emulator) -> None:
    task = video_task(timeout=100)
    task.run()
    deferred = task.deferrals[0]
    assert deferred.timeout is not None
    assert timedelta(seconds=390) < deferred.timeout <= timedelta(seconds=400)


def test_shorter_execution_timeout_bounds_the_deadline(emulator: Emulator) -> None:
    emulator.fault(route="generation", stuck=True)
    task = video_task(execution_timeout=timedelta(seconds=0.6))
    with pytest.raises(SeedanceTimeoutError, match="keeps running and is billed"):
        task.run()
    assert task.store is not None
    assert task.store.record["phase"] == "submitted"


@pytest.mark.parametrize("deferrable", [True, False])
def test_deadline_ends_in_a_timeout_that_keeps_the_record(emulator: Emulator, deferrable: bool) -> None:
    emulator.fault(route="generation", stuck=True)
    task = video_task(timeout=0.6, deferrable=deferrable)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    emulator.finish()
    assert task.store is not None
    assert task.store.record["phase"] == "submitted"
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ({"fail": {"code": "OutputVideoSensitiveContentDetected", "message": "x"}}, SeedanceModerationError),
        ({"fail": {"code": "InternalServiceError", "message": "x"}}, SeedanceGenerationFailedError),
        ({"fail": {"code": "x", "message": "任务超时（30分钟）", "plain": True}}, SeedanceGenerationFailedError),
        ({"inner": "expired"}, SeedanceGenerationFailedError),
        ({"no_link": 100}, SeedanceServiceError),
    ],
)
def test_each_bad_end_is_its_typed_error(
    emulator: Emulator, deferrable: bool, fate: dict[str, Any], expected: type[SeedanceError]
) -> None:
    emulator.fault(route="generation", **fate)
    with pytest.raises(expected) as caught:
        video_task(deferrable=deferrable).run()
    assert type(caught.value) is expected
    assert emulator.generations()[0]["id"] in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "json": {"code": "get_task_failed", "message": "x", "data": None}},
        {"status": 502, "body": "<html>Bad Gateway</html>"},
        {"status": 429, "headers": {"Retry-After": "0"}, "body": "{}"},
        {"status": 408, "body": ""},
        {"status": 200, "body": "garbage"},
        {"drop": "before_body"},
        {"drop": "mid_answer"},
    ],
)
@pytest.mark.parametrize("deferrable", [True, False])
def test_trouble_while_waiting_is_waited_out(emulator: Emulator, fault: dict[str, Any], deferrable: bool) -> None:
    emulator.fault(route="query", count=3, **fault)
    result = video_task(deferrable=deferrable).run()
    assert result["video_url"]
    assert emulator.stats()["posts"] == 1


def test_unknown_status_word_is_taken_as_running(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    emulator.fault(route="generation", status_word="DREAMING")
    assert video_task(deferrable=False).run()["video_url"]
    assert caplog.text.count("Unknown status 'DREAMING'") == 1


def test_lag_right_after_submission_is_tolerated(emulator: Emulator) -> None:
    emulator.fault(route="generation", visible_after=0.5)
    assert video_task(deferrable=False).run()["video_url"]


def test_generation_the_service_never_knew_is_not_found(emulator: Emulator) -> None:
    emulator.fault(route="generation", lose=True)
    with pytest.raises(SeedanceNotFoundError, match="does not know"):
        video_task().run()


def test_key_rotated_while_deferred_is_read_again(emulator: Emulator, connect: Callable[..., None]) -> None:
    class RotatingClock(QuickClock):
        """Has the connection's key changed after the first poll, which was refused."""

        async def sleep_async(self, seconds: float) -> None:
            await super().sleep_async(seconds)
            if emulator.stats()["queries"] > polled:
                connect(host=emulator.url, password="sk-new")

    task = video_task()
    operator, context = task.start()
    with pytest.raises(BaseException) as caught:
        operator.execute(context)
    emulator.set_api_keys("sk-new")
    polled = emulator.stats()["queries"]
    task.clock = RotatingClock()
    assert task.trigger(caught.value)["outcome"] == "succeeded"  # type: ignore[arg-type]


def test_key_that_stays_refused_ends_in_an_error(emulator: Emulator) -> None:
    emulator.fault(
        route="query", skip=1, count=0, status=401, json={"error": {"message": "Invalid token", "type": "x"}}
    )
    with pytest.raises(SeedanceAuthError):
        video_task().run()


# -- bad input


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"duration": 3}, "duration"),
        ({"duration": 16}, "duration"),
        ({"duration": "five"}, "duration"),
        ({"duration": 4.5}, "duration"),
        ({"resolution": "4000p"}, "resolution"),
        ({"ratio": "5:4"}, "ratio"),
        ({"timeout": 0}, "timeout"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"on_ambiguous_submission": "whatever"}, "on_ambiguous_submission"),
    ],
)
def test_literal_mistakes_are_found_when_the_dag_is_parsed(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(SeedanceRequestError, match=field) as caught:
        SeedanceGenerateVideoOperator(task_id="generate", **{"prompt": "a cat", **arguments})
    assert caught.value.field == field


@pytest.mark.parametrize(("duration", "field"), [("{{ 16 }}", "duration"), ("{{ 'five' }}", "duration")])
def test_rendered_mistakes_are_found_before_anything_is_paid(emulator: Emulator, duration: str, field: str) -> None:
    def make() -> SeedanceGenerateVideoOperator:
        with DAG("d"):
            operator = SeedanceGenerateVideoOperator(task_id="generate", prompt="a cat", duration=duration)
        operator.render_template_fields({})
        return operator

    with pytest.raises(SeedanceRequestError) as caught:
        Task(make).run()
    assert caught.value.field == field
    assert emulator.stats()["posts"] == 0


def test_rendered_strings_are_taken_where_their_meaning_is_plain(emulator: Emulator) -> None:
    def make() -> SeedanceGenerateVideoOperator:
        with DAG("d"):
            operator = SeedanceGenerateVideoOperator(
                task_id="g", prompt="a cat", duration="{{ 4 }}", generate_audio="{{ 'false' }}", resolution="480p"
            )
        operator.render_template_fields({})
        operator.poll_interval = 0.1
        return operator

    Task(make).run()
    body = emulator.generations()[0]["request"]
    assert (body["duration"], body["generate_audio"]) == (4, False)


def test_model_comes_from_the_connection_where_none_is_named(emulator: Emulator, connect: Callable[..., None]) -> None:
    connect(host=emulator.url, extra={"model": "seedance-2.0-ultra"})
    video_task(resolution="720p").run()
    assert emulator.generations()[0]["request"]["model"] == "seedance-2.0-ultra"


def test_unknown_connection_is_named() -> None:
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        video_task(seedance_conn_id="nowhere").run()


@pytest.mark.parametrize(
    ("change", "expected", "remedy"),
    [
        ({"password": ""}, SeedanceAuthError, "password"),
        ({"password": "sk-wrong"}, SeedanceAuthError, "seedance_default"),
        ({"host": "http://127.0.0.1:1"}, SeedanceServiceError, "host"),
        ({"host": "http://no-such-host.invalid"}, SeedanceServiceError, "host"),
    ],
)
def test_connection_mistakes_name_the_field(
    emulator: Emulator,
    connect: Callable[..., None],
    change: dict[str, Any],
    expected: type[SeedanceError],
    remedy: str,
) -> None:
    connect(**{"host": emulator.url, **change})
    with pytest.raises(expected, match=remedy):
        video_task().run()
    assert emulator.stats()["created"] == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            {"status": 403, "json": {"code": "insufficient_user_quota", "message": "x", "data": None}},
            SeedanceBalanceError,
        ),
        ({"status": 400, "json": {"code": "invalid_request", "message": "x", "data": None}}, SeedanceRequestError),
    ],
)
def test_refused_submission_is_its_typed_error_and_leaves_no_record(
    emulator: Emulator, answer: dict[str, Any], expected: type[SeedanceError]
) -> None:
    emulator.fault(route="create", **answer)
    task = video_task()
    with pytest.raises(expected):
        task.run()
    assert task.store is not None
    assert task.store.record is None


def test_moderated_prompt_is_an_input_moderation_without_the_prompt_in_its_message(emulator: Emulator) -> None:
    with pytest.raises(SeedanceInputModerationError) as caught:
        video_task(prompt="please emulator:moderate-input this").run()
    assert (caught.value.stage, caught.value.item) == ("input", "prompt")
    assert "please" not in str(caught.value)


def test_task_log_tells_the_story_without_secrets(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    result = video_task(prompt="my secret plan").run()
    log = capsys.readouterr().out + caplog.text
    for event in ("Submitted generation", "Deferring until", "SUCCESS, 100%", "succeeded:"):
        assert event in log
    for secret in ("secret plan", "sk-emulator", result["video_url"].partition("?")[2]):
        assert secret not in log


def test_link_that_has_expired_costs_nothing_and_holds_no_paid_generation_back(emulator: Emulator) -> None:
    link = "https://a.example/cat.png?X-Amz-Expires=60&X-Amz-Signature=x&X-Amz-Date="
    task = video_task(first_frame=f"{link}20260101T000000Z", timeout=1000)
    with pytest.raises(SeedanceRequestError, match=r"expired at 2026-01-01T00:01:00\+00:00") as caught:
        task.run()
    assert caught.value.field == "first_frame"
    assert emulator.stats()["posts"] == 0

    alive = f"{link}29990101T000000Z"
    task = Task(
        lambda: SeedanceGenerateVideoOperator(
            task_id="generate", first_frame=alive, resolution="480p", duration=4, poll_interval=0.1
        )
    )
    task.run()
    alive = f"{link}20260101T000000Z"
    assert task.run()["video_url"]
    assert emulator.stats()["posts"] == 1
