"""
What the service reports of one generation, read tolerantly.

The query's response has several shapes and gaps (contract.md#query-response): an envelope or none, numbers as strings,
a ``fail_reason`` that is a link on success, an inner upstream object that may be missing or disagree. All of them end
in one :class:`Generation`; nothing but a :class:`~airflow_provider_seedance.exceptions.SeedanceError` is ever raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from airflow_provider_seedance.api.errors import ErrorDetail, Reason, error_from, read_error, reason_of
from airflow_provider_seedance.api.links import DEFAULT_LINK_LIFE, link_expiry
from airflow_provider_seedance.api.naming import What
from airflow_provider_seedance.api.parse import (
    as_bool,
    as_epoch,
    as_http_url,
    as_id,
    as_int,
    as_mapping,
    as_number,
    as_text,
    as_word,
)
from airflow_provider_seedance.api.redact import redact
from airflow_provider_seedance.api.response import DEFAULT_CONN_ID, Response
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceGenerationFailedError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceServiceError,
)

State = Literal["running", "succeeded", "failed"]

_SUCCESS = frozenset({"SUCCESS", "SUCCEEDED", "COMPLETED", "COMPLETE", "DONE"})
_FAILURE = frozenset({"FAILURE", "FAILED", "ERROR", "CANCELLED", "CANCELED", "EXPIRED", "REJECTED"})
_CANCELLED = frozenset({"CANCELLED", "CANCELED"})
_MODERATION = frozenset({"input_moderation", "output_moderation", "real_person", "copyright"})
#: Words that mean "still running" and are documented or known; any other counts as running too, with a warning.
_RUNNING = frozenset(
    {"", "NOT_START", "SUBMITTED", "QUEUED", "IN_PROGRESS", "UNKNOWN", "PENDING", "PROCESSING", "RUNNING"}
)
#: Members of the upstream response that go into ``metadata``; the rest can contain the prompt.
_METADATA = ("framespersecond", "generate_audio", "draft", "service_tier", "frames", "super_resolution")
_REFUNDED = "The platform refunds a failed generation."


@dataclass(frozen=True, kw_only=True)
class Generation:
    """
    One generation, as the service describes it.

    Times are Unix seconds; what the service did not report is None.

    :param generation_id: The id that was queried, else the one in the response.
    :param state: ``running``, ``succeeded`` or ``failed``: what the service's status means.
    :param status: The service's own word, upper case.
    :param inner_status: The upstream's own word, lower case, if the response carries the upstream's.
    :param progress: Percent, 0 to 100. A failed generation shows 100 as well.
    :param video_url: Signed download link, once it succeeded.
    :param failure: What went wrong, unredacted, once it failed.
    """

    generation_id: str | None = None
    state: State = "running"
    status: str = ""
    inner_status: str = ""
    progress: int | None = None
    video_url: str | None = field(default=None, repr=False)
    last_frame_url: str | None = field(default=None, repr=False)
    original_video_url: str | None = field(default=None, repr=False)
    model: str | None = None
    resolution: str | None = None
    ratio: str | None = None
    duration: float | None = None
    seed: int | None = None
    total_tokens: int | None = None
    submitted_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    request_id: str | None = None
    failure: ErrorDetail | None = field(default=None, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_response(cls, body: object, *, generation_id: str | None = None) -> Generation:
        """
        Read the response to a query.

        :param body: The parsed JSON.
        :param generation_id: The id that was queried; it wins over the one in the response.
        :raises SeedanceError: The typed exception if the response is an error, or describes no generation.
        """
        task = _unwrap(body)
        if task is None:
            if read_error(body) is not None:
                raise error_from(Response(200, body), secrets=None)
            raise SeedanceServiceError("The service's response does not describe a generation.")
        return _read(task, generation_id)

    @property
    def is_known_status(self) -> bool:
        """Whether the service's word is a known one; an unknown one counts as running."""
        return self.status in _SUCCESS | _FAILURE | _RUNNING

    @property
    def inner_failed(self) -> bool:
        """Whether the upstream has given up, whatever the gateway still says (contract.md#status-words)."""
        return self.inner_status.upper() in _FAILURE

    @property
    def failure_reason(self) -> Reason:
        """Why it failed, in one word."""
        detail = self.failure or ErrorDetail()
        reason = reason_of(detail)
        if reason == "input_moderation" and not _blames_input(detail):
            return "output_moderation"  # the generation had begun
        if reason == "other":
            words = {self.status, self.inner_status.upper()}
            return "expired" if "EXPIRED" in words else "cancelled" if words & _CANCELLED else "other"
        return reason

    @property
    def video_url_expires_at(self) -> float | None:
        """When the link expires: by its own signature, else 12 hours after the generation finished."""
        if self.video_url is None:
            return None
        return link_expiry(self.video_url) or (self.finished_at + DEFAULT_LINK_LIFE if self.finished_at else None)

    def url_of(self, what: What) -> str | None:
        """Return the signed link to one of its files."""
        return self.video_url if what == "video" else self.last_frame_url

    def to_result(
        self,
        *,
        conn_id: str = DEFAULT_CONN_ID,
        expected_tokens: int | None = None,
        prompt_fingerprint: str | None = None,
    ) -> dict[str, Any]:
        """
        Return what operator and sensor pass downstream: JSON-ready, times in ISO 8601 (UTC).

        The keys are those in the operator's documentation, whether the service named a value or not.

        :param conn_id: The connection, for the paths that do not expire.
        :param expected_tokens: The estimate from before the submission, if it is known.
        :param prompt_fingerprint: The prompt's SHA-256, if it is known.
        """
        folder = f"seedance://{conn_id}@{self.generation_id}"
        return {
            "generation_id": self.generation_id,
            "video_url": self.video_url,
            "video_url_expires_at": iso(self.video_url_expires_at),
            "video_path": f"{folder}/video.mp4" if self.video_url else None,
            "last_frame_url": self.last_frame_url,
            "last_frame_path": f"{folder}/last_frame.png" if self.last_frame_url else None,
            "model": self.model,
            "resolution": self.resolution,
            "ratio": self.ratio,
            "duration": self.duration,
            "seed": self.seed,
            "total_tokens": self.total_tokens,
            "expected_tokens": expected_tokens,
            "prompt_fingerprint": prompt_fingerprint,
            "submitted_at": iso(self.submitted_at),
            "finished_at": iso(self.finished_at),
            "request_id": self.request_id,
            "metadata": dict(self.metadata),
        }

    def to_error(self, *, secrets: Iterable[str] | None = None) -> SeedanceError:
        """
        Build the typed exception for a failed generation.

        :param secrets: What must not appear in the message, such as the prompt. None if the prompt is not known: then
            the message has the service's code and none of its text, which may quote the prompt.
        """
        detail = self.failure or ErrorDetail()
        reason = self.failure_reason
        said = detail.message if secrets is None else redact(detail.message, secrets=secrets)
        if said and secrets is None:
            said = f"{reason}; the service's text is left out, since it may quote the prompt"
        quoted = ": ".join(filter(None, (detail.code, said))) or "the service gave no reason"
        what = f"Generation {self.generation_id} failed ({quoted})."
        error: SeedanceError
        if reason in _MODERATION and _blames_input(detail):
            error = SeedanceInputModerationError(
                f"{what} Content moderation rejected the prompt or a reference: change it. {_REFUNDED}"
            )
        elif reason in _MODERATION:
            error = SeedanceModerationError(
                f"{what} Content moderation rejected the finished video. {_REFUNDED} "
                "Another try or another prompt or reference may pass.",
                stage="output",
            )
        else:
            error = SeedanceGenerationFailedError(
                f"{what} {_REFUNDED} Another try may pass.",
                generation_id=self.generation_id,
                reason=reason,
            )
        error.code, error.request_id = detail.code, self.request_id or detail.request_id
        return error


def _blames_input(detail: ErrorDetail) -> bool:
    return (detail.code or detail.message).startswith("Input")


def iso(epoch: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC, to the second."""
    return None if epoch is None else datetime.fromtimestamp(epoch, tz=UTC).isoformat(timespec="seconds")


def _unwrap(body: object) -> Mapping[str, Any] | None:
    """
    Find the task in its envelope, or without one (contract.md#query-response).

    A body with ``task_id`` and ``status`` is the task, and its ``data`` the upstream's. What has an id beside its
    status is a task although it has an ``error``, the failure's text; without an id, an ``error`` makes it none.
    """
    outer = as_mapping(body)
    data = as_mapping(outer.get("data"))
    if _is_task(outer, "task_id"):
        return outer
    for task in (data, outer):
        if _is_task(task, "task_id", "id"):
            return task
    if as_text(outer.get("task_id")):
        return outer
    is_status_alone = isinstance(data.get("status"), str) and not data.get("error")
    return data if is_status_alone or as_text(data.get("task_id")) else None


def _is_task(node: Mapping[str, Any], *id_names: str) -> bool:
    return isinstance(node.get("status"), str) and any(node.get(name) not in (None, "") for name in id_names)


def _read(task: Mapping[str, Any], generation_id: str | None) -> Generation:
    inner = task if "content" in task else as_mapping(task.get("data"))  # the upstream's own form, or within the task
    content = as_mapping(inner.get("content"))
    usage = as_mapping(inner.get("usage"))
    status = _status(task).upper()
    inner_status = _status(inner).lower()
    state = _state(status, inner_status, content)
    known: dict[str, Any] = {
        "generation_id": generation_id or as_id(task.get("task_id")) or as_id(task.get("id")),
        "state": state,
        "status": status,
        "inner_status": inner_status,
        "progress": _progress(task.get("progress")),
        "submitted_at": as_epoch(task.get("submit_time")) or as_epoch(task.get("created_at")),
    }
    if state == "running" and inner_status.upper() not in _FAILURE:
        return Generation(**known)  # nearly every poll ends here, and nothing needs more of a running one
    return Generation(
        **known,
        video_url=_video_url(task, content) if state == "succeeded" else None,
        last_frame_url=as_http_url(content.get("last_frame_url")),
        original_video_url=as_http_url(task.get("original_result_url")),
        model=as_word(inner.get("model")) or as_word(task.get("model")),
        resolution=as_word(inner.get("super_resolution")) or as_word(inner.get("resolution")),
        ratio=as_word(inner.get("ratio")),
        duration=_whole(as_number(inner.get("duration"))),
        seed=as_int(inner.get("seed")),
        total_tokens=as_int(usage.get("total_tokens")),
        started_at=as_epoch(task.get("start_time")),
        finished_at=(
            as_epoch(task.get("finish_time")) or as_epoch(task.get("completed_at")) or as_epoch(inner.get("updated_at"))
        ),
        request_id=as_id(task.get("request_id")),
        failure=_failure(task, inner) if state == "failed" or inner_status.upper() in _FAILURE else None,
        metadata=_metadata(task, inner, usage),
    )


def _status(node: Mapping[str, Any]) -> str:
    """Return a status, which is a word: a longer text may hold what must not be shown."""
    text = as_text(node.get("status"))
    return "" if text is None else as_word(text) or "unreadable"


def _state(status: str, inner_status: str, content: Mapping[str, Any]) -> State:
    if status in _SUCCESS:
        return "succeeded"
    if status in _FAILURE:
        return "failed"
    if inner_status.upper() in _SUCCESS and as_http_url(content.get("video_url")):
        return "succeeded"  # the gateway lags behind its upstream (contract.md#status-words)
    return "running"


def _video_url(task: Mapping[str, Any], content: Mapping[str, Any]) -> str | None:
    """Return the first link (contract.md#query-response); ``fail_reason`` holds a copy of it for old clients."""
    candidates = (
        task.get("result_url"),
        content.get("video_url"),
        task.get("video_url"),
        task.get("url"),
        as_mapping(task.get("metadata")).get("url"),
        task.get("fail_reason"),
    )
    return next(filter(None, map(as_http_url, candidates)), None)


def _progress(value: object) -> int | None:
    text = value.strip().rstrip("%") if isinstance(value, str) else value
    number = as_number(text)
    if number is None:
        return None
    if 0 < number < 1:  # a fraction, unless it was written with a percent sign
        number *= 1 if isinstance(value, str) and "%" in value else 100
    return int(min(max(number, 0), 100))


def _whole(number: float | None) -> float | None:
    return int(number) if number is not None and number == int(number) else number


def _failure(task: Mapping[str, Any], inner: Mapping[str, Any]) -> ErrorDetail:
    """Find the reason (contract.md#failure-text). The code may be in one place and the text in another."""
    details = [
        detail
        for source in (inner.get("error"), task.get("fail_reason"), task.get("error"))
        if (detail := read_error(_as_error(source))) is not None
    ]
    code = next((d.code for d in details if d.code), None)
    message = next((d.message for d in details if d.message), "")
    return ErrorDetail(code=code, message=message)


def _as_error(source: object) -> object:
    return {"error": source} if isinstance(source, Mapping | str) and source else None


def _metadata(task: Mapping[str, Any], inner: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "action": as_word(task.get("action")),
        "upstream_id": as_id(inner.get("id")),
        "original_video_url": as_http_url(task.get("original_result_url")),
        "started_at": iso(as_epoch(task.get("start_time"))),
        "completion_tokens": as_int(usage.get("completion_tokens")),
        "super_resolution_tokens": as_int(usage.get("super_resolution_tokens")),
        "web_searches": as_int(as_mapping(usage.get("tool_usage")).get("web_search")),
    }
    for name in _METADATA:
        value = inner.get(name)
        number = as_number(value)
        found[name] = (
            as_bool(value) if isinstance(value, bool) else _whole(number) if number is not None else as_word(value)
        )
    return {name: value for name, value in found.items() if value is not None}
