"""
Assets and their groups: found, or created once.

Unlike generations these can be listed, so a lost response can be recovered: what is listed after the paid call and
was not before the call is ours (decisions.md#assets-paid-once).
"""

from __future__ import annotations

import logging
from operator import attrgetter
from typing import TYPE_CHECKING

from airflow_provider_seedance.api.assets import (
    DIGEST_DIGITS,
    MAX_DESCRIPTION,
    MAX_NAME,
    Asset,
    check_name,
    content_name,
    is_content_of,
)
from airflow_provider_seedance.api.calls import CreateAsset, CreateAssetGroup
from airflow_provider_seedance.api.fingerprint import digest
from airflow_provider_seedance.api.ids import check_group_id
from airflow_provider_seedance.api.submission import SubmissionRecord, Tries, decide
from airflow_provider_seedance.api.values import refuse
from airflow_provider_seedance.exceptions import SeedanceNotFoundError
from airflow_provider_seedance.files.inputs import check_link_is_alive, read_source
from airflow_provider_seedance.jobs.submit import log_decision, pay, reported

if TYPE_CHECKING:
    from airflow_provider_seedance.hooks.seedance import SeedanceHook
    from airflow_provider_seedance.jobs.store import SubmissionStore

log = logging.getLogger(__name__)

#: Further listings after a lost response, and the seconds before each: a list may lag
#: (contract.md#get-asset).
SEARCHES = 5
SEARCH_INTERVAL = 4.0


def find_or_create_group(
    hook: SeedanceHook,
    store: SubmissionStore,
    *,
    name: object,
    description: str | None,
    if_exists: str,
    tries: Tries,
) -> str:
    """
    Return the id of a group: one that an earlier try created, an existing one, or a new one, which costs money.

    Parameters as :class:`~airflow_provider_seedance.operators.assets.SeedanceCreateAssetGroupOperator`.

    :param tries: What Airflow keeps of the task instance's tries.
    """
    call = CreateAssetGroup(check_name(name), description)
    if description and len(description) > MAX_DESCRIPTION:
        refuse("description", f"has {len(description)} characters", f"Give at most {MAX_DESCRIPTION}")
    fingerprint = digest([hook.seedance_conn_id, "group", call.name])
    return (
        _created_before(hook, store, call, fingerprint, tries)
        or (None if if_exists == "create" else _existing_group(hook, call.name, if_exists))
        or _create(hook, store, call, fingerprint, tries, summary=f"named {call.name!r}")
    )


def _existing_group(hook: SeedanceHook, name: str, if_exists: str) -> str | None:
    ids = sorted({group.group_id for group in hook.list_asset_groups(name) if group.name == name})
    if not ids:
        return None
    if if_exists == "fail":
        found = f"{name!r} is the name of existing groups: {', '.join(ids[:5])}"
        refuse("name", found, "Choose another 'name', or if_exists='reuse'")
    if len(ids) > 1:
        log.warning("%d groups are named %r: reusing the oldest, %s.", len(ids), name, ids[0])
    log.info("Reusing group %s: no new cost.", ids[0])
    return ids[0]


def find_or_create_asset(
    hook: SeedanceHook,
    store: SubmissionStore,
    *,
    group_id: object,
    name: object,
    source: object,
    asset_type: str | None,
    if_exists: str,
    if_changed: str,
    tries: Tries,
    run_id: str,
) -> str:
    """
    Return the id of an asset: one that an earlier try created, an existing one, or a new one, which costs money.

    Parameters as :class:`~airflow_provider_seedance.operators.assets.SeedanceCreateAssetOperator`.

    :param tries: What Airflow keeps of the task instance's tries.
    :param run_id: The Dag run, which distinguishes assets of the same content if ``if_exists`` is ``create``.
    """
    group = check_group_id(group_id)
    checked_name = check_name(name, longest=MAX_NAME - DIGEST_DIGITS - 1)
    content = read_source(source, asset_type)
    stored_name = new_name = content_name(checked_name, content.digest)
    if if_exists == "create":  # names are unique in a group
        new_name = f"{stored_name[: MAX_NAME - 9]}-{digest([run_id, stored_name])[:8]}"
    call = CreateAsset(group, new_name, content)
    fingerprint = digest([hook.seedance_conn_id, "asset", group, stored_name])
    summary = f"{content.asset_type} named {new_name!r} in group {group}"
    return (
        _created_before(hook, store, call, fingerprint, tries)
        or (None if if_exists == "create" else _existing_asset(hook, call, checked_name, if_exists, if_changed))
        or _create(hook, store, call, fingerprint, tries, summary=summary)
    )


def _existing_asset(hook: SeedanceHook, call: CreateAsset, name: str, if_exists: str, if_changed: str) -> str | None:
    listed = sorted(hook.list_assets(group_id=call.group_id, name=name), key=attrgetter("asset_id"))
    assets = [asset for asset in listed if asset.name == name or is_content_of(name, asset.name)]
    same = next((asset for asset in assets if asset.name == call.name), None)
    if same is not None:
        if if_exists == "fail":
            found = f"{name!r} is the name of asset {same.asset_id} with this content"
            refuse("name", found, "Choose another 'name', or if_exists='reuse'")
        if same.state == "failed":
            raise same.to_error()
        log.info("Reusing asset %s: same name and same content, no new cost.", same.asset_id)
        return same.asset_id
    if assets and if_changed == "fail":
        found = f"differs from asset {assets[0].asset_id}, which has other content under the name {name!r}"
        refuse("source", found, "Choose another 'name', or if_changed='create'")
    if assets:
        log.warning("%r has other content than before: creating a new asset.", name)
    return None


def listed_asset(hook: SeedanceHook, group_id: str, asset_id: str) -> Asset | None:
    """Return an asset that is listed but not found by its id, as some channels do (contract.md#get-asset)."""
    return next((asset for asset in hook.list_assets(group_id=group_id) if asset.asset_id == asset_id), None)


def asset_as_created(hook: SeedanceHook, group_id: str, asset_id: str) -> Asset:
    """Return an asset as far as the service knows it already; right after its creation it may know the id alone."""
    try:
        return hook.get_asset(asset_id)
    except SeedanceNotFoundError:
        return listed_asset(hook, group_id, asset_id) or Asset(asset_id=asset_id, group_id=group_id)


def _created_before(
    hook: SeedanceHook,
    store: SubmissionStore,
    call: CreateAssetGroup | CreateAsset,
    fingerprint: str,
    tries: Tries,
) -> str | None:
    """
    Return the id of what an earlier try created, None if it may be created.

    :raises SeedanceAmbiguousSubmissionError: The response to a paid call was lost, and listing does not show it either.
    """
    record = store.get()
    if record is None:
        return None
    cleared = record.was_cleared(tries)
    if record.created_id is None and record.fingerprint == fingerprint:
        record = _found_by_listing(hook, store, call, record)
    decision = decide(
        record,
        fingerprint=fingerprint,
        first_try=tries.first,
        max_tries=tries.most,
        remote="succeeded",
        kind=store.kind,
    )
    log_decision(record, decision)
    if decision.action == "submit":
        return None
    if decision.action == "fail":
        raise reported(store, record.with_phase("reported").at(tries))
    if cleared:  # used up before anything can fail
        if isinstance(call, CreateAsset) and _is_gone(hook, call.group_id, str(record.created_id)):
            return None
        store.put(record.at(tries))
    return record.created_id


def _is_gone(hook: SeedanceHook, group_id: str, asset_id: str) -> bool:
    """Return whether the service says that it has no such asset, neither by its id nor in its list."""
    try:
        hook.get_asset(asset_id)
    except SeedanceNotFoundError as e:
        return e.is_from_service and asset_id not in {asset.asset_id for asset in hook.list_assets(group_id=group_id)}
    return False


def _create(
    hook: SeedanceHook,
    store: SubmissionStore,
    call: CreateAssetGroup | CreateAsset,
    fingerprint: str,
    tries: Tries,
    *,
    summary: str,
) -> str:
    """
    Create it, which costs money.

    :raises SeedanceAmbiguousSubmissionError: The response was lost, and listing does not show it either.
    """
    if isinstance(call, CreateAsset) and call.source.is_link:
        check_link_is_alive(str(call.source.url), now=hook.clock.now(), item="source")
    known = tuple(sorted(_existing(hook, call)))
    intent = SubmissionRecord(fingerprint, hook.clock.now(), "intent", tries.first, known=known, max_tries=tries.most)
    record, lost = pay(hook, store, call, intent, summary=summary)
    if lost is not None:
        log.warning("The response to a paid call was lost: %s Listing to find what it created.", lost)
        record = _found_by_listing(hook, store, call, record)
        if record.phase != "submitted":
            raise reported(store, record.with_phase("reported"), str(lost)) from lost
    return str(record.created_id)


def _found_by_listing(
    hook: SeedanceHook, store: SubmissionStore, call: CreateAssetGroup | CreateAsset, record: SubmissionRecord
) -> SubmissionRecord:
    """List until something new appears, since a list may lag; return the record with its id, else unchanged."""
    for pause in (0.0, *[SEARCH_INTERVAL] * SEARCHES):
        hook.clock.sleep(pause)
        if new := _existing(hook, call) - set(record.known):
            record = record.with_phase("submitted", created_id=min(new))
            log.warning("The earlier call created %s %s: found by listing, no new cost.", store.kind.noun, min(new))
            store.put(record)
            break
    return record


def _existing(hook: SeedanceHook, call: CreateAssetGroup | CreateAsset) -> set[str]:
    """Return the ids of what exists under the call's name. Free."""
    if isinstance(call, CreateAssetGroup):
        return {group.group_id for group in hook.list_asset_groups(call.name) if group.name == call.name}
    assets = hook.list_assets(group_id=call.group_id, name=call.name)
    return {asset.asset_id for asset in assets if asset.name == call.name}
