"""One generation: its way from NOT_START to its end as a function of time, and how a query describes it."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_seedance.emulator import catalog, shapes
from airflow_provider_seedance.emulator.clips import ClipSpec
from airflow_provider_seedance.emulator.envelopes import new_request_id, random_text
from airflow_provider_seedance.emulator.faults import Fault
from airflow_provider_seedance.emulator.rules import Order

#: Seconds from submission to the end, at speed 1. The vendor says 1 to 5 minutes.
TYPICAL_SECONDS = 90.0
#: Seconds billed for each input video, because the length of what is behind a URL is not known here.
_ASSUMED_INPUT_SECONDS = 5

#: Share of the time after which the model starts to work.
_STARTS = 0.10
#: From which share of the time on: outer status, progress, inner status (None: no upstream object yet).
_STEPS: tuple[tuple[float, str, str, str | None], ...] = (
    (0.00, "NOT_START", "0%", None),
    (0.03, "QUEUED", "10%", "queued"),
    (_STARTS, "IN_PROGRESS", "50%", "running"),
    (0.70, "IN_PROGRESS", "70%", "running"),
    (0.90, "IN_PROGRESS", "90%", "running"),
)
_ACTIONS = {"text": "generate", "first frame": "generate", "first and last frame": "firstTailGenerate"}
_MODERATED = {
    "code": "OutputVideoSensitiveContentDetected",
    "message": "The request failed because the output video may contain sensitive information.",
}
#: Stands for a generation that nothing happens to.
_NO_FAULT = Fault("generation", create_shape="video")


@dataclass(eq=False)
class Generation:
    """
    A generation that was accepted and charged.

    :param order: What was requested.
    :param request: The JSON body as it came.
    :param created: Unix seconds.
    :param ends: Unix seconds at which it succeeds or fails.
    :param fault: What happens to it.
    :param size: Bytes of the JSON body, for which its memory is counted.
    :param answers_without_link: Number of ``SUCCESS`` responses so far that carried no link.
    """

    id: str
    upstream_id: str
    request_id: str
    order: Order
    request: Mapping[str, Any]
    created: float
    ends: float
    seed: int
    fault: Fault
    queries: int = 0
    downloads: int = 0
    answers_without_link: int = 0
    size: int = 0

    @classmethod
    def create(
        cls, order: Order, request: Mapping[str, Any], now: float, seconds: float, fault: Fault | None = None
    ) -> Generation:
        """
        Start a generation.

        :param order: What was requested.
        :param request: The JSON body as it came.
        :param now: Unix seconds.
        :param seconds: Seconds of real time until it ends.
        :param fault: What happens to it; nothing by default.
        :returns: The generation.
        """
        suffix = random_text(5, string.ascii_lowercase + string.digits)
        fault = fault or _NO_FAULT
        return cls(
            id=_new_id(fault.create_shape),
            upstream_id=f"cgt-{datetime.fromtimestamp(now, UTC):%Y%m%d%H%M%S}-{suffix}",
            request_id=new_request_id(),
            order=order,
            request=request,
            created=now,
            ends=now + seconds,
            seed=order.seed if order.seed is not None else secrets.randbelow(2**31),
            fault=fault,
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Generation:
        """Return the generation that was kept as these fields."""
        return cls(**{**fields, "order": Order(**fields["order"]), "fault": Fault(**fields["fault"])})

    def moderate(self) -> None:
        """Let output moderation reject it, unless a fault affects it."""
        if not self.fault.has_kind:
            self.fault = replace(self.fault, fail=_MODERATED)

    def clip(self, resolution: str) -> ClipSpec:
        """
        Describe its clip.

        :param resolution: That of the order, or :attr:`upstream_resolution` for the one before super-resolution.
        :returns: What the clip shows.
        """
        width, height = catalog.PIXELS[resolution][self.order.ratio]
        return ClipSpec(
            width=width,
            height=height,
            seconds=self.order.duration,
            sound=self.order.generate_audio,
            prompt=self.order.prompt,
            mode=self.order.mode,
            watermark=self.order.watermark,
            picture=self.order.picture,
        )

    @property
    def enlarged(self) -> bool:
        """Whether its model is the super-resolution product."""
        return catalog.MODELS[self.order.model].super_resolution

    @property
    def upstream_resolution(self) -> str:
        """The resolution that the model itself makes."""
        asked = self.order.resolution
        return catalog.UPSTREAM_RESOLUTION[asked] if self.enlarged else asked

    @property
    def total_tokens(self) -> int:
        """Tokens of the model itself; input videos count with an assumed length."""
        width, height = catalog.PIXELS[self.upstream_resolution][self.order.ratio]
        seconds = self.order.duration + self.order.videos * _ASSUMED_INPUT_SECONDS
        return catalog.tokens(width, height, seconds)

    def known(self, now: float) -> bool:
        """Return whether a query finds it."""
        return not self.fault.lose and now >= self.created + (self.fault.visible_after or 0)

    def status(self, now: float) -> str:
        """Return the outer status at a time in Unix seconds."""
        return self._step(now)[0]

    def _step(self, now: float) -> tuple[str, str, str | None]:
        """Return outer status, progress and inner status."""
        fault = self.fault
        if now >= self.ends:
            if fault.stuck:
                return "IN_PROGRESS", "90%", "running"
            if fault.inner is not None:
                return "IN_PROGRESS", "30%", fault.inner
            return ("SUCCESS", "100%", "succeeded") if fault.fail is None else ("FAILURE", "100%", "failed")
        share = (now - self.created) / (self.ends - self.created)
        reached = [step for step in _STEPS if share >= step[0]] or _STEPS[:1]
        _, status, progress, inner = reached[-1]
        return status if fault.status_word is None else fault.status_word, progress, inner

    def answer_create(self) -> Any:
        """Answer the request that made it (contract.md#create-response)."""
        usual = {
            "id": self.id,
            "task_id": self.id,
            "object": "video",
            "model": self.order.model,
            "status": "queued",
            "progress": 0,
            "created_at": int(self.created),
        }
        return shapes.created(self.fault.create_shape or "video", usual)

    def answer(self, now: float, links: Mapping[str, str]) -> Any:
        """
        Answer a query (contract.md#query-response).

        :param now: Unix seconds.
        :param links: A download link for each of its files: video.mp4, original.mp4 and last_frame.png.
        :returns: The body of the response.
        """
        status, progress, inner = self._step(now)
        linked = status == "SUCCESS"
        if linked and self.answers_without_link < (self.fault.no_link or 0):
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
            "data": self._upstream(inner, now, links if linked else {}),
        }
        if linked:
            task["result_url"] = links["video.mp4"]
            task["fail_reason"] = task["result_url"]  # the service does this for old clients
            if self.enlarged:
                task["original_result_url"] = links["original.mp4"]
        usual = {"code": "success", "message": "", "data": task}
        return shapes.queried(self.fault.query_shape or "task", usual)

    def _action(self) -> str:
        default = "omniGenerate" if self.order.videos or self.order.audios else "referenceGenerate"
        return _ACTIONS.get(self.order.mode, default)

    def _fail_reason(self) -> str:
        error = self._error()
        plain = self.fault.fail is not None and self.fault.fail.get("plain")
        return str(error["message"]) if plain else json.dumps({"error": error}, ensure_ascii=False)

    def _error(self) -> dict[str, Any]:
        failure = self.fault.fail or {}
        return {"code": failure.get("code", ""), "message": failure.get("message", "")}

    def _upstream(self, inner: str | None, now: float, links: Mapping[str, str]) -> dict[str, Any] | None:
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
            "framespersecond": catalog.FPS,
            "generate_audio": order.generate_audio,
            "draft": False,
            "usage": {"completion_tokens": self.total_tokens, "total_tokens": self.total_tokens},
        }
        if order.web_search:
            data["tools"] = [{"type": "web_search"}]
            data["usage"]["tool_usage"] = {"web_search": 1}
        if self.enlarged:
            data["super_resolution"] = order.resolution
            data["usage"]["super_resolution_tokens"] = catalog.tokens(*order.size, order.duration)
        if links:
            data["content"]["video_url"] = links["video.mp4"]
            if order.return_last_frame:
                data["content"]["last_frame_url"] = links["last_frame.png"]
        return data


def _new_id(create_shape: str | None) -> str:
    """Return an id of the form that goes with a shape."""
    match create_shape:
        case "number":
            return str(secrets.randbelow(10**15) + 10**15)
        case "odd":
            return f"videos/{random_text(16)} (720p)"
        case "id":
            return f"cgt-{random_text(20)}"
    return f"asyntask_{random_text(32)}"
