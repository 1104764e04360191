"""The service, with its money, as far as a task sees it: what is paid for, what becomes of it, what is refunded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedance.api.calls import ASSET_PATH, GENERATIONS_PATH
from tests.clock import VirtualClock
from tests.exploration.answers import FREE, OUTAGE, PAST_DEADLINE, PAST_GRACE, UNKNOWN_ID, Answer

#: Seconds that a generation or an asset takes: a task's third poll sees it finished.
TAKES = 7.0


@dataclass
class Paid:
    """
    Something that was paid for.

    :param request: What the Dag asked for when it was paid for.
    :param at: When.
    :param clearing: How often the task had been cleared by then.
    :param told: Whether the answer named its id, and nothing kept the task from recording it.
    :param denied: Whether the service's last word on it is that it does not know it.
    :param delivered: How often the task had been cleared when Airflow recorded its success with this.
    :param named: How often the task had been cleared when a failure last named its id or time.
    """

    id: str
    name: str
    request: str
    at: float
    clearing: int
    told: bool = False
    fails: bool = False
    denied: bool = False
    delivered: int | None = None
    named: int | None = None


class Service:
    """Answers calls by their method, path and body, in virtual time."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.paid: list[Paid] = []
        #: No query is answered before this.
        self.away_until = 0.0
        #: Lists show nothing before this.
        self.lag_ends = 0.0
        self.forgets = False

    def finished(self, item: Paid) -> bool:
        return self.clock.now() >= item.at + TAKES

    def refunded(self, item: Paid) -> bool:
        return item.fails and self.finished(item)

    def pay(self, path: str, body: Any, *, request: str, clearing: int) -> Paid:
        kind = {GENERATIONS_PATH: "asyntask_", ASSET_PATH + "CreateAssetGroup": "group-"}.get(path, "asset-")
        name = str(body.get("Name", ""))
        item = Paid(f"{kind}2026{len(self.paid):08d}", name, request, self.clock.now(), clearing)
        self.paid.append(item)
        return item

    def look_up(self, path: str, body: Any, fault: str = "") -> Answer:
        """Answer a call that costs nothing."""
        wanted = body["Id"] if body and "Id" in body else path.rpartition("/")[2]
        item = next((item for item in self.paid if item.id == wanted), None)
        if fault == "own: not found":
            return self.unknown(wanted)
        if fault in FREE:
            return FREE[fault]
        if fault == "outage":
            self.away_until = self.clock.now() + PAST_DEADLINE
        if fault == "lags":
            self.lag_ends = self.clock.now() + PAST_GRACE
        if fault == "forgets":
            self.forgets = True
        if fault == "fails" and item is not None:
            item.fails = True
        if self.clock.now() < self.away_until:
            return OUTAGE
        if path.startswith(ASSET_PATH + "List"):
            kind = "group-" if path.endswith("Groups") else "asset-"
            listed = self._listed(kind, body.get("Filter") or {})
            for item in self.paid:  # a list is all that is known of a group
                item.denied = item not in listed if kind == "group-" and item.id.startswith(kind) else item.denied
            items = [self._asset(item) for item in listed]
            return Answer(200, json.dumps({"PageNumber": 1, "TotalCount": len(items), "Items": items}))
        if item is None or self.forgets:
            return self.unknown(wanted)
        item.denied = False
        return Answer(200, json.dumps(self._asset(item) if body else self._generation(item, link=fault != "no link")))

    def unknown(self, wanted: str) -> Answer:
        """Deny that there is such a thing."""
        for item in self.paid:
            item.denied = item.denied or item.id == wanted
        return UNKNOWN_ID

    def _generation(self, item: Paid, *, link: bool) -> dict[str, Any]:
        status = "IN_PROGRESS" if not self.finished(item) else "FAILURE" if item.fails else "SUCCESS"
        task: dict[str, Any] = {"task_id": item.id, "status": status, "fail_reason": ""}
        if status == "SUCCESS" and link:
            task["result_url"] = f"https://storage.example/{item.id}.mp4"
        if status == "FAILURE":
            task["fail_reason"] = "InternalServiceError"
        return {"code": "success", "message": "", "data": task}

    def _asset(self, item: Paid) -> dict[str, Any]:
        status = "Processing" if not self.finished(item) else "Failed" if item.fails else "Active"
        return {"Id": item.id, "Name": item.name, "Status": status, "GroupId": "group-1", "AssetType": "Image"}

    def _listed(self, kind: str, filters: Any) -> list[Paid]:
        return [
            item
            for item in self.paid
            if self.clock.now() >= self.lag_ends and item.id.startswith(kind) and filters.get("Name", "") in item.name
        ]
