"""The faults, each at every point where it can happen. A case fails unless its videos are delivered in the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.e2e.faults.campaign import SPEED, Case, CaseRun, wait_until
from tests.e2e.faults.network import Wire
from tests.e2e.faults.service import ServiceProcess
from tests.e2e.faults.stage import DEFERRING, WAITING

AMBIGUOUS = "SeedanceAmbiguousSubmissionError"
#: Seconds that a service is broken.
A_MINUTE = 60.0
#: Seconds that a component is down.
A_WHILE = 5.0

#: One of the codes that are known to come before anything is created.
REFUSAL: dict[str, Any] = {"status": 500, "json": {"code": "get_channel_failed", "message": "x", "data": None}}
GATEWAY_ERROR: dict[str, Any] = {"status": 500, "json": {"code": "get_task_failed", "message": "x", "data": None}}
TOO_MANY: dict[str, Any] = {
    "status": 429,
    "json": {"error": {"message": "slow down", "type": "x", "code": "rate_limit_exceeded"}},
}
GARBAGE: dict[str, Any] = {"status": 200, "body": "<html>welcome to the captive portal</html>"}


# -- the worker dies -------------------------------------------------------------------------------------------------


def worker_killed(case: Case, *, at: str, dag_id: str) -> None:
    """Kill the worker at a point: Airflow retries, and the retry delivers without paying."""
    run = case.run(stand_still_at=at, dag_id=dag_id)
    run.wait_until_it_stands_still()
    run.kill_worker()
    case.wait_until_delivered()
    assert case.service.stats()["posts"] == 1


def worker_killed_and_cleared(case: Case, *, at: str) -> None:
    """Kill the worker before the delivery is recorded, and clear the task: it finishes from the same generation."""
    run = case.run(stand_still_at=at)
    run.wait_until_it_stands_still()
    run.kill_worker()
    case.wait_until_delivered()
    run.clear()
    case.wait_until_delivered()
    assert case.service.stats()["posts"] == 1


def worker_stalled_and_replaced(case: Case) -> None:
    """Stall the worker before it pays until Airflow has started another try, then resume it: too late to pay."""
    run = case.run(stand_still_at="before intent")
    run.wait_until_it_stands_still()
    stalled = run.kill_worker(signal.SIGSTOP)
    case.wait_until_delivered()
    run.go_on()
    processes = case.stage.airflow.processes_of(stalled)
    assert processes
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: not case.stage.airflow.processes_of(stalled), "the end of the try that stalled")
    assert case.service.stats()["posts"] == 1


def worker_killed_with_the_answer_unknown(case: Case, *, at: str, dag_id: str = DEFERRING) -> None:
    """Kill the worker between intent and id: the retry stops, and clearing the task makes the video."""
    run = case.run(stand_still_at=at, dag_id=dag_id)
    run.wait_until_it_stands_still()
    run.kill_worker()
    stops_until_cleared(case, run, posts=case.unknown)


def worker_killed_during_the_call(case: Case, *, accept: bool, dag_id: str) -> None:
    """Kill the worker while the service has its paid call and has not answered."""
    case.service.fault(route="create", hang=600, accept=accept)
    run = case.run(dag_id=dag_id)
    wait_until(lambda: case.service.stats()["posts"] == 1, "the paid call")
    wait_until(lambda: case.service.stats()["created"] == accept, "what becomes of it")
    run.kill_worker()
    stops_until_cleared(case, run, posts=1)


def answer_lost(case: Case, **fault: Any) -> None:
    """Lose the response to the paid call: it never comes, or cannot be read."""
    case.service.fault(route="create", **fault)
    stops_until_cleared(case, case.run(), posts=1)


def stops_until_cleared(case: Case, run: CaseRun, *, posts: int) -> None:
    """Check that a run stops with the error that a person has to see and submits nothing, and clear it."""
    run.wait_until_failed(AMBIGUOUS)
    assert case.service.stats()["posts"] == posts
    run.clear()
    case.wait_until_delivered()
    assert case.service.stats()["posts"] == posts + 1


# -- a person intervenes ---------------------------------------------------------------------------------------------


def cleared_while_deferred(case: Case) -> None:
    run = case.run()
    run.wait_until_deferred()
    run.clear()
    case.wait_until_delivered()


def cleared_while_the_worker_waits(case: Case) -> None:
    run = case.run(dag_id=WAITING, stand_still_at="after submitted")
    run.wait_until_it_stands_still()
    run.clear()
    case.wait_until_delivered()


def marked_while_deferred(case: Case, state: str) -> None:
    run = case.run()
    run.wait_until_deferred()
    run.mark(state)
    # there is nothing to save: if success is marked, the downstream task fails
    run.wait_until_over("failed")
    assert case.service.stats()["posts"] == 1
    run.clear()
    case.wait_until_delivered()


def cleared_after_success(case: Case) -> None:
    """Clear a task that has succeeded: the only way to get, and pay for, a second video."""
    run = case.run()
    case.wait_until_delivered()
    run.clear()
    case.wait_until_delivered()
    assert len(case.delivered) == 2


def key_rotated(case: Case) -> None:
    """Put the new key into the connection, then revoke the old one."""
    run = case.run()
    run.wait_until_deferred()
    case.connect(case.service.url, "sk-new")
    case.service.set_api_keys("sk-new")
    case.wait_until_delivered()
    assert "SeedanceAuthError" not in run.log()


def key_revoked(case: Case) -> None:
    """Revoke the key before the connection has the new one: the task fails, and clearing it re-attaches."""
    run = case.run()
    run.wait_until_deferred()
    case.service.set_api_keys("sk-new")
    run.wait_until_failed("SeedanceAuthError")
    case.connect(case.service.url, "sk-new")
    run.clear()
    case.wait_until_delivered()


# -- the service, and the way to it ----------------------------------------------------------------------------------


def out_of_order_while_polled(case: Case, **answer: Any) -> None:
    run = case.run()
    run.wait_until_deferred()
    before = case.service.stats()["queries"]
    case.service.fault(route="query", count=0, **answer)
    time.sleep(A_MINUTE)
    assert case.service.stats()["queries"] > before
    assert run.generate().state == "deferred"
    case.service.clear_faults()
    case.wait_until_delivered()


def out_of_order_when_it_completes(case: Case, **answer: Any) -> None:
    """Break the service after the trigger has seen the success, and before the worker asks for the video."""
    run = case.run(stand_still_at="execute_complete")
    run.wait_until_it_stands_still()
    case.service.fault(route="query", count=6, **answer)
    run.go_on()
    case.wait_until_delivered()


def out_of_order_when_submitted(case: Case, **answer: Any) -> None:
    """Refuse calls: they cost nothing and are repeated, in place or by Airflow's retries, until one is accepted."""
    case.service.fault(route="create", count=4, **answer)
    case.run()
    case.wait_until_delivered()
    assert case.service.stats()["posts"] == 5


def network_gone_while_polled(case: Case, *, silently: bool) -> None:
    wire = connected_by_wire(case)
    run = case.run()
    run.wait_until_deferred()
    wire.cut(silently=silently)
    time.sleep(A_MINUTE / 2)
    assert run.generate().state == "deferred"
    wire.mend()
    case.wait_until_delivered()


def network_gone_when_submitted(case: Case) -> None:
    """Refuse connections: without one there is no paid call, so it is tried again."""
    wire = connected_by_wire(case)
    wire.cut(silently=False)
    run = case.run()
    wait_until(lambda: "Nothing was created." in run.log(), "a failed call")
    wire.mend()
    case.wait_until_delivered()
    assert case.service.stats()["posts"] == 1


def connected_by_wire(case: Case) -> Wire:
    wire = Wire(case.service.url)
    case.stack.callback(wire.close)
    case.connect(wire.url)
    return wire


def service_restarted(case: Case) -> None:
    """Kill the service with generations running and a call unanswered, and restart it with its state."""
    service = ServiceProcess(
        case.stage.airflow.family, f"service-{case.slug}", case.stage.folder / f"{case.slug}.state", SPEED
    )
    case.stack.callback(service.kill)
    case.service = service
    case.connect(service.url)
    deferred = [case.run() for _ in range(2)]
    for run in deferred:
        run.wait_until_deferred()
    posts = service.stats()["posts"]
    service.fault(route="create", hang=600)
    calling = case.run()
    wait_until(lambda: service.stats()["created"] == posts + 1, "the paid call")
    service.kill()
    late = case.run()
    calling.wait_until_failed(AMBIGUOUS)
    wait_until(lambda: "Nothing was created." in late.log(), "a call to the service that is down")
    service.start()
    calling.clear()
    case.wait_until_delivered()
    # one per run, and a second one for the run whose response was lost
    assert service.stats()["posts"] == len(case.runs) + 1


# -- Airflow's components, with runs in flight -----------------------------------------------------------------------


def triggerer_killed(case: Case, signum: int) -> None:
    runs = [case.run() for _ in range(4)]
    for run in runs:
        run.wait_until_deferred()
    holder = case.stage.holder_of(runs[0].generate())
    assert holder is not None
    case.stage.airflow.family.kill(holder, signum)
    case.wait_until_delivered()
    case.stage.start_triggerer(holder)


def scheduler_restarted(case: Case, signum: int) -> None:
    runs = in_flight(case)
    case.stage.airflow.family.kill("scheduler", signum)
    queued = case.run()
    case.stage.airflow.restart("scheduler")
    case.wait_until_delivered([*runs, queued])


def api_server_restarted(case: Case) -> None:
    """
    Answer the paid call while the worker cannot reach Airflow: it records the id once the server is back.

    If that takes longer than Airflow waits for a worker's heartbeat, as it can on a busy machine, Airflow ends the
    worker first. Then the retry must not pay, and reports the lost response to a person.
    """
    in_flight(case)
    calling = call_in_flight(case)
    case.stage.airflow.family.kill("api-server", signal.SIGKILL)
    time.sleep(A_WHILE)
    case.stage.airflow.restart("api-server")
    assert calling.run_id
    if calling.wait_for(lambda run: run.state in ("success", "failed"), "its end").state == "failed":
        case.unknown = 1
        stops_until_cleared(case, calling, posts=len(case.runs))
    case.wait_until_delivered()


def database_restarted(case: Case, signum: int) -> None:
    """Answer the paid call while nothing can be recorded."""
    in_flight(case)
    call_in_flight(case)
    with case.stage.components_kept_up():
        case.stage.postgres.stop(signum)
        time.sleep(A_WHILE)
        case.stage.postgres.start()
        case.wait_until_delivered()


def in_flight(case: Case) -> list[CaseRun]:
    """Start runs, and return when two are deferred and one waits in its worker."""
    deferred = [case.run(), case.run()]
    waiting = case.run(dag_id=WAITING)
    for run in deferred:
        run.wait_until_deferred()
    waiting.wait_for(lambda run: run.tasks["generate"].state == "running", "the worker that waits")
    wait_until(lambda: case.service.stats()["posts"] == 3, "three paid calls")
    return [*deferred, waiting]


def call_in_flight(case: Case) -> CaseRun:
    """Start a run, and return when the service has its paid call, which it answers during what comes next."""
    posts = case.service.stats()["posts"]
    case.service.fault(route="create", hang=A_WHILE / 2)
    run = case.run()
    wait_until(lambda: case.service.stats()["posts"] == posts + 1, "the paid call")
    return run


# -- the campaign ----------------------------------------------------------------------------------------------------

_POINTS = {
    "before intent": "before the intent is recorded",
    "after submitted": "after the id is recorded",
    "before deferral": "before it defers",
    "execute_complete": "when execute_complete begins",
    "before return": "just before it returns the result",
    "before delivered": "after its success, before the delivery is recorded",
    "after delivered": "after the delivery is recorded",
}
_WAYS = {"deferring": DEFERRING, "waiting": WAITING}


def _cases() -> tuple[list[Case], list[Case]]:
    apart = [
        *(
            Case(f"service answers {word} for a minute while polled", partial(out_of_order_while_polled, **answer))
            for word, answer in (("500", GATEWAY_ERROR), ("429", TOO_MANY), ("garbage", GARBAGE))
        ),
        Case("network resets while polled", partial(network_gone_while_polled, silently=False)),
        Case("network silent while polled", partial(network_gone_while_polled, silently=True)),
        Case("service refuses with 500 at submission", partial(out_of_order_when_submitted, **REFUSAL)),
        Case("service restarted", service_restarted, unknown=1),
    ]
    for way, dag_id in _WAYS.items():
        for point, words in _POINTS.items():
            if dag_id == DEFERRING or point not in ("before deferral", "execute_complete"):
                strike: Callable[[Case], None] = partial(worker_killed, at=point, dag_id=dag_id)
                apart.append(Case(f"worker killed {words} ({way})", strike))
        for accept in (True, False):
            strike = partial(worker_killed_during_the_call, accept=accept, dag_id=dag_id)
            words = "accepted" if accept else "not yet accepted"
            apart.append(Case(f"worker killed during the call, {words} ({way})", strike, unknown=accept))
        strike = partial(worker_killed_with_the_answer_unknown, at="before submitted", dag_id=dag_id)
        apart.append(Case(f"worker killed after the call, before the record ({way})", strike, unknown=1))
    apart += [
        Case(
            "worker killed between intent and call",
            partial(worker_killed_with_the_answer_unknown, at="after intent"),
        ),
        Case(
            "worker killed before the delivery is recorded, then cleared",
            partial(worker_killed_and_cleared, at="before delivered"),
        ),
        Case("worker stalled before the intent, replaced, and going on", worker_stalled_and_replaced),
        Case("answer lost: connection broken", partial(answer_lost, drop="after_body"), unknown=1),
        Case("answer lost: garbage", partial(answer_lost, accept=True, **GARBAGE), unknown=1),
        Case("service answers 429 at submission", partial(out_of_order_when_submitted, **_soon(TOO_MANY))),
        Case("network gone at submission", network_gone_when_submitted),
        Case("service answers 500 at completion", partial(out_of_order_when_it_completes, **GATEWAY_ERROR)),
        Case("cleared while deferred", cleared_while_deferred),
        Case("cleared while the worker waits", cleared_while_the_worker_waits),
        Case("marked failed while deferred, then cleared", partial(marked_while_deferred, state="failed")),
        Case("marked success while deferred, then cleared", partial(marked_while_deferred, state="success")),
        Case("cleared after success", cleared_after_success, cleared=1),
        Case("key rotated while deferred", key_rotated),
        Case("key revoked while deferred, then replaced", key_revoked),
    ]
    together = [
        Case("triggerer killed", partial(triggerer_killed, signum=signal.SIGKILL)),
        Case("triggerer terminated", partial(triggerer_killed, signum=signal.SIGTERM)),
        Case("scheduler killed", partial(scheduler_restarted, signum=signal.SIGKILL)),
        Case("scheduler terminated", partial(scheduler_restarted, signum=signal.SIGTERM)),
        Case("API server killed", api_server_restarted),
        Case("database restarted", partial(database_restarted, signum=signal.SIGINT)),
        Case("database crashed", partial(database_restarted, signum=signal.SIGQUIT)),
    ]
    return apart, together


def _soon(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "headers": {"Retry-After": "1"}}


#: Cases that break only their own run or service, and cases that break all of Airflow, which run one at a time.
APART, TOGETHER = _cases()
