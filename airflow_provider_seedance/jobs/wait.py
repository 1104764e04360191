"""The two loops around the pure pollers: one in the worker, one in the triggerer. They serve generations and assets."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.polling import (
    BasePoller,
    Finished,
    PollAgain,
    PollDecision,
    Waited,
    asset_error,
    from_event,
    generation_error,
)
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceServiceError
from airflow_provider_seedance.telemetry.metrics import count, count_success

if TYPE_CHECKING:
    from airflow_provider_seedance.clock import Clock
    from airflow_provider_seedance.hooks.async_client import AsyncClient
    from airflow_provider_seedance.hooks.seedance import SeedanceHook

log = logging.getLogger(__name__)

#: Seconds. A triggerer's polls fall on multiples of it, so that many share one wake-up of the event loop and cost less;
#: a longer one would hold the loop up with more of them at a time.
WAKE_GRID = 0.05


def poll_once(hook: SeedanceHook, poller: BasePoller[Waited]) -> tuple[PollDecision, Waited | None]:
    """
    Poll once, from a worker.

    :returns: The decision, and what the service reported; None if the poll failed.
    """
    try:
        state = hook.send(poller.call)
    except SeedanceError as e:
        decision = _on_error(poller, e, hook.clock.now())
        if isinstance(decision, PollAgain) and decision.refresh_connection:
            hook.refresh()
        return decision, None
    return _on_state(poller, state, hook.clock.now()), state


def wait(
    hook: SeedanceHook, poller: BasePoller[Waited], decision: PollDecision, state: Waited | None
) -> tuple[Finished, Waited | None]:
    """
    Wait in the worker.

    :param decision: The decision after the first poll.
    :param state: What the service reported then.
    :returns: How it ended, and what the service reported last.
    """
    while isinstance(decision, PollAgain):
        hook.clock.sleep(decision.next_poll_at - hook.clock.now())
        decision, state = poll_once(hook, poller)
    return decision, state


async def wait_async(client: AsyncClient, poller: BasePoller[Waited], clock: Clock) -> Finished:
    """Wait in the triggerer. Logs only failed polls, warnings and changes of status."""
    next_poll_at = poller.first_poll_at(clock.now())
    while True:
        await clock.sleep_async(math.ceil(next_poll_at / WAKE_GRID) * WAKE_GRID - clock.now())
        try:
            decision = _on_state(poller, await client.send(poller.call), clock.now())
        except SeedanceError as e:
            decision = _on_error(poller, e, clock.now())
        if isinstance(decision, Finished):
            return decision
        if decision.refresh_connection:
            client.refresh()
        next_poll_at = decision.next_poll_at


def _on_state(poller: BasePoller[Waited], state: Waited, now: float) -> PollDecision:
    if poller.note_status(state):
        progress = "" if state.progress is None else f", {state.progress}%"
        log.info("%s: %s%s", poller.subject, state.status[:40] or "(no status)", progress)
    decision = poller.on_state(state, now=now)
    if isinstance(decision, PollAgain) and decision.warning:
        log.warning(decision.warning)
    return decision


def _on_error(poller: BasePoller[Waited], error: SeedanceError, now: float) -> PollDecision:
    # by type and code alone: the service may quote the prompt, which a trigger does not know and cannot redact
    what = error.code or (f"HTTP {error.status}" if error.status else str(error))
    log.warning("Polling %s %s failed: %s (%s)", poller.noun.lower(), poller.subject_id, type(error).__name__, what)
    count("poll_errors", noun=f"{poller.noun.lower()}s", error=type(error).__name__)
    return poller.on_error(error, now=now)


def complete_generation(hook: SeedanceHook, event: object) -> tuple[str, Finished, Generation | None]:
    """
    Read a trigger's event and fetch its generation: events carry no link and no text of the service.

    :returns: The id, how the wait ended, and the generation; None if there is nothing to fetch, or if the reason of its
        failure cannot be fetched.
    :raises SeedanceEventError: The event cannot be read.
    :raises SeedanceError: It succeeded but cannot be fetched.
    """
    generation_id, finished = from_event(event)
    generation = None
    if finished.outcome == "succeeded":
        generation = hook.requery_generation(generation_id)
        if generation.video_url is None:
            raise SeedanceServiceError(f"Generation {generation_id} succeeded, but the service returned no link to it.")
    elif finished.outcome == "failed":
        try:
            generation = hook.get_generation(generation_id)
        except SeedanceError as e:
            log.warning("Could not fetch why the generation failed: %s", e)
    return generation_id, finished, generation


def complete_asset(hook: SeedanceHook, event: object) -> tuple[str, Finished, Asset | None]:
    """Read a trigger's event and fetch its asset. Returns as :func:`complete_generation`."""
    asset_id, finished = from_event(event, key="asset_id")
    fetched = finished.outcome in ("succeeded", "failed")
    return asset_id, finished, hook.get_asset(asset_id) if fetched else None


def require_generation(
    finished: Finished, generation: Generation | None, *, secrets: Iterable[str] | None = None
) -> Generation:
    """
    Return the generation of a wait that succeeded, and count how the wait ended.

    :param finished: How it ended.
    :param generation: What the service reported; None if it could not be queried.
    :param secrets: What a message must not contain, such as the prompt; None if that is not known.
    :raises SeedanceError: The typed exception of any other outcome.
    """
    if finished.outcome == "succeeded" and generation is not None:
        count_success(generation)
        return generation
    count("failed", reason=finished.reason or "unknown")
    raise generation_error(finished, generation, secrets)


def require_asset(finished: Finished, asset: Asset | None) -> Asset:
    """
    Return the asset of a wait that succeeded.

    :raises SeedanceError: The typed exception of any other outcome.
    """
    if finished.outcome == "succeeded" and asset is not None:
        return asset
    raise asset_error(finished, asset)
