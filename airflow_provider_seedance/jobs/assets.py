"""
Assets and their groups: found, or created once.

Unlike generations these can be listed, so a lost response can be recovered: what is listed after the paid call and
was not before the call is ours (decisions.md#assets-paid-once). The vendor does not promise the lists, so creating
works without them too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_seedance.api.assets import (
    DIGEST_DIGITS,
    MAX_DESCRIPTION,
    MAX_NAME,
    VARIANT_NAME,
    Asset,
    AssetGroup,
    age,
    check_name,
    content_digits,
    content_name,
)
from airflow_provider_seedance.api.calls import CreateAsset, CreateAssetGroup, Source
from airflow_provider_seedance.api.errors import is_transient
from airflow_provider_seedance.api.fingerprint import digest
from airflow_provider_seedance.api.generation import iso
from airflow_provider_seedance.api.ids import check_group_id
from airflow_provider_seedance.api.polling import ASSET_NOT_FOUND_GRACE
from airflow_provider_seedance.api.submission import Remote, SubmissionRecord, Tries, decide, superseded
from airflow_provider_seedance.api.values import refuse
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
)
from airflow_provider_seedance.files.inputs import check_link_is_alive, read_source
from airflow_provider_seedance.jobs.submit import log_decision, pay, reported
from airflow_provider_seedance.jobs.wait import asset_now

if TYPE_CHECKING:
    from airflow_provider_seedance.hooks.seedance import SeedanceHook
    from airflow_provider_seedance.jobs.store import SubmissionStore

log = logging.getLogger(__name__)

#: Further listings after a lost response, and the seconds before each: a list may lag
#: (contract.md#get-asset).
SEARCHES = 5
SEARCH_INTERVAL = 4.0
#: Seconds in which a new group may not be usable (contract.md#create-asset-group).
GROUP_SETTLES = 3.0


@dataclass(frozen=True)
class _WantedGroup:
    """A group to find or to create."""

    name: str

    def find(self, hook: SeedanceHook) -> Sequence[AssetGroup]:
        """List the groups of this name, the oldest first. Free."""
        return sorted((group for group in hook.list_asset_groups(self.name) if group.name == self.name), key=age)


@dataclass(frozen=True)
class _WantedAsset:
    """An asset to find or to create."""

    group_id: str
    name: str
    content: Source

    def named(self, hook: SeedanceHook) -> Sequence[Asset]:
        """List the assets of this name, whatever their content, the oldest first. Free."""
        listed = hook.list_assets(group_id=self.group_id, name=self.name[:VARIANT_NAME])
        return sorted((a for a in listed if a.name == self.name or content_digits(self.name, a.name)), key=age)

    def find(self, hook: SeedanceHook) -> Sequence[Asset]:
        """List the assets of this name and content, the oldest first. Free."""
        return [asset for asset in self.named(hook) if self.is_same(asset)]

    def has_content(self, asset: Asset) -> bool:
        """Return whether an asset carries this content, of whatever type: a link may serve several."""
        return content_digits(self.name, asset.name) == self.content.digest[:DIGEST_DIGITS]

    def is_same(self, asset: Asset) -> bool:
        """Return whether an asset carries this content and is of its type."""
        return self.has_content(asset) and asset.asset_type in (self.content.asset_type, "")


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
    wanted = _WantedGroup(call.name)
    fingerprint = digest([hook.seedance_conn_id, "group", call.name])
    created = _created_before(hook, store, wanted, fingerprint, tries)
    if created is not None:
        return created
    groups: Sequence[AssetGroup] = ()
    try:
        groups = wanted.find(hook)
    except SeedanceRequestError as e:
        _do_without_list(e, f"groups named {call.name!r}", if_exists=if_exists)
    if groups and if_exists == "fail":
        found = f"{call.name!r} is the name of existing groups: {', '.join(group.group_id for group in groups[:5])}"
        refuse("name", found, "Choose another 'name', or if_exists='reuse'")
    if groups and if_exists == "reuse":
        oldest = groups[0].group_id
        if len(groups) > 1:
            log.warning("%d groups are named %r: reusing the oldest, %s.", len(groups), call.name, oldest)
        log.info("Reusing group %s: no new cost.", oldest)
        return oldest
    group_id = _create(hook, store, wanted, call, fingerprint, tries, groups, summary=f"named {call.name!r}")
    hook.clock.sleep(GROUP_SETTLES)
    return group_id


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
    task_instance: Sequence[str],
) -> str:
    """
    Return the id of an asset: one that an earlier try created, an existing one, or a new one, which costs money.

    Parameters as :class:`~airflow_provider_seedance.operators.assets.SeedanceCreateAssetOperator`.

    :param tries: What Airflow keeps of the task instance's tries.
    :param task_instance: What identifies the task instance, which tells assets of the same content apart if
        ``if_exists`` is ``create``.
    """
    group = check_group_id(group_id)
    checked_name = check_name(name, longest=MAX_NAME - DIGEST_DIGITS - 1)
    try:
        content = read_source(source, asset_type)
    except SeedanceError:
        if (paid_for := _accepted_before(store, tries)) is not None:
            return paid_for
        raise
    wanted = _WantedAsset(group, checked_name, content)
    first_name = content_name(checked_name, content.digest)
    fingerprint = digest([hook.seedance_conn_id, "asset", group, first_name, content.asset_type])
    as_in_0_1_0 = digest([hook.seedance_conn_id, "asset", group, first_name])
    created = _created_before(hook, store, wanted, fingerprint, tries, as_in_0_1_0)
    if created is not None:
        return created
    new_name = content_name(checked_name, content.digest, digest([*task_instance, str(tries.most)]))
    named: Sequence[Asset] = ()
    try:
        named = wanted.named(hook)
    except SeedanceRequestError as e:
        _do_without_list(e, f"assets named {checked_name!r}", if_exists=if_exists, if_changed=if_changed)
    else:
        if if_exists != "create":
            existing = _existing_asset(wanted, named, if_exists, if_changed)
            if existing is not None:
                log.info("Reusing asset %s: same name and same content, no new cost.", existing.asset_id)
                return existing.asset_id
            # runs that look at the same time choose the same name, and the service takes it once
            in_the_way = sorted(asset.asset_id for asset in named if wanted.has_content(asset))
            new_name = content_name(checked_name, content.digest, digest(in_the_way) if in_the_way else "")
    call = CreateAsset(group, new_name, content)
    same = [asset for asset in named if wanted.is_same(asset)]
    summary = f"{content.asset_type} named {new_name!r} in group {group}"
    return _create(hook, store, wanted, call, fingerprint, tries, same, summary=summary)


def _do_without_list(error: SeedanceRequestError, what: str, **choices: str) -> None:
    """Go on without a list, if the service lacks the route and nothing depends on it; else raise."""
    if not error.lacks_route:
        raise error
    for name, choice in choices.items():
        if choice == "fail":
            refuse(name, f"is 'fail', but the service has no list of {what}", f"Choose {name}='create'")
    log.warning(
        "The service has no list of %s: it is not known whether there are any, each run creates another and pays for "
        "it, and a lost response cannot be looked up. Create it once, and give its id to later runs.",
        what,
    )


def _existing_asset(wanted: _WantedAsset, named: Sequence[Asset], if_exists: str, if_changed: str) -> Asset | None:
    """Return the asset to reuse, None if another is to be created."""
    same = [asset for asset in named if wanted.is_same(asset)]
    usable = next((asset for asset in same if asset.state != "failed"), None)
    if usable is not None:
        if if_exists == "fail":
            found = f"{wanted.name!r} is the name of asset {usable.asset_id} with this content"
            refuse("name", found, "Choose another 'name', or if_exists='reuse'")
        return usable
    is_link = (wanted.content.url or "").startswith(("https:", "http:"))
    for asset in same:
        if asset.is_unfit and not is_link:
            raise asset.to_error()
        log.warning("Asset %s has this name and content, and failed: creating another.", asset.asset_id)
    changed = next((asset for asset in named if not wanted.has_content(asset)), None)
    if changed is not None and if_changed == "fail":
        found = f"differs from asset {changed.asset_id}, which has other content under the name {wanted.name!r}"
        refuse("source", found, "Choose another 'name', or if_changed='create'")
    if changed is not None:
        log.warning("%r has other content than before: creating a new asset.", wanted.name)
    return None


def _accepted_before(store: SubmissionStore, tries: Tries) -> str | None:
    """Return the id that a retry goes on with although its source cannot be read any more, None if there is none."""
    record = store.get()
    if record is None or record.phase not in ("submitted", "delivered") or record.was_cleared(tries):
        return None
    log.warning("The source cannot be read any more; an earlier try created asset %s from it.", record.created_id)
    return record.created_id


def _created_before(
    hook: SeedanceHook,
    store: SubmissionStore,
    wanted: _WantedGroup | _WantedAsset,
    fingerprint: str,
    tries: Tries,
    earlier_fingerprint: str | None = None,
) -> str | None:
    """
    Return the id of what an earlier try created, None if it may be created.

    :raises SeedanceAmbiguousSubmissionError: The response to a paid call was lost, and listing does not show it either.
    """
    record = store.get()
    if record is None:
        return None
    if record.fingerprint == earlier_fingerprint:
        record = replace(record, fingerprint=fingerprint)
    cleared = record.was_cleared(tries)
    if record.created_id is None and record.fingerprint == fingerprint:
        record = _found_by_listing(hook, store, wanted, record)
    remote = _remote(hook, store, wanted, record, cleared) if record.created_id is not None else None
    if remote == "failed" and cleared:
        log.warning("The task was cleared after asset %s failed: creating another.", record.created_id)
        return None
    if remote == "not_found" and record.phase == "delivered" and not cleared:
        raise SeedanceNotFoundError(
            f"An earlier try delivered asset {record.created_id}, and the service no longer has it. Clearing the task "
            "creates another."
        )
    decision = decide(
        record,
        fingerprint=fingerprint,
        first_try=tries.first,
        max_tries=tries.most,
        remote="succeeded" if remote == "failed" else remote,  # whoever waits for it raises its error
        kind=store.kind,
    )
    log_decision(record, decision)
    if decision.action == "submit":
        return None
    if decision.action == "fail":
        raise reported(store, record.with_phase("reported").at(tries))
    if cleared:  # used up before anything can fail
        store.put(record.at(tries))
    return record.created_id


def _remote(
    hook: SeedanceHook,
    store: SubmissionStore,
    wanted: _WantedGroup | _WantedAsset,
    record: SubmissionRecord,
    cleared: bool,
) -> Remote:
    """Return what the service says of a recorded id, as far as it matters here."""
    is_doubtful = record.phase in ("intent", "reported")  # only a failed response named it, or it was denied before
    if not is_doubtful and (isinstance(wanted, _WantedGroup) or cleared == (record.phase == "delivered")):
        return "succeeded"  # whoever waits for it will see; if it was delivered, a person wants another
    created_id = str(record.created_id)
    try:
        if isinstance(wanted, _WantedGroup):
            return "succeeded" if created_id in {group.group_id for group in wanted.find(hook)} else "not_found"
        asset = asset_now(hook, wanted.group_id, created_id)
    except SeedanceError as e:
        if not (isinstance(e, SeedanceRequestError) and e.lacks_route):
            raise e.add(before=superseded(record, store.kind)) from None
        return "not_found" if is_doubtful else "running"
    if asset is not None:
        return asset.state
    lags = hook.clock.now() < record.submitted_at + ASSET_NOT_FOUND_GRACE
    return "running" if lags else "not_found"


def _create(
    hook: SeedanceHook,
    store: SubmissionStore,
    wanted: _WantedGroup | _WantedAsset,
    call: CreateAssetGroup | CreateAsset,
    fingerprint: str,
    tries: Tries,
    existing: Sequence[Asset | AssetGroup],
    *,
    summary: str,
) -> str:
    """
    Create it, which costs money.

    :param existing: What was listed before.
    :raises SeedanceAmbiguousSubmissionError: The response was lost, and listing does not show it either.
    """
    if isinstance(call, CreateAsset) and call.source.is_link:
        check_link_is_alive(str(call.source.url), now=hook.clock.now(), item="source")
    known = tuple(sorted(item.id for item in existing))
    intent = SubmissionRecord(fingerprint, hook.clock.now(), "intent", tries.first, known=known, max_tries=tries.most)
    record = store.get()
    earlier = None if record is None or record.phase == "delivered" else record
    try:
        record, lost = pay(hook, store, call, intent, summary=summary, earlier=earlier)
    except SeedanceNotFoundError as e:
        if isinstance(wanted, _WantedAsset) and (holder := _holder(hook, wanted, call.name)) is not None:
            log.info("Another run created asset %s meanwhile: reusing it, no new cost.", holder.asset_id)
            return holder.asset_id
        raise e
    if lost is not None:
        log.warning("The response to a paid call was lost: %s Listing to find what it created.", lost)
        record = _found_by_listing(hook, store, wanted, record)
        if record.phase != "submitted":
            raise reported(store, record.with_phase("reported"), str(lost)) from lost
    return str(record.created_id)


def _holder(hook: SeedanceHook, wanted: _WantedAsset, name: str) -> Asset | None:
    """Return the usable asset that has taken a name; a list may lag."""
    for pause in (0.0, *[SEARCH_INTERVAL] * SEARCHES):
        hook.clock.sleep(pause)
        try:
            found = wanted.find(hook)
        except SeedanceRequestError:
            return None
        holder = next((asset for asset in found if asset.name == name and asset.state != "failed"), None)
        if holder is not None:
            return holder
    return None


def _found_by_listing(
    hook: SeedanceHook, store: SubmissionStore, wanted: _WantedGroup | _WantedAsset, record: SubmissionRecord
) -> SubmissionRecord:
    """
    List until something new appears, since a list may lag; return the record with its id, else unchanged.

    :raises SeedanceServiceError: It could not be listed for now.
    """
    for pause in (0.0, *[SEARCH_INTERVAL] * SEARCHES):
        hook.clock.sleep(pause)
        try:
            new = [item.id for item in wanted.find(hook) if item.id not in record.known]
        except SeedanceError as e:
            if is_transient(e):
                raise e.retyped(
                    SeedanceServiceError,
                    f"A paid call was sent at {iso(record.submitted_at)} and its response was lost: the "
                    f"{store.kind.noun} may exist and be billed. Listing what it created failed: {e}",
                ) from e
            log.warning("What the call created cannot be listed: %s", e)
            return record
        if new:
            created_id = record.created_id if record.created_id in new else new[0]
            record = record.with_phase("submitted", created_id=created_id)
            log.warning("The earlier call created %s %s: found by listing, no new cost.", store.kind.noun, created_id)
            store.put_with_retries(record)
            return record
    return record
