"""The check that HttpEventTrigger wants by its import path. It reloads the module at every poll, so it stands alone."""

from __future__ import annotations

from typing import Any


async def is_done(response: Any) -> bool:
    """Return whether the generation in an answer has ended."""
    return bool(response.json()["data"]["status"] == "SUCCESS")
