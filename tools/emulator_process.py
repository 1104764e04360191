"""The emulator in its own process, next to a local Airflow."""

from __future__ import annotations

import os
import re
import time
from typing import Any

import requests

from tools.processes import ProcessFamily

#: The emulator's default key.
EMULATOR_KEY = "sk-emulator"


class EmulatorProcess:
    """
    A running emulator, with its base URL as ``url``.

    :param family: The processes that it joins, and with which it ends.
    :param speed: How many times faster than the service it is. A generation takes 90 s divided by it.
    :raises ProcessDiedError: if it cannot start.
    """

    def __init__(self, family: ProcessFamily, speed: float) -> None:
        arguments = ["-m", "airflow_provider_seedance.emulator", "--port", "0", "--speed", str(speed)]
        child = family.start_python("emulator", arguments, os.environ)
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on (http://\S+)", child.log.read_text())):
            family.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"The emulator did not report its address. Its log is {child.log}")
            time.sleep(0.1)
        self.url = found[1]

    def stats(self) -> dict[str, Any]:
        """Return its counters, such as ``posts``."""
        with requests.Session() as session:
            session.trust_env = False
            answer: dict[str, Any] = session.get(f"{self.url}/_emulator/stats", timeout=10).json()
        return answer
