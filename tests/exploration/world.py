"""
A small world in one process and in virtual time, around the real operators, paid calls, triggers and clients.

It has the service with its money, Airflow's task instance and state store, and a person who clears the task.

Whatever the task does with the world is a *step*: a call, a write, a push, the start of a try. A schedule places faults
at steps by their number. A crash comes before a step, so that one *after* a step is the one before the next.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    BaseOperator,
    Connection,
    TaskDeferred,
)
from airflow.sdk.exceptions import AirflowRescheduleException
from airflow.sdk.module_loading import import_string

from airflow_provider_seedance.api import polling
from airflow_provider_seedance.api.calls import Call
from airflow_provider_seedance.api.generation import iso
from airflow_provider_seedance.api.response import Response, parse_body
from airflow_provider_seedance.exceptions import SeedanceTransportError
from airflow_provider_seedance.jobs.store import RECORD_PATIENCE
from airflow_provider_seedance.tasks import DEFERRAL_BACKSTOP
from tests.clock import VirtualClock
from tests.exploration import promises, stage
from tests.exploration.answers import NO_RESPONSE, PAID, PAST_DEADLINE, PAST_GRACE, Answer
from tests.exploration.faults import MENU, Cleared, Schedule, TriggererGone, UnreachableError, WorkerCrash
from tests.exploration.service import Paid, Service

#: Seconds from a try's end to the next, and until Airflow notices that a worker died.
RETRY_DELAY = 20.0
DEATH_NOTICED = 10.0
#: Steps after which a try counts as endless.
MAX_STEPS = 300
#: Seconds that a try may take beyond the task's timeout: a state store that is away twice, and the paid call's repeats.
SLACK = DEFERRAL_BACKSTOP + 2 * RECORD_PATIENCE + 600.0


@dataclass(frozen=True)
class Scenario:
    """
    A task, and what its Dag's author chose.

    :param make: Makes the operator for a request, which is a short text.
    :param renders_anew: Whether its templates render differently at each try.
    :param resubmit: Whether its author chose ``on_ambiguous_submission="resubmit"``.
    """

    name: str
    make: Callable[[str], BaseOperator]
    retries: int = 2
    resubmit: bool = False
    renders_anew: bool = False
    timeout: float = 600.0


class World:
    """One task instance and all around it. Make it inside :func:`tests.exploration.stage.set_up`."""

    def __init__(self, scenario: Scenario, schedule: Schedule = ()) -> None:
        random.seed(0)
        vars(polling)["_RANDOM"].seed(0)
        stage.current.world = self
        self.scenario = scenario
        self.faults = dict(schedule)
        self.clock = VirtualClock()
        self.service = Service(self.clock)
        self.trace: list[str] = []
        self.outcomes: list[str] = []
        self.violations: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.pushed: dict[str, Any] = {}
        self.request = "a cat"
        self.state = "scheduled"
        self.retries = self.max_tries = scenario.retries
        self.try_number = 0
        self.clearings = 0
        self.connection: dict[str, Any] = {
            "conn_id": "seedance_default",
            "conn_type": "seedance",
            "host": "http://127.0.0.1",
            "password": "sk-of-the-world",
        }
        self.values: dict[str, str] = {}
        self.store_away_until = 0.0
        self.skipped = 0.0
        #: What the future depends on, at those steps where a text can say it, by their number.
        self.states: dict[int, tuple[str, int]] = {}
        self.rounds = 0
        self.calls = 0
        self.began = 0

    # -- steps

    @contextmanager
    def step(self, kind: str, detail: str = "") -> Iterator[str]:
        """Do a step, disturbed by the fault that is placed at it; yield the fault for what the kind alone knows."""
        number = len(self.trace)
        self.trace.append(f"{kind} {detail}".rstrip())
        if number > self.began + MAX_STEPS:
            self.violations.append("It does not end.")
            raise WorkerCrash
        fault = self.fault_at(number, kind)
        if fault and fault not in MENU[kind]:
            raise ValueError(f"Step {number}, {self.trace[-1]!r}, has no fault {fault!r}.")
        if fault == "crash":
            raise WorkerCrash
        if fault == "unreachable":
            raise UnreachableError
        if fault in ("past grace", "past deadline"):
            self._skip(PAST_GRACE if fault == "past grace" else PAST_DEADLINE)
        yield fault
        if fault.endswith(", crash"):
            raise WorkerCrash
        if fault == "written, unreachable":
            raise UnreachableError

    def fault_at(self, number: int, kind: str) -> str:
        """Return the fault that a step has; empty for none."""
        return self.faults.get(number, "")

    def heal(self) -> None:
        """End all faults that last."""
        self.store_away_until = self.service.away_until = self.service.lag_ends = 0.0
        self.service.forgets = False

    def _skip(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.skipped += seconds

    # -- the service

    def respond(self, call: Call[Any], conn_id: str, kind: str = "") -> Response:
        """Answer a call, or raise that there is no response."""
        body = json.loads(call.body) if isinstance(call.body, bytes) else None
        if call.is_paid:
            answer = self._paid(call.path, body)
        else:
            answer = self._free(call.path, body, kind or ("list" if "/List" in call.path else "query"))
        if answer.status == 0:
            what = "closed the connection early" if answer.sent else "cannot be reached"
            raise SeedanceTransportError(f"The service {what}.", sent=answer.sent)
        return Response(answer.status, parse_body(answer.body.encode()), answer.headers, conn_id)

    def _paid(self, path: str, body: Any) -> Answer:
        self.calls += 1
        self._note_state(self.calls)
        with self.step("create") as fault:
            answer = PAID.get(fault, PAID["accepted: OpenAI"]) if "crash" not in fault else NO_RESPONSE
            if not answer.created:
                return answer
            self.violations += promises.broken_by_paying(self)
            item = self.service.pay(path, body, request=self.request, clearing=self.clearings)
            # the vendor's form of an id is known even in a text
            item.told = '"ID"' in answer.body or ("ID" in answer.body and item.id.startswith("asyn"))
            return Answer(answer.status, answer.body.replace("ID", item.id), True, answer.headers)

    def _free(self, path: str, body: Any, kind: str) -> Answer:
        with self.step(kind) as fault:
            if fault in ("restart", "no triggerer"):
                raise TriggererGone(fault)
            if fault == "cleared":
                raise Cleared
            return self.service.look_up(path, body, fault)

    def connect(self, kind: str = "connection") -> Connection:
        with self.step(kind) as fault:
            if fault == "other model":
                self.connection["extra"] = json.dumps({"model": "seedance-2.0-mini"})
            return Connection(**self.connection)

    # -- Airflow

    def get(self, key: str, default: Any = None) -> Any:
        """Read from the task state store."""
        with self.step("get"):
            self._reach_store()
            return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, **_: Any) -> None:
        """
        Write to the task state store.

        Where the worker dies before it has recorded an id, or cannot for long, the answer counts as lost. A write that
        fails once does not count: the id is worth another try.
        """
        text = json.dumps(value)
        try:
            with self.step("set", value.get("phase", "")) as fault:
                if fault == "away":
                    self.store_away_until = self.clock.now() + 2 * RECORD_PATIENCE
                self._reach_store()
                self.values[key] = text
        except (WorkerCrash, UnreachableError):
            away = self.clock.now() < self.store_away_until
            for item in self.service.paid:
                if item.id in text and (away or isinstance(sys.exception(), WorkerCrash)):
                    item.told &= self.has_recorded(item)
            raise

    def delete(self, key: str) -> None:
        """Delete from the task state store."""
        with self.step("delete"):
            self._reach_store()
            self.values.pop(key, None)

    def _reach_store(self) -> None:
        if self.clock.now() < self.store_away_until:
            raise UnreachableError

    def has_recorded(self, item: Paid) -> bool:
        """Return whether an id is in the task state store."""
        return any(item.id in value for value in self.values.values())

    def run_try(self) -> None:
        """Run the next try: in a worker, and if it defers, in the triggerer and in a worker again."""
        self.began = len(self.trace)
        self._note_state()
        with self.step("first start" if self.try_number == 0 else "start") as fault:
            self._before_try(fault)
        self.try_number += 1
        if self.scenario.renders_anew:
            self.edit()
        self.state, self.warnings, self.errors, self.skipped, self.calls = "running", [], [], 0.0, 0
        self.pushed.clear()
        began = self.clock.now()
        try:
            self._work()
        except WorkerCrash:
            if self.state == "running":
                self.clock.sleep(DEATH_NOTICED)
                self._end(None, self._eligible())
        except Cleared:
            self.clear()
        except Exception as e:
            self._fail(e)
        if self.clock.now() - began - self.skipped > self.scenario.timeout + SLACK:
            self.violations.append(f"Try {self.try_number} took {self.clock.now() - began:.0f} s.")

    def _note_state(self, *further: Any) -> None:
        """
        Note all that the future depends on: equal texts mean equal futures. Times count by what they decide.

        A new worker knows nothing else. Before the paid call it knows how many it made in this try. What was delivered
        before the task was cleared plays no part any more.
        """
        now, service = self.clock.now(), self.service
        items = [item for item in service.paid if not self._was_before(item.delivered)]
        text = json.dumps(
            [
                [self._passed(item.at, 60.0, 600.0) for item in items],
                [(item.id, item.told, item.fails, item.denied, service.finished(item)) for item in items],
                [(item.request == self.request, item.clearing < self.clearings) for item in items],
                [(item.delivered is None, item.named is None, self._was_before(item.named)) for item in items],
                [self._record(value) for value in self.values.values()],
                (self.retries, self.max_tries - self.try_number, "extra" in self.connection, further),
                (service.forgets, service.away_until > now, service.lag_ends > now, self.store_away_until > now),
            ]
        )
        for number, item in enumerate(items):
            text = text.replace(item.id, f"#{number}")
        self.states[len(self.trace)] = text, self.rounds

    def _was_before(self, clearing: int | None) -> bool:
        return clearing is not None and clearing < self.clearings

    def _passed(self, since: float, *limits: float) -> list[bool]:
        return [self.clock.now() >= since + limit for limit in limits]

    def _record(self, stored: str) -> list[Any]:
        record = json.loads(stored)
        kept = {key: value for key, value in record.items() if key not in ("submitted_at", "first_try", "max_tries")}
        limits = self._passed(record.get("submitted_at", 0.0), 60.0, 600.0)
        return [kept, limits, record.get("max_tries") == self.max_tries]

    def _before_try(self, fault: str) -> None:
        if fault == "cleared":
            self.clear()
        elif fault == "edited":
            self.edit()
        elif fault in ("fewer retries", "more retries"):
            self.retries = max(self.retries + (1 if fault == "more retries" else -1), 0)

    def _start(self) -> tuple[BaseOperator, Any]:
        """Return a new operator, as a worker that parses the Dag makes it, and its context."""
        operator: Any = self.scenario.make(self.request)
        self.operator = operator
        operator.retries, operator.clock = self.retries, self.clock
        ti = SimpleNamespace(
            dag_id="dag",
            task_id=operator.task_id,
            run_id="manual__1",
            map_index=-1,
            max_tries=self.max_tries,
            try_number=self.try_number,
            xcom_push=self._push,
            xcom_pull=lambda task_ids, key, map_indexes: self.pushed.get(key),
            get_task_states=self._task_states,
        )
        return operator, {"task": operator, "ti": ti, "task_state_store": self, "run_id": ti.run_id}

    def _work(self) -> None:
        operator, context = self._start()
        run: Callable[[], Any] = lambda: operator.execute(context)  # noqa: E731
        while True:
            try:
                result = run()
                break
            except TaskDeferred as deferred:
                method, arguments = self._deferred(deferred)
            except AirflowRescheduleException as rescheduled:
                self.clock.sleep(max(rescheduled.reschedule_date.timestamp() - self.clock.now(), 0.0))
                method, arguments = "execute", {}
            self._note_state(method, arguments)
            with self.step("resume"):
                operator, context = self._start()
            run = partial(operator.resume_execution, method, arguments, context)
        self._push("return_value", result)
        with self.step("success"):
            self._succeed(result)
        callbacks: Any = operator.on_success_callback or ()
        for callback in callbacks:
            try:
                callback(context)
            except Exception as e:  # Airflow logs it, and that is all
                self.violations.append(f"A callback raised {e!r}.")

    def _deferred(self, deferred: TaskDeferred) -> tuple[str, dict[str, Any]]:
        """Run a deferral's trigger, from its stored arguments to its first event; return what Airflow resumes with."""
        path, arguments = deferred.trigger.serialize()
        assert deferred.timeout is not None
        limit = self.clock.now() + deferred.timeout.total_seconds()
        while self.clock.now() <= limit:
            trigger = import_string(path)(**json.loads(json.dumps(arguments)))
            trigger.clock = self.clock
            try:
                event = stage.current.first_event(trigger)
            except TriggererGone as e:
                self._skip(60.0 if e.args[0] == "restart" else limit - self.clock.now() + 1)
                continue
            except Exception as e:
                self.violations.append(f"The trigger raised {e!r}.")
                return "__fail__", {"error": "Trigger failure"}
            if self.clock.now() > limit + self.skipped:
                break
            return deferred.method_name, {"event": json.loads(json.dumps(event))}
        return "__fail__", {"error": "Trigger timeout"}

    def _push(self, key: str, value: Any) -> None:
        with self.step("push"):
            self.pushed[key] = json.loads(json.dumps(value))

    def _task_states(self, **of: Any) -> dict[str, Any]:
        with self.step("state"):
            return {"manual__1": {"generate": self.state}}

    def _eligible(self) -> bool:
        return bool(self.retries and self.try_number <= self.max_tries)

    def _fail(self, error: Exception) -> None:
        """Decide as the task runner does: the policy first, then the tries that are left."""
        policy: Any = self.operator.retry_policy
        final, delay = isinstance(error, AirflowFailException), RETRY_DELAY
        if policy is not None and not final:
            decision = policy.evaluate(error, self.try_number, self.max_tries)
            final = decision.action.value == "fail"
            delay = decision.retry_delay.total_seconds() if decision.retry_delay else delay
        self._end(error, not final and self._eligible(), delay)

    def _end(self, error: Exception | None, retried: bool, delay: float = RETRY_DELAY) -> None:
        self.outcomes.append(type(error).__name__ if error is not None else "crash")
        if retried:
            self.state = "up_for_retry"
            self.clock.sleep(delay)
            return
        self.state = "failed"
        told = "\n".join((str(error), *self.errors))
        for item in self.service.paid:
            if item.id in told or str(iso(item.at)) in told:
                item.named = self.clearings
        self.violations += promises.broken_by_ending(self, error)

    def _succeed(self, result: Any) -> None:
        self.state = "success"
        self.outcomes.append("success")
        ids = json.dumps(result)
        item = next((item for item in self.service.paid if item.id in ids), None)
        if item is None:
            self.violations.append(f"It ended green with {result!r}, which was not paid for.")
            return
        item.delivered = self.clearings
        if item.request != self.request and not any(item.id in warning for warning in self.warnings):
            self.violations.append(f"It ended green with what {item.request!r} made, without a warning.")
        self.violations += promises.broken_by_ending(self, None)

    @property
    def is_to_run(self) -> bool:
        """Whether Airflow has another try to run."""
        return self.state in ("scheduled", "up_for_retry")

    # -- people

    def clear(self) -> None:
        """Clear the task instance, as Airflow does: ``max_tries`` counts from the tries so far."""
        self.max_tries = self.try_number + self.retries
        self.clearings += 1
        self.state = "scheduled"

    def edit(self) -> None:
        """Change the request, as an edited Dag or a template that renders differently does."""
        self.request += "!"

    def run_to_end(self) -> World:
        """Run all tries; then clear the task as a person does, once after its end and once more if it failed again."""
        for self.rounds, clear_after in enumerate((("success", "failed"), ("failed",), ())):
            while self.is_to_run:
                self.run_try()
            if self.state not in clear_after or self.violations:
                break
            self.clear()
        return self
