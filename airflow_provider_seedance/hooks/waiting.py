"""The loops of I/O around the pure Poller, and what an outcome means for a task: shared by operator and sensor."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.polling import BasePoller, PollDecision
from airflow_provider_seedance.exceptions import (
    SeedanceAuthError,
    SeedanceError,
    SeedanceGenerationFailedError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTimeoutError,
)
from airflow_provider_seedance.telemetry.metrics import count, count_success

if TYPE_CHECKING:
    from airflow_provider_seedance.hooks.seedance import SeedanceHook
    from airflow_provider_seedance.hooks.shared_client import SharedClient

log = logging.getLogger(__name__)


#: Seconds. A triggerer's looks fall on multiples of it, so that many share one wake-up of the event loop and cost less.
#: A longer one would hold the loop up by looking at more of them at a time.
TOGETHER = 0.05

#: What is waited for: a generation or an asset.
Waited = TypeVar("Waited", Generation, Asset)


class StatusLog:
    """
    Says in the log when a status changed, and nothing for an ordinary look.

    :param poller: That of the wait: it knows what is waited for.
    """

    def __init__(self, poller: BasePoller) -> None:
        self._subject = f"{poller.noun} {poller.subject_id}"
        self._last: str | None = None

    def saw(self, state: Generation | Asset) -> None:
        """Log a status that is another than the last one seen."""
        if state.status != self._last:
            self._last = state.status
            progress = "" if state.progress is None else f", {state.progress}%"
            log.info("%s: %s%s", self._subject, state.status[:40] or "(no status)", progress)


def look(
    hook: SeedanceHook, poller: BasePoller, status_log: StatusLog, ask: Callable[[str], Waited]
) -> tuple[PollDecision, Waited | None]:
    """
    Ask once, from a worker.

    :param ask: Asks by id, once.
    :returns: The decision, and the answer where the service gave one.
    """
    try:
        state = ask(poller.subject_id)
    except SeedanceError as e:
        decision = _failed_look(poller, e)
        if decision.refresh_connection:
            hook.refresh()
        return decision, None
    return _decided(poller, state, status_log), state


async def look_async(
    client: SharedClient, poller: BasePoller, status_log: StatusLog, ask: Callable[[str], Awaitable[Waited]]
) -> PollDecision:
    """Ask once, from a triggerer."""
    try:
        state = await ask(poller.subject_id)
    except SeedanceError as e:
        decision = _failed_look(poller, e)
        if decision.refresh_connection:
            client.refresh()
        return decision
    return _decided(poller, state, status_log)


def _failed_look(poller: BasePoller, error: SeedanceError) -> PollDecision:
    log.warning("Asking for %s %s failed: %s", poller.noun.lower(), poller.subject_id, error)
    count("poll_errors", noun=f"{poller.noun.lower()}s", error=type(error).__name__)
    return poller.on_error(error, now=time.time())


def _decided(poller: BasePoller, state: Generation | Asset, status_log: StatusLog) -> PollDecision:
    status_log.saw(state)
    decision = poller.on_state(state, now=time.time())
    if decision.warning:
        log.warning(decision.warning)
    return decision


def wait(
    hook: SeedanceHook,
    poller: BasePoller,
    decision: PollDecision,
    status_log: StatusLog,
    ask: Callable[[str], Waited],
) -> tuple[PollDecision, Waited | None]:
    """
    Wait in the worker until there is an outcome.

    :param decision: That of the look already taken.
    """
    state = None
    while decision.ask_at is not None:
        time.sleep(max(decision.ask_at - time.time(), 0))
        decision, state = look(hook, poller, status_log, ask)
    return decision, state


async def wait_async(
    hook: SeedanceHook, poller: BasePoller, ask_of: Callable[[SharedClient], Callable[[str], Awaitable[Waited]]]
) -> PollDecision:
    """
    Wait in the triggerer until there is an outcome.

    :param ask_of: Takes from the shared client the method that asks by id.
    """
    status_log = StatusLog(poller)
    ask_at: float | None = poller.first_look(time.time())
    decision = PollDecision()
    async with hook.shared_client() as client:
        while ask_at is not None:
            await asyncio.sleep(max(math.ceil(ask_at / TOGETHER) * TOGETHER - time.time(), 0))
            decision = await look_async(client, poller, status_log, ask_of(client))
            ask_at = decision.ask_at
    return decision


def require_success(
    decision: PollDecision, generation: Generation | None, *, secrets: Iterable[str] = ()
) -> Generation:
    """
    Return the generation of a wait that succeeded, and count how the wait ended.

    :param decision: The outcome.
    :param generation: What the service said, where it could be asked: its text says more than the event may.
    :param secrets: What a message must not hold, such as the prompt.
    :raises SeedanceError: The typed exception of any other outcome.
    """
    if decision.outcome == "succeeded" and generation is not None:
        count_success(generation)
        return generation
    count("failed", reason=decision.reason or "unknown")
    raise _outcome_error(decision, generation, secrets)


def _outcome_error(decision: PollDecision, generation: Generation | None, secrets: Iterable[str]) -> SeedanceError:
    reason, message = decision.reason, decision.message
    if decision.outcome == "failed":
        if generation is not None and generation.failure is not None:
            return generation.to_error(secrets=secrets)
        if reason == "input_moderation":
            return SeedanceInputModerationError(message)
        if reason in ("output_moderation", "real_person", "copyright"):
            return SeedanceModerationError(message, stage="output")
        return SeedanceGenerationFailedError(message, reason=reason)
    if decision.outcome == "not_found":
        return SeedanceNotFoundError(message)
    if decision.outcome == "timeout":
        return SeedanceTimeoutError(message)
    by_reason: dict[str | None, type[SeedanceError]] = {"auth": SeedanceAuthError, "request": SeedanceRequestError}
    return by_reason.get(reason, SeedanceServiceError)(message)


def fetch_outcome(hook: SeedanceHook, generation_id: str, decision: PollDecision) -> Generation | None:
    """
    Fetch what an event is about: events carry no link and no text of the service.

    :raises SeedanceError: where a generation that succeeded cannot be fetched; a retry does so at no new cost.
    """
    if decision.outcome == "succeeded":
        generation = hook.get_generation(generation_id)
        if generation.video_url is None:
            raise SeedanceServiceError(
                f"Generation {generation_id} succeeded, but the service gives no link to it now. A retry asks again."
            )
        return generation
    if decision.outcome == "failed":
        try:
            return hook.get_generation(generation_id)
        except SeedanceError as e:
            log.warning("The reason of the failure could not be fetched: %s", e)
    return None


def require_active(decision: PollDecision, asset: Asset | None) -> Asset:
    """
    Return the asset of a wait that succeeded.

    :raises SeedanceError: The typed exception of any other outcome.
    """
    if decision.outcome == "succeeded" and asset is not None:
        return asset
    if asset is not None and asset.is_failed:
        raise asset.to_error()
    raise _outcome_error(decision, None, ())


def fetch_asset(hook: SeedanceHook, asset_id: str, decision: PollDecision) -> Asset | None:
    """Fetch what an event is about, where the service knows it."""
    return hook.get_asset(asset_id) if decision.outcome in ("succeeded", "failed") else None
