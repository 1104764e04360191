"""One generation: its way from NOT_START to its end as a function of time, and what a query says of it."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from airflow_provider_seedance.emulator import catalogue, rules
from airflow_provider_seedance.emulator.clips import ClipSpec
from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.rules import AssetLookup, Order

#: seconds from submission to the end, at speed 1; the vendor names 1 to 5 minutes
TYPICAL_SECONDS = 90.0
#: billed for each input video, whose length behind a URL is not known here
_ASSUMED_INPUT_SECONDS = 5

#: share of the way at which the model starts to work
_STARTS = 0.10
#: share of the way at which each step begins: outer status, progress, inner status (None: no upstream object yet)
_STEPS: tuple[tuple[float, str, str, str | None], ...] = (
    (0.90, "IN_PROGRESS", "90%", "running"),
    (0.70, "IN_PROGRESS", "70%", "running"),
    (_STARTS, "IN_PROGRESS", "50%", "running"),
    (0.03, "QUEUED", "10%", "queued"),
    (0.00, "NOT_START", "0%", None),
)
_ACTIONS = {"text": "generate", "first frame": "generate", "first and last frame": "firstTailGenerate"}
_ALPHABET = string.ascii_letters + string.digits
_MODERATED = {
    "code": "OutputVideoSensitiveContentDetected",
    "message": "The request failed because the output video may contain sensitive information.",
}


def _random(length: int, alphabet: str = _ALPHABET) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def new_request_id(now: float) -> str:
    """Return a trace id in the service's form, time first."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d%H%M%S%f}000{_random(8)}"


@dataclass(eq=False)
class Generation:
    """A generation that was accepted and charged.

    :param order: what was asked for
    :param request: the JSON body as it came
    :param created: Unix seconds
    :param ends: Unix seconds at which it succeeds or fails
    :param fault: what its fate was asked to be, or None
    """

    id: str
    upstream_id: str
    request_id: str
    order: Order
    request: Mapping[str, Any]
    created: float
    ends: float
    seed: int
    fault: Fault | None = None
    queries: int = 0
    downloads: int = 0
    answers_without_link: int = 0

    @classmethod
    def create(cls, order: Order, request: Mapping[str, Any], now: float, seconds: float) -> Generation:
        """Start a generation that takes ``seconds`` of real time."""
        return cls(
            id=f"asyntask_{_random(32)}",
            upstream_id=(
                f"cgt-{datetime.fromtimestamp(now, UTC):%Y%m%d%H%M%S}-"
                f"{_random(5, string.ascii_lowercase + string.digits)}"
            ),
            request_id=new_request_id(now),
            order=order,
            request=request,
            created=now,
            ends=now + seconds,
            seed=order.seed if order.seed is not None else secrets.randbelow(2**31),
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any], assets: AssetLookup) -> Generation:
        """Make it again from :meth:`to_json`; the order is read from the request once more.

        :param assets: finds the assets that it names
        """
        fault = value["fault"]
        return cls(
            **{
                **value,
                "order": rules.check(value["request"], (), assets),
                "fault": Fault.from_json(fault) if fault is not None else None,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it but the order, which the request tells, as JSON."""
        kept = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "order"}
        return {**kept, "fault": asdict(self.fault) if self.fault is not None else None}

    @property
    def clip(self) -> ClipSpec:
        """What its clip shows."""
        return self._clip(self.order.resolution)

    @property
    def original_clip(self) -> ClipSpec:
        """The smaller clip that a super-resolution model enlarged."""
        return self._clip(self.upstream_resolution)

    def _clip(self, resolution: str) -> ClipSpec:
        width, height = catalogue.PIXELS[resolution][self.order.ratio]
        order = self.order
        return ClipSpec(
            width=width,
            height=height,
            seconds=order.duration,
            sound=order.generate_audio,
            prompt=order.prompt,
            mode=order.mode,
            watermark=order.watermark,
            picture=order.picture,
        )

    @property
    def enlarged(self) -> bool:
        """Whether its model is a super-resolution product."""
        return catalogue.MODELS[self.order.model].super_resolution

    @property
    def upstream_resolution(self) -> str:
        """The resolution that the model itself makes."""
        asked = self.order.resolution
        return catalogue.UPSTREAM_RESOLUTION[asked] if self.enlarged else asked

    @property
    def total_tokens(self) -> int:
        """Tokens of the model itself; input videos count with an assumed length."""
        width, height = catalogue.PIXELS[self.upstream_resolution][self.order.ratio]
        seconds = self.order.duration + self.order.videos * _ASSUMED_INPUT_SECONDS
        return catalogue.tokens(width, height, seconds)

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """Code and message that it ends with, or None where it succeeds."""
        return self.fault.fail if self.fault is not None else None

    def moderate_output(self) -> None:
        """Let it end as refused by the output moderation."""
        self.fault = Fault("generation", fail=_MODERATED)

    def known(self, now: float) -> bool:
        """Whether a query finds it."""
        if self.fault is None:
            return True
        return not self.fault.lose and now >= self.created + (self.fault.visible_after or 0)

    def status(self, now: float) -> str:
        """Return the outer status at a time."""
        return self._step(now)[0]

    def _step(self, now: float) -> tuple[str, str, str | None]:
        """Return outer status, progress and inner status."""
        fault = self.fault
        if now >= self.ends:
            if fault is not None and fault.stuck:
                return "IN_PROGRESS", "90%", "running"
            if fault is not None and fault.inner is not None:
                return "IN_PROGRESS", "30%", fault.inner
            return ("FAILURE", "100%", "failed") if self.failure is not None else ("SUCCESS", "100%", "succeeded")
        share = (now - self.created) / (self.ends - self.created)
        status, progress, inner = next(step[1:] for step in _STEPS if share >= step[0] or step[0] == 0)
        if fault is not None and fault.status_word is not None:
            status = fault.status_word
        return status, progress, inner

    def answer(self, now: float, link: Callable[[str], str]) -> dict[str, Any]:
        """Return the body of a query's answer (contract 2.1 to 2.4).

        :param now: Unix seconds
        :param link: signs a download link for a file name of this generation
        """
        status, progress, inner = self._step(now)
        linked = status == "SUCCESS"
        if linked and self.fault is not None and self.answers_without_link < (self.fault.no_link or 0):
            self.answers_without_link += 1
            linked = False
        task: dict[str, Any] = {
            "task_id": self.id,
            "action": self._action(),
            "status": status,
            "fail_reason": self._fail_reason() if status == "FAILURE" else "",
            "submit_time": int(self.created),
            "start_time": 0 if inner in (None, "queued") else int(self.created + _STARTS * (self.ends - self.created)),
            "finish_time": int(self.ends) if status in ("SUCCESS", "FAILURE") else 0,
            "progress": progress,
            "request_id": self.request_id,
            "data": self._upstream(inner, now, link if linked else None),
        }
        if linked:
            task["result_url"] = link("video.mp4")
            task["fail_reason"] = task["result_url"]  # the service does so for old clients
            if self.enlarged:
                task["original_result_url"] = link("original.mp4")
        return {"code": "success", "message": "", "data": task}

    def _action(self) -> str:
        default = "omniGenerate" if self.order.videos or self.order.audios else "referenceGenerate"
        return _ACTIONS.get(self.order.mode, default)

    def _fail_reason(self) -> str:
        failure = self.failure or {}
        if failure.get("plain"):
            return str(failure.get("message", ""))
        return json.dumps({"error": self._error()}, ensure_ascii=False)

    def _error(self) -> dict[str, Any]:
        failure = self.failure or {}
        return {"code": failure.get("code", ""), "message": failure.get("message", "")}

    def _upstream(self, inner: str | None, now: float, link: Callable[[str], str] | None) -> dict[str, Any] | None:
        """Return ``data.data``: null at first, then the bare submit answer, then the whole upstream object."""
        if inner is None:
            return None
        if inner == "queued":
            return {"id": self.upstream_id}
        order = self.order
        data: dict[str, Any] = {
            "id": self.upstream_id,
            "model": "doubao-seedance-2-0-260128",
            "status": inner,
            "created_at": int(self.created),
            "updated_at": int(min(now, self.ends)),
            "service_tier": "default",
            "execution_expires_after": 172800,
        }
        if inner == "failed":
            data["error"] = self._error()
        if inner != "succeeded":
            return data
        data |= {
            "content": {},
            "seed": self.seed,
            "resolution": self.upstream_resolution,
            "ratio": order.ratio,
            "duration": order.duration,
            "framespersecond": catalogue.FPS,
            "generate_audio": order.generate_audio,
            "draft": False,
            "usage": {"completion_tokens": self.total_tokens, "total_tokens": self.total_tokens},
        }
        if order.web_search:
            data["tools"] = [{"type": "web_search"}]
            data["usage"]["tool_usage"] = {"web_search": 1}
        if self.enlarged:
            data["super_resolution"] = order.resolution
            data["usage"]["super_resolution_tokens"] = catalogue.tokens(*order.size, order.duration)
        if link is not None:
            data["content"]["video_url"] = link("video.mp4")
            if order.return_last_frame:
                data["content"]["last_frame_url"] = link("last_frame.png")
        return data
