"""What can go wrong, by the kind of step that it happens at."""

from __future__ import annotations

from collections.abc import Mapping

from tests.exploration.answers import FREE, PAID

_TIME = ("past grace", "past deadline")
_WRITE = ("crash", "unreachable", "written, unreachable", "written, crash", "away")
_QUERY = (*FREE, *_TIME, "forgets", "fails", "no link", "outage")

#: The faults that each kind of step can have.
MENU: Mapping[str, tuple[str, ...]] = {
    "first start": (),
    "start": (*_TIME, "cleared", "edited", "fewer retries", "more retries"),
    "resume": ("crash", *_TIME),
    "connection": ("unreachable", "other model"),
    "get": ("crash", "unreachable"),
    "set": _WRITE,
    "delete": _WRITE,
    "create": ("crash", *PAID, "created, crash"),
    "query": ("crash", *_QUERY),
    "list": ("crash", *FREE, "lags"),
    "push": ("crash", "unreachable"),
    "success": ("crash", "recorded, crash"),
    "state": ("crash", "unreachable"),
    "trigger connection": ("unreachable",),
    "trigger query": (*_QUERY, "restart", "no triggerer", "cleared"),
}

#: Where faults are: the number of a step, and the name of its fault.
Schedule = tuple[tuple[int, str], ...]


class WorkerCrash(BaseException):
    """A worker that dies: nothing after it runs, nothing catches it."""


class TriggererGone(BaseException):
    """A triggerer that stops; another runs the trigger again from its arguments, or none does."""


class Cleared(BaseException):
    """A person cleared the deferred task: Airflow ends its trigger."""


class UnreachableError(Exception):
    """Airflow's API server, or a secrets backend, cannot be reached."""
