"""A miniature worker, triggerer and task state store, around the real operators and real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred
from airflow.sdk.exceptions import AirflowRescheduleException
from airflow.sdk.module_loading import import_string

from airflow_provider_seedance.clock import Clock
from tests.clock import QuickClock


class WorkerCrash(BaseException):
    """A worker that dies: nothing after it runs, nothing catches it."""


class TaskStateStore:
    """
    Airflow's task state store in memory: it takes and returns JSON, and outlives tries.

    :attr before_set: Called with a value about to be written: raise :class:`WorkerCrash` there to die before it.
    :attr after_set: Called after it is written.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.before_set: Callable[[Any], None] = lambda value: None
        self.after_set: Callable[[Any], None] = lambda value: None

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any) -> None:
        self.before_set(value)
        self.values[key] = json.dumps(value)
        self.after_set(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    @property
    def record(self) -> Any:
        """The submission record as stored."""
        return self.get("seedance_generation")


@dataclass
class Task:
    """
    One task instance. Its tries share the store, as in Airflow.

    :param make: Makes a new operator for each try, as a worker that parses the Dag does.
    :param clock: The time of workers and triggerers.
    """

    make: Callable[[], BaseOperator]
    retries: int = 2
    store: TaskStateStore | None = field(default_factory=TaskStateStore)
    try_number: int = 1
    run_id: str = "manual__1"
    xcom: dict[str, Any] = field(default_factory=dict)
    deferrals: list[TaskDeferred] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    clock: Clock = field(default_factory=QuickClock)
    #: Airflow's own state of the task instance.
    state: str = "running"
    #: Called after Airflow has stored the success: raise :class:`WorkerCrash` there to die before its callbacks.
    before_callbacks: Callable[[], None] = lambda: None
    #: When a sensor was rescheduled for the first time, as Airflow's database knows it.
    first_reschedule: datetime | None = None

    def __post_init__(self) -> None:
        self.max_tries = self.retries

    def run(self) -> Any:
        """Run one try: in the worker, then, if it defers, in the triggerer and in the worker again."""
        self.xcom.clear()
        operator, context = self.start()
        try:
            result = operator.execute(context)
        except TaskDeferred as deferred:
            self.deferrals.append(deferred)
            event = self.trigger(deferred)
            operator, context = self.start()
            result = operator.resume_execution(deferred.method_name, {"event": event}, context)
        except AirflowRescheduleException:
            self.try_number -= 1  # the same try goes on
            raise
        finally:
            self.try_number += 1
        if operator.multiple_outputs:
            self.xcom.update(result)
        self.state = "success"
        self.before_callbacks()
        for callback in operator.on_success_callback:
            callback(context)
        return json.loads(json.dumps(result))

    def clear(self) -> None:
        """Clear the task, which gives it as many further tries as it has retries."""
        self.max_tries = self.try_number - 1 + self.retries
        self.state = "queued"

    def trigger(self, deferred: TaskDeferred) -> Any:
        """Run a deferral's trigger as a triggerer does, from its stored arguments to its first event."""
        path, kwargs = deferred.trigger.serialize()
        trigger = import_string(path)(**json.loads(json.dumps(kwargs)))
        trigger.clock = self.clock

        async def first_event() -> Any:
            events = trigger.run()
            event = await anext(events)
            with suppress(StopAsyncIteration):
                await anext(events)
            return event.payload

        event = json.loads(json.dumps(asyncio.run(first_event())))
        self.events.append(event)
        return event

    def note_reschedule(self) -> None:
        """Remember when the first reschedule was."""
        self.first_reschedule = self.first_reschedule or datetime.fromtimestamp(self.clock.now(), UTC)

    def start(self) -> tuple[BaseOperator, Any]:
        """Return a new operator for this try, and its context."""
        operator: Any = self.make()
        operator.retries = self.retries
        operator.clock = self.clock
        ti = SimpleNamespace(
            max_tries=self.max_tries,
            try_number=self.try_number,
            dag_id="dag",
            task_id=operator.task_id,
            run_id=self.run_id,
            map_index=-1,
            get_task_states=lambda **query: {self.run_id: {operator.task_id: self.state}},
            xcom_pull=lambda task_ids, key, map_indexes: self.xcom.get(key),
            xcom_push=lambda key, value: self.xcom.__setitem__(key, value),
            get_first_reschedule_date=lambda context: self.first_reschedule,
        )
        context: dict[str, Any] = {"ti": ti, "task": operator}
        if self.store is not None:
            context["task_state_store"] = self.store
        return operator, context
