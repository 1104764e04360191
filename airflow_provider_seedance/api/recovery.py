"""How a person gets what was paid for without paying again: said in one place, because not every task remembers."""

from __future__ import annotations


def what_next(noun: str, created_id: str, *, reattaches: bool) -> str:
    """
    Say how to go on with something that was paid for.

    :param noun: ``generation``, ``asset`` or ``asset group``.
    :param created_id: Its id.
    :param reattaches: Whether the task has a record of it, which its next try finds.
    """
    if reattaches:
        return f"A retry, or clearing the task, queries {noun} {created_id} again before anything is paid."
    if noun == "asset":
        return f"This task keeps no record of it: wait for it with SeedanceAssetSensor(asset={created_id!r})."
    if noun == "asset group":
        return f"This task keeps no record of it: give its id, {created_id!r}, to the tasks that need it."
    return (
        "This task keeps no record of it, so its next try pays again. Wait for it with "
        f"SeedanceGenerationSensor(generation={created_id!r}), and save it with "
        f"SeedanceToObjectStorageOperator(generation={created_id!r}, path=...)."
    )
