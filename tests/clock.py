"""Virtual time: what a test hands to whoever waits."""

from __future__ import annotations

import asyncio
import time

from airflow_provider_seedance.clock import Clock


class VirtualClock(Clock):
    """
    A clock that waits without waiting.

    :param step: Seconds that pass at each question for the time.
    :param start: Unix seconds at which it begins.
    :attr pauses: The waits so far, in seconds.
    """

    def __init__(self, step: float = 0.0, start: float = 1_800_000_000.0) -> None:
        self.time = start
        self.step = step
        self.pauses: list[float] = []

    def now(self) -> float:
        self.time += self.step
        return self.time

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)


class QuickClock(Clock):
    """
    The system's clock, except that a long wait takes a moment, and the clock jumps ahead by the rest of it.

    For tests with an emulator, which lives in real time.

    :param longest: Seconds that a wait really takes.
    """

    def __init__(self, longest: float = 0.05) -> None:
        self.longest = longest
        self.skipped = 0.0

    def now(self) -> float:
        return time.time() + self.skipped

    def sleep(self, seconds: float) -> None:
        time.sleep(self._shortened(seconds))

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(self._shortened(seconds))

    def _shortened(self, seconds: float) -> float:
        taken = min(max(seconds, 0.0), self.longest)
        self.skipped += max(seconds - taken, 0.0)
        return taken
