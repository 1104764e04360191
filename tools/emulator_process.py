"""The emulator as a process of its own, beside a local Airflow."""

from __future__ import annotations

import os
import re
import time
from typing import Any

import requests

from tools.processes import ProcessFamily

#: The key that the emulator takes unless told otherwise.
EMULATOR_KEY = "sk-emulator"


class EmulatorProcess:
    """
    A running emulator.

    :param family: the processes that it joins, and with which it ends.
    :param speed: how many times faster than the service; a generation takes 90 s divided by it.
    :raises ProcessDiedError: when it cannot start.

    ``url`` is its base URL.
    """

    def __init__(self, family: ProcessFamily, speed: float) -> None:
        arguments = ["-m", "airflow_provider_seedance.emulator", "--port", "0", "--speed", str(speed)]
        child = family.start_python("emulator", arguments, os.environ)
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on (http://\S+)", child.log.read_text())):
            family.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the emulator does not say where it listens; its log is {child.log}")
            time.sleep(0.1)
        self.url = found[1]

    def stats(self) -> dict[str, Any]:
        """Return its counters, such as ``posts``."""
        with requests.Session() as session:
            session.trust_env = False
            answer: dict[str, Any] = session.get(f"{self.url}/_emulator/stats", timeout=10).json()
        return answer
