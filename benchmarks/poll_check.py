"""The check that HttpEventTrigger takes by its import path, alone in a module that is reloaded at every poll."""

from __future__ import annotations

from typing import Any


async def is_done(response: Any) -> bool:
    """Return whether the generation in a response has ended."""
    return bool(response.json()["data"]["status"] == "SUCCESS")
