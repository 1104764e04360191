"""
What can be answered to a call, by the service or by something on the way to it, and whether money was spent.

``ID`` in a body stands for the id of what was created. A body is sent as text and read by the provider's own parser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Seconds, beyond the grace in which "not found" is no answer.
PAST_GRACE = 90.0
#: Seconds, beyond the deadline of every task in :mod:`tests.exploration.scenarios`.
PAST_DEADLINE = 900.0


@dataclass(frozen=True)
class Answer:
    """
    What a caller gets.

    :param status: HTTP status; 0 for no response.
    :param body: Text of the response.
    :param created: Whether a paid call created something, and so was billed.
    :param headers: By lower-case name.
    :param sent: Without a response: whether the request may have reached the service.
    """

    status: int = 0
    body: str = ""
    created: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: bool = True


def _json(status: int, body: Any, *, created: bool = False, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body), created, named)


def _e1(status: int, code: str, message: str = "no", **more: Any) -> Answer:
    return _json(status, {"error": {"message": message, "type": "new_api_error", "code": code}}, **more)


def _e2(status: int, code: str, message: str = "no", **more: Any) -> Answer:
    return _json(status, {"code": code, "message": message, "data": None}, **more)


NO_RESPONSE = Answer(created=True)
NEVER_SENT = Answer(sent=False)
HTML = "<html><body>nginx</body></html>"

#: Of a paid call: created, whatever stands beside the id.
ACCEPTED = {
    "accepted: OpenAI": _json(200, {"id": "ID", "task_id": "ID", "status": "queued"}, created=True),
    "accepted: message": _json(200, {"id": "ID", "message": "ok"}, created=True),
    "accepted: code": _json(201, {"code": 0, "message": "created", "data": {"task_id": "ID"}}, created=True),
    "accepted: error": _json(200, {"id": "ID", "error": {"message": "late", "code": "warning"}}, created=True),
    "accepted: not ready": _json(202, {"id": "ID", "message": "asset is not available yet"}, created=True),
    "accepted: output": _json(200, {"output": {"task_id": "ID"}}, created=True),
    "accepted: list": _json(200, {"result": [{"id": "ID"}]}, created=True),
    "accepted: text": _json(200, {"data": "ID"}, created=True),
}
#: Nothing was created, and the service says so itself.
REFUSED = {
    "refused: malformed": _e2(400, "invalid_request"),
    "refused: upstream": _e2(400, "fail_to_fetch_task", '{"error":{"code":"InvalidParameter","message":"no"}}'),
    "refused: key": _e1(401, ""),
    "refused: balance": _e2(403, "insufficient_user_quota"),
    "refused: model": _e1(503, "model_not_found"),
    "refused: channel": _e2(500, "get_channel_failed"),
    "refused: busy": _e1(429, "rate_limit"),
    "refused: busy for long": _e1(429, "rate_limit", retry_after="600"),
    "refused: copy": _e2(503, "asset_copy_not_ready"),
    "never sent": NEVER_SENT,
}
#: Something may have been created.
DOUBTFUL = {
    "doubt: 404 JSON": _json(404, {"detail": "Not Found"}, created=True),
    "doubt: 403 HTML": Answer(403, HTML, True),
    "doubt: 409 empty": _json(409, {}, created=True),
    "doubt: 421": Answer(421, "", True),
    "doubt: 408": _e2(408, "timeout", created=True),
    "doubt: 302": Answer(302, "", True, {"location": "/login"}),
    "doubt: 504": Answer(504, HTML, True),
    "doubt: 500 own": _e2(500, "do_request_failed", created=True),
    "doubt: 502 shaped": _e1(502, "bad_gateway", created=True),
    "doubt: 200 without id": _json(200, {"code": "success", "data": None}, created=True),
    "doubt: 500 with id": _e2(500, "invalid_response", "task ID was created, its record was not", created=True),
    "doubt: 400 with id": _json(400, {"code": "late", "message": "no", "data": {"task_id": "ID"}}, created=True),
    "lost after billing": NO_RESPONSE,
    "lost before billing": Answer(),
}
PAID = {**ACCEPTED, **REFUSED, **DOUBTFUL}

UNKNOWN_ID = _e2(400, "task_not_exist", "task_not_exist")
OUTAGE = Answer(502, HTML)
#: Of a call that costs nothing.
FREE = {
    "own: not found": UNKNOWN_ID,
    "own: 401": _e1(401, ""),
    "own: 429": _e1(429, "rate_limit", retry_after="20"),
    "own: 500": _e2(500, "get_task_failed"),
    "foreign: 404 JSON": _json(404, {"detail": "Not Found"}),
    "foreign: 404 HTML": Answer(404, HTML),
    "foreign: 302": Answer(302, "", headers={"location": "/login"}),
    "foreign: 403 HTML": Answer(403, HTML),
    "foreign: 401 HTML": Answer(401, HTML),
    "foreign: 502": OUTAGE,
    "foreign: 200 JSON": _json(200, {}),
    "foreign: 200 HTML": Answer(200, HTML),
    "broken off": Answer(),
    "never sent": NEVER_SENT,
}
