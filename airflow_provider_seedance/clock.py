"""The clock that waits run on, passed as a value so that tests can use virtual time."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """The system's clock. A test overrides its three methods to run in virtual time."""

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block this thread for a number of seconds; return at once for zero or less."""
        time.sleep(max(seconds, 0.0))

    async def sleep_async(self, seconds: float) -> None:
        """Let this task of the event loop wait for a number of seconds; return at once for zero or less."""
        await asyncio.sleep(max(seconds, 0.0))


#: The default clock.
SYSTEM_CLOCK = Clock()
