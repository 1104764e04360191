"""The forms in which services of this family say that a generation was made, and describe one that is queried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What a response to a create request may look like, the usual form first (contract.md#create-response).
CREATE_SHAPES = (
    "video",
    "id",
    "processing",
    "task_id",
    "data",
    "data_text",
    "data_id",
    "output",
    "result",
    "wrapped",
    "list",
    "data_list",
    "message",
    "unready_message",
    "code",
    "error",
    "number",
    "odd",
)
#: What a response to a query may look like, the usual form first (contract.md#query-response).
QUERY_SHAPES = ("task", "bare", "stock", "openai", "openai_data", "ark", "ark_data", "old", "gemini", "loose")

_OPENAI_WORDS = {
    "NOT_START": "queued",
    "QUEUED": "queued",
    "IN_PROGRESS": "in_progress",
    "SUCCESS": "completed",
    "FAILURE": "failed",
}
_OLD_WORDS = {"NOT_START": "processing", "QUEUED": "processing", "IN_PROGRESS": "processing"}
_ARK_WORDS = {"NOT_START": "queued", "QUEUED": "queued", "IN_PROGRESS": "running"}
_GEMINI_WORDS = {**_OPENAI_WORDS, "IN_PROGRESS": "processing", "SUCCESS": "succeeded"}


def created(shape: str, usual: Mapping[str, Any]) -> Any:
    """
    Say in one of :data:`CREATE_SHAPES` that a generation was made.

    :param shape: The shape.
    :param usual: The response in the usual one.
    :returns: The JSON.
    """
    made = usual["id"]
    match shape:
        case "id":
            return {"id": made}
        case "processing":
            return {"id": made, "model": usual["model"], "status": "processing", "created_at": usual["created_at"]}
        case "task_id":
            return {"task_id": made}
        case "data":
            return {"code": "success", "message": "", "data": {"task_id": made}}
        case "data_text":
            return {"code": "success", "message": "", "data": made}
        case "data_id":
            return {"code": 200, "msg": "ok", "data": {"id": made, "status": "queued"}}
        case "output":
            return {"output": {"task_id": made, "task_status": "PENDING"}, "request_id": "1f2e3d4c"}
        case "result":
            return {"success": True, "result": {"id": made}}
        case "wrapped":
            return {"ResponseMetadata": {"RequestId": "1f2e3d4c"}, "Result": {"Id": made}}
        case "list":
            return [{"id": made}]
        case "data_list":
            return {"code": 0, "data": [{"task_id": made}]}
        case "message":
            return {"id": made, "message": "ok"}
        case "unready_message":
            return {"id": made, "message": "The video is not available yet."}
        case "code":
            return {"code": "task_accepted", "message": "accepted", "id": made}
        case "error":
            return {**usual, "error": {"code": "notify_failed", "message": "the webhook could not be called"}}
        case "number":
            return {"id": int(made)}
    return dict(usual)  # "odd" is usual but for its id


def queried(shape: str, usual: Mapping[str, Any]) -> Any:
    """
    Describe a generation in one of :data:`QUERY_SHAPES`.

    :param shape: The shape.
    :param usual: The response in the usual one.
    :returns: The JSON.
    """
    task = usual["data"]
    match shape:
        case "bare":
            return task
        case "stock":
            columns = {"id": 4711, "platform": "45", "user_id": 1, "group": "default", "channel_id": 3, "quota": 500}
            properties = {"properties": {"input": "", "upstream_model_name": ""}, "username": ""}
            failed = {"result_url": task["fail_reason"]} if task["status"] == "FAILURE" else {}
            created_at = {"created_at": task["submit_time"], "updated_at": task["submit_time"]}
            return {**usual, "data": {**columns, **created_at, **properties, **task, **failed}}
        case "openai":
            return _openai(task)
        case "openai_data":
            return {"code": "success", "message": "", "data": _openai(task)}
        case "ark":
            return _ark(task)
        case "ark_data":
            return {"code": 200, "message": "ok", "data": _ark(task)}
        case "old":
            word = _OLD_WORDS.get(task["status"], _OPENAI_WORDS.get(task["status"], ""))
            known = {"id": task["task_id"], "model": "seedance-2.0", "status": word, "created_at": task["submit_time"]}
            return {**known, **_link(task, "video_url"), **({"error": _error(task)} if word == "failed" else {})}
        case "gemini":
            word = _GEMINI_WORDS[task["status"]]
            said = {"status": word, "task_id": task["task_id"], "format": "mp4", "metadata": None}
            error = _error(task) if word == "failed" else None
            return {"code": "success", "message": "", "data": {**said, **_link(task, "url"), "error": error}}
        case "loose":
            return {**usual, "code": 0, "message": None, "data": _loose(task)}
    return usual


def _openai(task: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a task as OpenAI describes a video."""
    word = _OPENAI_WORDS[task["status"]]
    return {
        "id": task["task_id"],
        "task_id": task["task_id"],
        "object": "video",
        "model": "seedance-2.0",
        "status": word,
        "progress": int(task["progress"].rstrip("%")),
        "created_at": task["submit_time"],
        "completed_at": task["finish_time"],
        "metadata": _link(task, "url"),
        "error": _error(task) if word == "failed" else None,
    }


def _ark(task: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a task as the API behind the gateway does."""
    known = {"id": task["task_id"], "model": "doubao-seedance-2-0-260128", "created_at": task["submit_time"]}
    word = _ARK_WORDS.get(task["status"])
    upstream = {name: value for name, value in (task["data"] or {}).items() if name != "id"}
    return {**known, "status": word, "error": None, **upstream}


def _loose(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write numbers as text and times in milliseconds, and add what nobody knows."""
    times = {name: str(task[name] * 1000) for name in ("submit_time", "start_time", "finish_time")}
    inner = task["data"]
    if inner is not None and "usage" in inner:
        usage = {name: str(value) for name, value in inner["usage"].items() if name != "completion_tokens"}
        inner = {**inner, "usage": usage, "duration": str(inner["duration"]), "seed": str(inner["seed"]), "new": []}
    progress = int(task["progress"].rstrip("%"))
    return {**task, **times, "status": f" {task['status'].lower()} ", "progress": progress, "data": inner, "new": {}}


def _link(task: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: task["result_url"]} if "result_url" in task else {}


def _error(task: Mapping[str, Any]) -> dict[str, Any]:
    return dict(task["data"]["error"])
