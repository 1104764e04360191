"""
Whatever dies when, nothing is paid twice and nothing paid for is lost.

A worker dies here by :class:`WorkerCrash` at each of its writes; the next try runs with what the store kept. The same,
with real signals on a real Airflow, is in ``tests/e2e/test_faults.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedance.api.paid_answer import SUBMIT_ATTEMPTS
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceAuthError,
    SeedanceError,
    SeedanceGenerationFailedError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTimeoutError,
)
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from tests.harness import Task, TaskStateStore, WorkerCrash

WAYS = [{"deferrable": True}, {"deferrable": False}]


def video_task(**arguments: Any) -> Task:
    given = {"prompt": "a cat", "resolution": "480p", "duration": 4, "poll_interval": 0.1, **arguments}
    return Task(lambda: SeedanceGenerateVideoOperator(task_id="generate", **given))


def store_of(task: Task) -> TaskStateStore:
    assert task.store is not None
    return task.store


def die_at(task: Task, phase: str, *, written: bool) -> None:
    """Have the worker die at the write of this phase, before or after it is stored."""
    store = store_of(task)

    def crash(value: Any) -> None:
        if value.get("phase") == phase:
            store.before_set = store.after_set = lambda value: None
            raise WorkerCrash(phase)

    if written:
        store.after_set = crash
    else:
        store.before_set = crash


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("phase", "written"), [("intent", False), ("submitted", True), ("delivered", False), ("delivered", True)]
)
def test_worker_that_dies_is_followed_by_one_that_delivers_the_same_generation(
    emulator: Emulator, way: dict[str, Any], phase: str, written: bool
) -> None:
    task = video_task(**way)
    die_at(task, phase, written=written)
    with pytest.raises(WorkerCrash):
        task.run()
    result = task.run()
    assert result["generation_id"] == emulator.generations()[0]["id"]
    assert (emulator.stats()["posts"], emulator.stats()["created"]) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("phase", "written", "created"), [("intent", True, 0), ("submitted", False, 1)])
def test_worker_that_dies_between_intent_and_id_stops_until_a_person_clears(
    emulator: Emulator, way: dict[str, Any], phase: str, written: bool, created: int
) -> None:
    task = video_task(**way)
    die_at(task, phase, written=written)
    with pytest.raises(WorkerCrash):
        task.run()
    for _ in range(2):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match=r"[Cc]learing the task submits again"):
            task.run()
    assert store_of(task).record["phase"] == "reported"
    assert emulator.stats()["created"] == created
    task.clear()
    assert task.run()["video_url"]
    assert emulator.stats()["created"] == created + 1


def fail_writes(task: Task, phase: str, times: int) -> None:
    """Have the store refuse to write this phase so many times, as when Airflow's API server is away."""
    left = [times]

    def refuse(value: Any) -> None:
        if value.get("phase") == phase and left[0]:
            left[0] -= 1
            raise RuntimeError("API_SERVER_ERROR: connection refused")

    store_of(task).before_set = refuse


@pytest.mark.parametrize("way", WAYS)
def test_id_is_recorded_once_airflow_can_be_reached_again(emulator: Emulator, way: dict[str, Any]) -> None:
    task = video_task(**way)
    fail_writes(task, "submitted", 5)
    assert task.run()["generation_id"] == emulator.generations()[0]["id"]
    assert store_of(task).record["phase"] == "delivered"
    assert emulator.stats()["posts"] == 1


def test_id_that_cannot_be_recorded_is_in_the_log_and_nothing_is_submitted_again(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    task = video_task()
    fail_writes(task, "submitted", 10**9)
    with caplog.at_level("INFO"), pytest.raises(RuntimeError, match="connection refused"):
        task.run()
    assert f"Submitted generation {emulator.generations()[0]['id']}" in caplog.text
    with pytest.raises(SeedanceAmbiguousSubmissionError):
        task.run()
    assert emulator.stats()["posts"] == 1


def test_resubmit_submits_after_a_death_between_intent_and_id(emulator: Emulator) -> None:
    task = video_task(on_ambiguous_submission="resubmit")
    die_at(task, "submitted", written=False)
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.run()["generation_id"] == emulator.generations()[1]["id"]


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "after_body"},
        {"status": 504, "body": "<html>", "accept": True},
        {"status": 302, "headers": {"Location": "/elsewhere"}, "body": "", "accept": True},
        {"status": 404, "json": {"detail": "Not Found"}, "accept": True},
        {"status": 403, "body": "<html>forbidden</html>", "accept": True},
        {"status": 500, "json": {"code": "do_request_failed", "message": "x", "data": None}, "accept": True},
    ],
)
def test_lost_answer_stops_at_once_and_is_never_submitted_silently(emulator: Emulator, fault: dict[str, Any]) -> None:
    emulator.fault(route="create", **fault)
    task = video_task()
    for _ in range(3):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match="may"):
            task.run()
    assert emulator.stats()["posts"] == 1
    task.clear()
    assert task.run()["video_url"]


def test_lost_answer_is_resubmitted_once_when_told(emulator: Emulator) -> None:
    emulator.fault(route="create", drop="after_body")
    assert video_task(on_ambiguous_submission="resubmit").run()["video_url"]
    assert emulator.stats()["posts"] == 2


def test_resubmission_ends_when_answers_keep_getting_lost(emulator: Emulator) -> None:
    emulator.fault(route="create", drop="after_body", count=0)
    with pytest.raises(SeedanceAmbiguousSubmissionError):
        video_task(on_ambiguous_submission="resubmit").run()
    assert emulator.stats()["posts"] == 2


@pytest.mark.parametrize("way", WAYS)
def test_clear_while_it_runs_attaches_again(emulator: Emulator, way: dict[str, Any]) -> None:
    emulator.fault(route="generation", stuck=True)
    task = video_task(**way, timeout=0.4)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    emulator.clear_faults()
    task.clear()
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("way", WAYS)
def test_retry_after_a_timeout_picks_the_video_up(slow_emulator: Emulator, way: dict[str, Any]) -> None:
    task = video_task(**way, timeout=0.1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    slow_emulator.finish()
    assert task.run()["video_url"]
    assert slow_emulator.stats()["posts"] == 1


def test_retry_submits_again_after_a_failure_which_is_refunded(emulator: Emulator) -> None:
    emulator.fault(route="generation", fail={"code": "InternalServiceError", "message": "x"})
    task = video_task()
    with pytest.raises(SeedanceGenerationFailedError):
        task.run()
    result = task.run()
    stats = emulator.stats()
    assert (stats["posts"], stats["billed"], stats["refunded"]) == (2, 1, 1)
    assert result["generation_id"] == emulator.generations()[1]["id"]


def test_generation_that_the_service_denies_is_for_a_person_to_decide(emulator: Emulator) -> None:
    emulator.fault(route="generation", lose=True)
    task = video_task(wait_for_completion=True, timeout=0.2)
    with pytest.raises(SeedanceError):
        task.run()
    task.clock.sleep(60)
    task.make = video_task().make
    generation_id = emulator.generations()[0]["id"]
    for _ in range(2):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match=f"accepted.*does not know.*{generation_id}"):
            task.run()
    assert emulator.stats()["posts"] == 1
    task.clear()
    assert task.run()["video_url"]
    assert emulator.stats()["posts"] == 2


def test_denied_generation_that_is_known_again_is_delivered(emulator: Emulator) -> None:
    unknown = {"code": "task_not_exist", "message": "task_not_exist", "data": None}
    emulator.fault(route="query", status=400, json=unknown, count=0)
    task = video_task()
    for expected in (SeedanceNotFoundError, SeedanceAmbiguousSubmissionError):
        with pytest.raises(expected):
            task.run()
        task.clock.sleep(60)
    emulator.clear_faults()
    assert task.run()["video_url"]
    assert emulator.stats()["posts"] == 1


def test_not_found_right_after_submission_is_no_reason_to_pay_again(emulator: Emulator) -> None:
    emulator.fault(route="generation", visible_after=0.6)
    task = video_task()
    die_at(task, "submitted", written=True)
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.run()["video_url"]
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "json": {"code": "get_task_failed", "message": "x", "data": None}},
        {"status": 404, "body": "<html>no such page</html>"},
        {"status": 200, "json": {}},
        {"status": 401, "json": {"error": {"message": "Invalid token", "type": "x", "code": ""}}},
        {"drop": "before_body"},
    ],
)
def test_service_that_cannot_be_asked_never_means_absent(emulator: Emulator, fault: dict[str, Any]) -> None:
    task = video_task()
    die_at(task, "submitted", written=True)
    with pytest.raises(WorkerCrash):
        task.run()
    emulator.fault(route="query", count=0, **fault)
    with pytest.raises(SeedanceError):
        task.run()
    assert store_of(task).record["phase"] == "submitted"
    emulator.clear_faults()
    assert task.run()["video_url"]
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("way", WAYS)
def test_clear_before_airflow_has_the_success_pays_nothing(emulator: Emulator, way: dict[str, Any]) -> None:
    task = video_task(**way)

    def die() -> None:
        task.before_callbacks = lambda: None
        raise WorkerCrash("after it returned")

    task.before_callbacks = die
    with pytest.raises(WorkerCrash):
        task.run()
    task.clear()
    assert task.run()["generation_id"] == emulator.generations()[0]["id"]
    assert emulator.stats()["created"] == 1
    task.clear()
    task.run()
    assert emulator.stats()["created"] == 2


def test_clear_of_a_task_that_a_person_failed_meanwhile_pays_nothing(emulator: Emulator) -> None:
    task = video_task()
    task.before_callbacks = lambda: setattr(task, "state", "failed")
    task.run()
    assert store_of(task).record["phase"] == "submitted"
    task.clear()
    task.run()
    assert emulator.stats()["created"] == 1


def test_own_success_callbacks_run_too(emulator: Emulator) -> None:
    seen: list[str] = []

    def note_phase(context: Any) -> None:
        seen.append(context["task_state_store"].record["phase"])

    task = video_task(on_success_callback=note_phase)
    task.run()
    assert seen == ["submitted"]
    assert store_of(task).record["phase"] == "delivered"


def test_clear_after_delivery_makes_a_new_video(emulator: Emulator) -> None:
    task = video_task()
    first = task.run()
    task.clear()
    assert task.run()["generation_id"] != first["generation_id"]
    assert emulator.stats()["posts"] == 2


def test_retry_never_pays_for_a_changed_request_and_clearing_does(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    task = video_task(timeout=0.1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    task.make = video_task(prompt="a dog").make
    assert task.run()["generation_id"] == emulator.generations()[0]["id"]
    assert "clearing the task submits the new request" in caplog.text
    task.clear()
    assert task.run()["video_url"]
    assert [made["request"]["content"][0]["text"] for made in emulator.generations()] == ["a cat", "a dog"]


def test_retry_after_clearing_is_a_retry_and_never_pays_for_a_changed_request(emulator: Emulator) -> None:
    emulator.fault(route="generation", stuck=True)
    task = video_task(timeout=0.1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    task.clear()
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    task.make = video_task(prompt="a dog", timeout=0.1).make
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    assert emulator.stats()["posts"] == 1


def test_retry_after_a_query_that_failed_after_clearing_never_pays_for_a_changed_request(emulator: Emulator) -> None:
    task = video_task(timeout=0.1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    task.clear()
    emulator.fault(route="query", status=403, body="<html>log in</html>", count=0)
    with pytest.raises(SeedanceServiceError):
        task.run()
    emulator.clear_faults()
    task.make = video_task(prompt="a dog").make
    assert task.run()["generation_id"] == emulator.generations()[0]["id"]
    assert emulator.stats()["posts"] == 1


def test_retries_lowered_in_the_dag_are_no_clearing(emulator: Emulator) -> None:
    task = video_task(timeout=0.1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()
    task.retries = 0
    task.make = video_task(prompt="a dog").make
    assert task.run()["generation_id"] == emulator.generations()[0]["id"]
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize("on_ambiguous_submission", ["fail", "resubmit"])
def test_lost_answer_that_names_the_generation_is_attached_to(emulator: Emulator, on_ambiguous_submission: str) -> None:
    task = video_task(wait_for_completion=False)
    task.run()
    made = emulator.generations()[0]["id"]
    emulator.fault(route="create", status=502, body=f"the upstream made {made}, and then it broke")
    task = video_task(on_ambiguous_submission=on_ambiguous_submission)
    with pytest.raises(SeedanceAmbiguousSubmissionError, match=made):
        task.run()
    assert task.run()["generation_id"] == made
    assert emulator.stats()["created"] == 1


@pytest.mark.parametrize("written", [True, False])
def test_doubt_is_told_even_if_that_cannot_be_recorded(emulator: Emulator, written: bool) -> None:
    emulator.fault(route="create", drop="after_body")
    task = video_task()

    def be_unreachable(value: Any) -> None:
        if value["phase"] == "reported":
            raise ConnectionError

    if written:
        store_of(task).after_set = be_unreachable
    else:
        store_of(task).before_set = be_unreachable
    with pytest.raises(SeedanceAmbiguousSubmissionError, match="may exist and be billed"):
        task.run()


def test_refusal_of_a_resubmission_names_the_lost_call_and_keeps_its_record(emulator: Emulator) -> None:
    emulator.fault(route="create", drop="after_body")
    emulator.fault(route="create", status=400, body='{"code": "invalid_request", "message": "x", "data": null}')
    task = video_task(on_ambiguous_submission="resubmit")
    with pytest.raises(SeedanceRequestError, match=r"An earlier paid call was sent at .* may be billed"):
        task.run()
    assert store_of(task).record["phase"] == "intent"
    assert emulator.stats()["posts"] == 2


def test_submission_that_replaces_a_running_generation_and_is_refused_names_it(emulator: Emulator) -> None:
    task = video_task()
    die_at(task, "submitted", written=True)
    with pytest.raises(WorkerCrash):
        task.run()
    running = emulator.generations()[0]["id"]
    task.make = video_task(prompt="a dog").make
    task.clear()
    emulator.fault(route="create", status=400, body='{"code": "invalid_request", "message": "x", "data": null}')
    with pytest.raises(SeedanceRequestError, match=running):
        task.run()
    task.run()
    assert emulator.stats()["created"] == 2


@pytest.mark.parametrize("where", ["retry", "completion"])
def test_generation_that_cannot_be_queried_is_named(emulator: Emulator, where: str) -> None:
    task = video_task(deferrable=where == "completion")
    if where == "retry":
        die_at(task, "submitted", written=True)
        with pytest.raises(WorkerCrash):
            task.run()
    else:
        finish = task.trigger

        def revoke_key(deferred: TaskDeferred) -> Any:
            event = finish(deferred)
            emulator.set_api_keys("sk-new")
            return event

        task.trigger = revoke_key  # type: ignore[method-assign]
    generation = emulator.generations()
    if where == "retry":
        emulator.set_api_keys("sk-new")
    with pytest.raises(SeedanceAuthError) as refused:
        task.run()
    generation = generation or emulator.generations()
    assert generation[0]["id"] in str(refused.value)


def test_default_model_edited_in_the_connection_is_no_other_request(
    emulator: Emulator, connect: Callable[..., None]
) -> None:
    task = video_task()
    die_at(task, "submitted", written=True)
    with pytest.raises(WorkerCrash):
        task.run()
    connect({"model": "seedance-2.0-fast"}, host=emulator.url)
    task.clear()
    task.run()
    assert emulator.stats()["created"] == 1


@pytest.mark.parametrize(
    "body", ['{"status": "failed"}', '{"data": {"task_id": "asyntask_other", "status": "FAILURE"}}']
)
def test_answer_about_something_else_is_no_failure_to_pay_again_for(emulator: Emulator, body: str) -> None:
    task = video_task()
    die_at(task, "submitted", written=True)
    with pytest.raises(WorkerCrash):
        task.run()
    emulator.fault(route="query", status=200, body=body)
    task.run()
    assert emulator.stats()["created"] == 1


def test_id_that_cannot_be_pushed_fails_no_task_that_would_pay_again(emulator: Emulator) -> None:
    task = video_task(durable=False)
    start = task.start

    def without_xcom() -> Any:
        operator, context = start()

        def refuse(key: str, value: Any) -> None:
            raise ConnectionError

        context["ti"].xcom_push = refuse
        return operator, context

    task.start = without_xcom  # type: ignore[method-assign]
    assert task.run()["generation_id"] == emulator.generations()[0]["id"]


def test_id_that_cannot_be_queried_is_named_until_a_person_clears(emulator: Emulator) -> None:
    emulator.fault(route="create", accept=True, status=200, body=json.dumps({"id": "task 9/a"}))
    task = video_task()
    for _ in range(2):
        with pytest.raises(SeedanceAmbiguousSubmissionError, match="task 9/a"):
            task.run()
    assert emulator.stats()["posts"] == 1
    task.clear()
    task.run()
    assert emulator.stats()["posts"] == 2


@pytest.mark.parametrize("failures", [1, 1000])
def test_refusal_is_told_even_if_the_record_cannot_be_deleted(emulator: Emulator, failures: int) -> None:
    emulator.fault(route="create", status=403, json={"code": "insufficient_user_quota", "message": "x", "data": None})
    task = video_task()
    store, left = store_of(task), [None] * failures
    delete = store.delete

    def fail(key: str) -> None:
        if left:
            left.pop()
            raise ConnectionError("the API server is away")
        delete(key)

    store.delete = fail  # type: ignore[method-assign]
    with pytest.raises(SeedanceError) as caught:
        task.run()
    assert not isinstance(caught.value, SeedanceAmbiguousSubmissionError)
    assert (store.record is None) == (failures == 1)


@pytest.mark.parametrize("way", WAYS)
def test_request_that_can_no_longer_be_built_does_not_cost_the_video(emulator: Emulator, way: dict[str, Any]) -> None:
    task = video_task(timeout=0.1)
    with pytest.raises(SeedanceTimeoutError):
        task.run()

    def make() -> SeedanceGenerateVideoOperator:
        operator = SeedanceGenerateVideoOperator(task_id="generate", prompt="a cat", poll_interval=0.1, **way)
        operator.prompt = ["as a template", "may render it"]  # type: ignore[assignment]
        return operator

    task.make = make
    result = task.run()
    assert result["generation_id"] == emulator.generations()[0]["id"]
    assert (result["expected_tokens"], result["prompt_fingerprint"]) == (None, None)
    task.clear()
    with pytest.raises(SeedanceRequestError, match="prompt"):
        task.run()
    assert emulator.stats()["posts"] == 1


@pytest.mark.parametrize(
    "fault", [{"status": 403, "body": "<html>log in</html>"}, {"status": 302, "headers": {"Location": "/login"}}]
)
def test_another_answer_where_the_result_is_fetched_is_retried(emulator: Emulator, fault: dict[str, Any]) -> None:
    task = video_task()
    operator, context = task.start()
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    event = task.trigger(deferred.value)
    emulator.fault(route="query", **fault)
    operator, context = task.start()
    assert operator.execute_complete(context, event=event)["video_url"]  # type: ignore[attr-defined]
    emulator.fault(route="query", count=0, **fault)
    operator, context = task.start()
    with pytest.raises(SeedanceServiceError) as caught:
        operator.execute_complete(context, event=event)  # type: ignore[attr-defined]
    assert not isinstance(caught.value, AirflowFailException)


def test_delivery_that_cannot_be_recorded_still_returns_the_video(emulator: Emulator) -> None:
    task = video_task()
    store = store_of(task)

    def fail(value: Any) -> None:
        if value["phase"] == "delivered":
            raise ConnectionError("the API server is away")

    store.before_set = fail
    assert task.run()["video_url"]


def test_refused_submission_is_submitted_by_the_retry(emulator: Emulator) -> None:
    refusal = {"code": "build_request_failed", "message": "x", "data": None}
    emulator.fault(route="create", status=500, json=refusal)
    task = video_task()
    with pytest.raises(SeedanceServiceError):
        task.run()
    assert store_of(task).record is None
    assert task.run()["video_url"]
    assert emulator.stats()["created"] == 1


@pytest.mark.parametrize(("phase", "written"), [("submitted", True), ("delivered", True)])
def test_without_waiting_a_retry_returns_the_same_id(emulator: Emulator, phase: str, written: bool) -> None:
    task = video_task(wait_for_completion=False)
    die_at(task, phase, written=written)
    with pytest.raises(WorkerCrash):
        task.run()
    assert task.run() == emulator.generations()[0]["id"]
    assert emulator.stats()["posts"] == 1


def forget(task: Task) -> None:
    task.store = None


def be_fleeting(task: Task) -> None:
    task.make = video_task(durable=False).make


@pytest.mark.parametrize("oblivious", [forget, be_fleeting])
def test_without_memory_each_try_submits(emulator: Emulator, oblivious: Callable[[Task], None]) -> None:
    task = video_task()
    oblivious(task)
    task.run()
    task.run()
    assert emulator.stats()["posts"] == 2


def test_record_holds_neither_prompt_nor_key_nor_link(emulator: Emulator) -> None:
    task = video_task(prompt="my secret plan")
    task.run()
    record = store_of(task).record
    assert set(record) == {"version", "fingerprint", "generation_id", "submitted_at", "phase", "first_try", "max_tries"}
    for secret in ("secret", "sk-emulator", "http"):
        assert secret not in str(record)


def writes_of(task: Task) -> list[str | None]:
    """Record the phases that a task writes from now on, None for a record that is deleted."""
    store = store_of(task)
    seen: list[str | None] = []
    delete = store.delete

    def deleted(key: str) -> None:
        seen.append(None)
        delete(key)

    store.after_set = lambda value: seen.append(value["phase"])
    store.delete = deleted  # type: ignore[method-assign]
    return seen


def test_intent_is_written_before_each_attempt_and_deleted_after_each_that_created_nothing(emulator: Emulator) -> None:
    emulator.fault(route="create", status=429, body="{}", count=2)
    task = video_task(wait_for_completion=False)
    seen = writes_of(task)
    task.run()
    assert seen == ["intent", None, "intent", None, "intent", "submitted", "delivered"]
    assert emulator.stats()["created"] == 1


@pytest.mark.usefixtures("emulator")
def test_connection_that_is_never_made_leaves_no_record(connect: Callable[..., None]) -> None:
    connect(host="http://127.0.0.1:1")
    task = video_task()
    seen = writes_of(task)
    with pytest.raises(SeedanceServiceError, match="cannot be reached"):
        task.run()
    assert seen == ["intent", None] * SUBMIT_ATTEMPTS
    assert store_of(task).values == {}


def test_connection_that_cannot_be_read_leaves_no_record(emulator: Emulator, connect: Callable[..., None]) -> None:
    connect(host=emulator.url, password="")
    task = video_task(model="seedance-2.0")
    seen = writes_of(task)
    with pytest.raises(SeedanceAuthError):
        task.run()
    assert seen == []


def test_call_that_cannot_be_sent_leaves_no_record(emulator: Emulator, connect: Callable[..., None]) -> None:
    connect(host="https://a..b")
    task = video_task()
    seen = writes_of(task)
    with pytest.raises(SeedanceRequestError, match="cannot be called"):
        task.run()
    assert seen == ["intent", None]


def test_lost_response_is_told_even_if_the_id_that_it_names_cannot_be_recorded(emulator: Emulator) -> None:
    emulator.fault(route="create", status=500, json={"code": "x", "message": "made asyntask_h81efT0qwtL", "data": None})
    task = video_task()

    def be_unreachable(value: Any) -> None:
        if value["generation_id"] is not None:
            raise ConnectionError

    store_of(task).before_set = be_unreachable
    with pytest.raises(SeedanceAmbiguousSubmissionError, match="asyntask_h81efT0qwtL"):
        task.run()
