"""Faults on demand: what goes wrong, where, and for how many requests or generations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from airflow_provider_seedance.emulator.catalogue import ASSET_ACTIONS

#: routes whose requests a fault can strike; ``any`` stands for all of them, ``asset`` for those of the asset actions
REQUEST_ROUTES = ("create", "query", "models", "download", "preview", *ASSET_ACTIONS)
_REQUEST_KINDS = ("status", "drop", "hang", "delay")
_FATE_KINDS = {
    "generation": ("fail", "stuck", "inner", "no_link", "status_word", "lose", "visible_after"),
    "asset_fate": ("fail", "stuck", "inactive", "lose", "visible_after"),
    "asset_group_fate": ("visible_after",),
}
_KINDS = dict.fromkeys((*_REQUEST_KINDS, *(kind for kinds in _FATE_KINDS.values() for kind in kinds)))
#: routes that stand for several
_STRUCK = {"any": REQUEST_ROUTES, "asset": ASSET_ACTIONS}
_DROPS = ("before_body", "after_body", "mid_answer")


@dataclass(eq=False)
class Fault:
    """One fault, of exactly one kind.

    On requests (``route`` is ``create``, ``query``, ``models``, ``download``, ``preview``, an asset action such as
    ``CreateAsset``, ``asset`` for all of these actions, or ``any``):

    :param status: a canned answer of this HTTP status, with ``json`` or ``body`` (text) and ``headers``
    :param drop: reset the connection: ``before_body`` (right after the request's head), ``after_body`` (without an
        answer), ``mid_answer`` (after ``after_bytes`` of the answer's body, half of it by default)
    :param hang: seconds to wait after the request was served, before the answer is sent
    :param delay: seconds to wait before the request is served as usual
    :param accept: whether the request is served (a generation made and billed) although its answer is lost or canned.
        By default false for a canned answer and ``before_body``, true for the others.

    On the fate of a generation (``route`` is ``generation``), taken by the next generations made:

    :param fail: fails at its end with this ``code`` and ``message``; with ``"plain": true`` the reason is plain text
        instead of JSON
    :param stuck: stays in progress for ever
    :param inner: at its end the outer status stays IN_PROGRESS, the inner one is this word
    :param no_link: so many queries that answer SUCCESS carry no link
    :param status_word: stands in place of the status while it is running
    :param lose: no query ever finds it
    :param visible_after: no query finds it in its first so many seconds

    On the fate of an asset (``route`` is ``asset_fate``), taken by the next assets made: ``fail`` (processing ends as
    ``Failed`` with this ``code`` and ``message``), ``stuck`` (it is processed for ever), ``lose`` and ``visible_after``
    (neither by its id nor in a generation is it found, only in lists), and

    :param inactive: processing ends as ``Inactive``

    On the fate of a group (``route`` is ``asset_group_fate``), taken by the next groups made: ``visible_after``.

    :param count: how many requests, generations, assets or groups are struck; 0 means until the faults are cleared
    :param skip: how many are let through first
    :param generation_id: strike this generation, made already, instead of the next ones
    """

    route: str
    status: int | None = None
    json: Any = None
    body: str | None = None
    headers: Mapping[str, str] | None = None
    drop: str | None = None
    after_bytes: int | None = None
    hang: float | None = None
    delay: float | None = None
    accept: bool | None = None
    fail: Mapping[str, Any] | None = None
    stuck: bool | None = None
    inner: str | None = None
    no_link: int | None = None
    status_word: str | None = None
    lose: bool | None = None
    visible_after: float | None = None
    inactive: bool | None = None
    count: int = 1
    skip: int = 0
    generation_id: str | None = None

    def __post_init__(self) -> None:
        kinds = _FATE_KINDS.get(self.route, _REQUEST_KINDS)
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if self.route not in (*REQUEST_ROUTES, "any", "asset", *_FATE_KINDS):
            raise ValueError(f"unknown route {self.route!r}")
        if len(given) != 1 or given[0] not in kinds:
            raise ValueError(f"a fault on {self.route!r} needs exactly one of {', '.join(kinds)}, got {given}")
        if self.drop is not None and self.drop not in _DROPS:
            raise ValueError(f"drop must be one of {', '.join(_DROPS)}")
        if self.accept and self.drop == "before_body":
            raise ValueError("a request that is dropped before its body was read cannot be accepted")
        if self.fail is not None and not isinstance(self.fail, Mapping):
            raise ValueError("fail must be an object with code and message")
        if self.status is not None and self.status not in range(200, 600):
            raise ValueError("status must be 200 to 599")
        numbers = ("count", "skip", "hang", "delay", "visible_after", "no_link", "after_bytes")
        for name in numbers:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float) or value < 0):
                raise ValueError(f"{name} must be a number that is not negative")

    @property
    def accepted(self) -> bool:
        """Whether the request is served before the fault strikes."""
        if self.accept is not None:
            return self.accept
        return self.status is None and self.drop != "before_body"

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """Read a fault from a JSON object.

        :raises ValueError: no object, an unknown field, or a contradiction
        """
        if not isinstance(value, dict):
            raise ValueError("a fault must be a JSON object")
        unknown = sorted(set(value) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown fault fields: {', '.join(unknown)}")
        if "route" not in value:
            raise ValueError("a fault needs a route")
        return cls(**value)


class FaultList:
    """The faults that wait to strike, in the order they were asked for."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault behind the others."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def strike(self, route: str) -> Fault | None:
        """Return the fault for one request, generation, asset or group, and count it; None where none strikes."""
        for fault in self._faults:
            if route not in _STRUCK.get(fault.route, (fault.route,)):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.count == 1:
                self._faults.remove(fault)
            elif fault.count:
                fault.count -= 1
            return fault
        return None
