"""
Creating an asset or a group once, whatever dies when.

Unlike generations these can be listed, so nothing has to be ambiguous: before the paid call the ids that exist already
are stored; what is listed afterwards and was not there before is ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.api.parse import as_id, as_mapping
from airflow_provider_seedance.exceptions import SeedanceAmbiguousSubmissionError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

#: Key in Airflow's task state store.
RECORD_KEY = "seedance_asset"
RECORD_VERSION = 1
#: Further looks for something that may have been created, and the seconds before each: listing may lag (contract 4.3).
SEARCHES = 5
SEARCH_INTERVAL = 4.0


class CreationMemory:
    """
    What a task remembers of a creation across its tries.

    :param context: The task's context.
    :param what: What is created: a hash that another creation does not have.
    :param first_try: Number of the first try since the task was last cleared; a Clear forgets.
    """

    def __init__(self, context: Context, what: str, first_try: int) -> None:
        self._store: Any = context.get("task_state_store")
        self._what = what
        self._first_try = first_try

    def load(self) -> tuple[str | None, set[str] | None]:
        """Return the id created before, and the ids known before the paid call; each None where not remembered."""
        record = as_mapping(self._store.get(RECORD_KEY) if self._store is not None else None)
        ours = (record.get("version"), record.get("what"), record.get("first_try"))
        if ours != (RECORD_VERSION, self._what, self._first_try):
            return None, None
        return as_id(record.get("id")), set(record.get("known") or ())

    def save(self, known: set[str], created: str | None) -> None:
        """Remember the ids known before the call, and the created one once there is one."""
        if self._store is not None:
            record = {
                "version": RECORD_VERSION,
                "what": self._what,
                "first_try": self._first_try,
                "known": sorted(known),
                "id": created,
            }
            self._store.set(RECORD_KEY, record)

    def forget(self) -> None:
        """Forget the intent: nothing was created."""
        if self._store is not None:
            self._store.delete(RECORD_KEY)


def create_once(memory: CreationMemory, existing: Callable[[], set[str]], create: Callable[..., str]) -> str:
    """
    Create something, or find what an earlier try created.

    :param memory: The task's memory.
    :param existing: Lists the ids of what exists under the same name. Free.
    :param create: Pays; takes ``before_send`` and ``after_refusal``.
    :returns: The id.
    :raises SeedanceAmbiguousSubmissionError: where the answer was lost and listing does not show it either.
    """
    created, known = memory.load()
    if created is not None:
        log.info("An earlier try created %s: no new cost.", created)
        return created
    if known is not None and (created := _search(existing, known)) is not None:
        log.warning("An earlier try created %s before it died: found by listing, no new cost.", created)
        memory.save(known, created)
        return created
    before = existing()
    try:
        created = create(before_send=lambda: memory.save(before, None), after_refusal=memory.forget)
    except SeedanceAmbiguousSubmissionError as e:
        created = _search(existing, before)
        if created is None:
            raise SeedanceAmbiguousSubmissionError(
                f"{e} It is not in the list either, so it was probably not created. Clearing the task looks again "
                "and creates it if it is still missing."
            ) from e
        log.warning("%s It was found by listing: %s.", e, created)
    memory.save(before, created)
    return created


def _search(existing: Callable[[], set[str]], before: set[str]) -> str | None:
    """List until something new is there. What was just created may not be listed at once, so one look is not enough."""
    for pause in (0.0, *[SEARCH_INTERVAL] * SEARCHES):
        time.sleep(pause)
        if found := existing() - before:
            return min(found)
    return None
