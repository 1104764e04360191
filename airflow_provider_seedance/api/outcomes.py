"""How a wait ends: as a value, as the event that a trigger hands to its task, and as the exception that follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceError,
    SeedanceEventError,
    SeedanceGenerationFailedError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTimeoutError,
)

Outcome = Literal["succeeded", "failed", "error", "not_found", "timeout"]
_OUTCOMES: frozenset[str] = frozenset(get_args(Outcome))

#: Version of the event that trigger and operator exchange; raised when its form changes.
EVENT_VERSION = 1


@dataclass(frozen=True)
class Finished:
    """
    The wait is over.

    :param outcome: How it ended.
    :param reason: One word for statistics and messages.
    :param message: What happened and what follows, without any text of the service, fit for an event that is stored.
    """

    outcome: Outcome
    reason: str
    message: str = ""


def generation_error(
    finished: Finished, generation: Generation | None, secrets: Iterable[str] | None = None
) -> SeedanceError:
    """
    Build the typed exception of a wait for a generation that did not succeed.

    :param finished: How it ended.
    :param generation: What the service reported, if it could be asked: its text says more than an event may.
    :param secrets: What the message must not contain, such as the prompt; None if that is not known.
    """
    if finished.outcome != "failed":
        return _unfinished_error(finished)
    if generation is not None and generation.failure is not None:
        return generation.to_error(secrets=secrets)
    if finished.reason == "input_moderation":
        return SeedanceInputModerationError(finished.message)
    if finished.reason in ("output_moderation", "real_person", "copyright"):
        return SeedanceModerationError(finished.message, stage="output")
    return SeedanceGenerationFailedError(finished.message, reason=finished.reason)


def asset_error(finished: Finished, asset: Asset | None) -> SeedanceError:
    """Build the typed exception of a wait for an asset that did not succeed. Parameters as :func:`generation_error`."""
    if finished.outcome != "failed":
        return _unfinished_error(finished)
    if asset is not None and asset.state == "failed":
        return asset.to_error()
    return SeedanceRequestError(finished.message, field="source")


def _unfinished_error(finished: Finished) -> SeedanceError:
    by_reason: dict[str, type[SeedanceError]] = {
        "not_found": SeedanceNotFoundError,
        "timeout": SeedanceTimeoutError,
        "auth": SeedanceAuthError,
        "request": SeedanceRequestError,
        "no_route": SeedanceRequestError,
    }
    return by_reason.get(finished.reason, SeedanceServiceError)(finished.message)


def to_event(subject_id: str, finished: Finished, *, key: str = "generation_id") -> dict[str, Any]:
    """
    Return the event of a finished wait. Airflow logs and stores it: it contains the id and the outcome only.

    :param subject_id: What was waited for.
    :param finished: How it ended.
    :param key: The name of the id in the event.
    """
    return {
        "version": EVENT_VERSION,
        key: subject_id,
        "outcome": finished.outcome,
        "reason": finished.reason,
        "message": finished.message,
    }


def from_event(event: object, *, key: str = "generation_id") -> tuple[str, Finished]:
    """
    Check an event.

    :param event: What ``execute_complete`` was given.
    :param key: The name of the id in the event.
    :returns: The id, and how the wait ended.
    :raises SeedanceEventError: It is not one of ours, or of a version that this release does not know. The submission's
        record is untouched, so a retry polls by itself.
    """
    if not isinstance(event, Mapping):
        raise SeedanceEventError(f"The trigger's event is unreadable ({type(event).__name__}).")
    if event.get("version") != EVENT_VERSION:
        raise SeedanceEventError(
            f"The trigger's event has version {event.get('version')!r}; this release reads version {EVENT_VERSION}. "
            "Run the same version of airflow-provider-seedance on triggerers and workers."
        )
    subject_id, outcome = event.get(key), event.get("outcome")
    if not isinstance(subject_id, str) or isinstance(outcome, list | dict) or outcome not in _OUTCOMES:
        raise SeedanceEventError("The trigger's event lacks an id or a known outcome.")
    return subject_id, Finished(outcome, str(event.get("reason") or ""), str(event.get("message") or ""))
