"""Faults on demand: what goes wrong, on which route, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedance.emulator.catalog import ASSET_ACTIONS
from airflow_provider_seedance.emulator.envelopes import ENVELOPES
from airflow_provider_seedance.emulator.shapes import CREATE_SHAPES, QUERY_SHAPES

#: Routes whose requests a fault can affect.
REQUEST_ROUTES = ("create", "query", "models", "download", "preview", *ASSET_ACTIONS)
#: Route of a fault -> the routes whose requests it affects.
_REQUESTS = {route: (route,) for route in REQUEST_ROUTES} | {"any": REQUEST_ROUTES, "asset": ASSET_ACTIONS}
_REQUEST_KINDS = ("status", "drop", "hang", "delay", "envelope")
#: Route of a fault -> its kinds, for faults that affect what the next requests create.
_FATE_KINDS = {
    "generation": ("fail", "stuck", "inner", "no_link", "status_word", "lose", "visible_after"),
    "asset_fate": ("fail", "stuck", "inactive", "lose", "visible_after"),
    "asset_group_fate": ("visible_after",),
}
_KINDS = sorted({*_REQUEST_KINDS, *(kind for kinds in _FATE_KINDS.values() for kind in kinds)})
#: Fields that choose from a list. The shapes stand alone or beside a kind.
_CHOICES = {
    "drop": ("before_body", "after_body", "mid_answer"),
    "envelope": ENVELOPES,
    "create_shape": CREATE_SHAPES,
    "query_shape": QUERY_SHAPES,
}
_SHAPES = ("create_shape", "query_shape")
_NUMBERS = ("count", "skip", "hang", "delay", "visible_after", "no_link", "after_bytes")


@dataclass(eq=False)
class Fault:
    """
    One fault, of exactly one kind; or, on generations, a shape of their responses, with or without one.

    On requests (``route`` is ``create``, ``query``, ``models``, ``download``, ``preview``, an asset action such as
    ``CreateAsset``, ``asset`` for all of these actions, or ``any``):

    :param status: Send a canned response of this HTTP status, with ``json`` or ``body`` (text) and ``headers``.
    :param drop: Reset the connection: ``before_body`` (right after the request's head), ``after_body`` (without a
        response) or ``mid_answer`` (after ``after_bytes`` of the response's body; half of it by default).
    :param hang: Seconds to wait after the request was served, before the response is sent.
    :param delay: Seconds to wait before the request is served as usual.
    :param envelope: Serve the request as usual, but a refusal in this error envelope: ``E1`` to ``E5``, ``E3_deep`` or
        ``E4_text``.
    :param accept: Whether the request is served (a generation made and billed) although its response is lost or
        canned. By default, false for a canned response and ``before_body``, true otherwise.

    On the next generations (``route`` is ``generation``):

    :param fail: Fail at the end with this ``code`` and ``message``. With ``"plain": true`` the reason is plain text
        instead of JSON.
    :param stuck: Stay in progress forever.
    :param inner: At the end, keep the outer status at ``IN_PROGRESS`` with this word as the inner status.
    :param no_link: Number of ``SUCCESS`` responses without a link.
    :param status_word: The status while it is running.
    :param lose: No query ever finds it.
    :param visible_after: Seconds in which no query finds it.
    :param create_shape: One of :data:`~airflow_provider_seedance.emulator.shapes.CREATE_SHAPES`, for the response that
        says it was made.
    :param query_shape: One of :data:`~airflow_provider_seedance.emulator.shapes.QUERY_SHAPES`, for the responses to its
        queries.

    On the next assets (``route`` is ``asset_fate``): ``fail`` (end as ``Failed`` with this ``code`` and ``message``),
    ``stuck`` (stay ``Processing`` forever), ``lose`` and ``visible_after`` (only lists show it, neither ``GetAsset``
    nor a generation finds it), and

    :param inactive: End as ``Inactive``.

    On the next groups (``route`` is ``asset_group_fate``): ``visible_after``.

    :param count: Number of requests, generations, assets or groups that it affects. 0: all until faults are cleared.
    :param skip: Number of them to leave alone first.
    :param generation_id: Affect this existing generation instead of the next ones.
    :raises ValueError: If the fields are wrong or contradictory.
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
    envelope: str | None = None
    fail: Mapping[str, Any] | None = None
    stuck: bool | None = None
    inner: str | None = None
    no_link: int | None = None
    status_word: str | None = None
    lose: bool | None = None
    visible_after: float | None = None
    create_shape: str | None = None
    query_shape: str | None = None
    inactive: bool | None = None
    count: int = 1
    skip: int = 0
    generation_id: str | None = None

    def __post_init__(self) -> None:
        if self.route not in _REQUESTS and self.route not in _FATE_KINDS:
            raise ValueError(f"unknown route {self.route!r}")
        kinds = _FATE_KINDS.get(self.route, _REQUEST_KINDS)
        given = [name for name in _KINDS if getattr(self, name) is not None]
        shaped = any(getattr(self, name) is not None for name in _SHAPES)
        if (len(given) != 1 and not (shaped and not given)) or not set(given) <= set(kinds):
            raise ValueError(f"a fault on {self.route!r} needs exactly one of {', '.join(kinds)}, got {given}")
        if shaped and self.route != "generation":
            raise ValueError("only generations have shapes")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in (None, *choices):
                raise ValueError(f"{name} must be one of {', '.join(choices)}")
        if self.accept and self.drop == "before_body":
            raise ValueError("a request that is dropped before its body was read cannot be accepted")
        if self.fail is not None and not isinstance(self.fail, Mapping):
            raise ValueError("fail must be an object with code and message")
        if self.status is not None and self.status not in range(200, 600):
            raise ValueError("status must be 200 to 599")
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float) or value < 0):
                raise ValueError(f"{name} must be a number that is not negative")

    @property
    def has_kind(self) -> bool:
        """Whether it is more than a shape."""
        return any(getattr(self, name) is not None for name in _KINDS)

    @property
    def accepted(self) -> bool:
        """Whether the request is served although its response is lost or canned."""
        if self.accept is not None:
            return self.accept
        return self.status is None and self.drop != "before_body"

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """
        Read a fault from a JSON object.

        :param value: The decoded JSON.
        :returns: The fault.
        :raises ValueError: If it is no object, has an unknown field, or contradicts itself.
        """
        if not isinstance(value, dict):
            raise ValueError("a fault must be a JSON object")
        try:
            return cls(**value)
        except TypeError as error:
            raise ValueError(f"wrong fields of a fault: {error}") from None


class FaultList:
    """The pending faults, in the order in which they were requested."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Append a fault."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def take(self, route: str) -> Fault | None:
        """
        Choose the fault for one request, generation, asset or group, and count it.

        :param route: A route of requests, ``generation``, ``asset_fate`` or ``asset_group_fate``.
        :returns: The fault, or None.
        """
        for fault in self._faults:
            if route not in _REQUESTS.get(fault.route, (fault.route,)):
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
