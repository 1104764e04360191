"""The two loops around the pure pollers: one in the worker, one in the triggerer. They serve generations and assets."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_seedance.api.assets import Asset
from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.outcomes import Finished, asset_error, from_event, generation_error
from airflow_provider_seedance.api.polling import AssetPoller, BasePoller, PollAgain, PollDecision, Waited
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
)
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
            return generation_id, finished, None
        if generation.state == "succeeded" and generation.video_url is not None:
            finished = Finished("succeeded", "succeeded")
        elif generation.state == "running" and not generation.inner_failed:
            raise SeedanceServiceError(f"Generation {generation_id} was reported as failed, but is running.")
    return generation_id, finished, generation


def complete_asset(hook: SeedanceHook, event: object) -> tuple[str, Finished, Asset | None]:
    """
    Read a trigger's event and fetch its asset, which is told as the trigger saw it if it cannot be fetched.

    :returns: As :func:`complete_generation`.
    :raises SeedanceEventError: The event cannot be read.
    """
    asset_id, finished = from_event(event, key="asset_id")
    asset = None
    if finished.outcome in ("succeeded", "failed"):
        try:
            asset = hook.get_asset(asset_id)
        except SeedanceError as e:
            log.warning("Could not fetch asset %s: %s", asset_id, e)
            asset = Asset(asset_id=asset_id, status="Active") if finished.outcome == "succeeded" else None
    return asset_id, finished, asset


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


def asset_now(hook: SeedanceHook, group_id: str, asset_id: str) -> Asset | None:
    """
    Query an asset, and look in the list for one that is not found by its id, as on some channels. Free.

    :returns: The asset; None if the service says that it does not know it.
    :raises SeedanceRequestError: The service has neither route (``lacks_route``).
    :raises SeedanceError: The typed exception of any other failure.
    """
    try:
        return hook.get_asset(asset_id)
    except SeedanceNotFoundError as e:
        if not e.is_from_service:
            raise
        lacks_get = False
    except SeedanceRequestError as e:
        if not e.lacks_route:
            raise
        lacks_get = True
    try:
        return next((asset for asset in hook.list_assets(group_id=group_id) if asset.asset_id == asset_id), None)
    except SeedanceRequestError as e:
        if lacks_get or not e.lacks_route:
            raise
        return None


def asset_as_created(hook: SeedanceHook, group_id: str, asset_id: str) -> Asset:
    """Return an asset as far as the service tells; right after its creation that may be the id alone."""
    try:
        found = asset_now(hook, group_id, asset_id)
    except SeedanceError as e:
        log.warning("The status of asset %s is not known: %s", asset_id, e)
        found = None
    return found or Asset(asset_id=asset_id, group_id=group_id)


def wait_by_listing(hook: SeedanceHook, group_id: str, poller: AssetPoller) -> Asset:
    """
    Wait in the worker for an asset that is not found by its id: some channels list it all the same.

    :param poller: What decides about the asset.
    :returns: The asset. If the service has neither route, its status is unknown and left empty.
    :raises SeedanceError: The typed exception of any outcome but success.
    """
    while True:
        asset = None
        try:
            asset = asset_now(hook, group_id, poller.subject_id)
            error: SeedanceError = SeedanceNotFoundError()
        except SeedanceError as e:
            error = e
        if isinstance(error, SeedanceRequestError) and error.lacks_route:
            log.warning(
                "The service can neither get nor list asset %s: whether it can be used yet, or failed, is not known.",
                poller.subject_id,
            )
            return Asset(asset_id=poller.subject_id, group_id=group_id)
        now = hook.clock.now()
        decision = _on_error(poller, error, now) if asset is None else _on_state(poller, asset, now)
        if isinstance(decision, Finished):
            return require_asset(decision, asset)
        hook.clock.sleep(decision.next_poll_at - now)
