"""A service that can be killed and restarted: an emulator in its own process, which keeps its state."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_seedance.emulator import EmulatorControl
from tests.e2e.faults.campaign import wait_until
from tools.local_airflow import free_ports
from tools.processes import ProcessFamily


class ServiceProcess(EmulatorControl):
    """
    A running emulator, always at the same address.

    :param family: The processes that it joins, and with which it ends.
    :param name: Its name among them.
    :param state: The file with its state.
    :param speed: How many times faster than the service it is.
    """

    def __init__(self, family: ProcessFamily, name: str, state: Path, speed: float) -> None:
        (self._port,) = free_ports(1)
        super().__init__(f"http://127.0.0.1:{self._port}")
        self._family = family
        self._name = name
        self._options = ["--port", str(self._port), "--speed", str(speed), "--state", str(state)]
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = ["-m", "airflow_provider_seedance.emulator", *self._options]
        self._family.start_python(self._name, arguments, os.environ)
        wait_until(self._answers, f"an answer of {self._name}", 60)

    def kill(self) -> None:
        """Kill it, if it is running."""
        if self._name in self._family.children:
            self._family.kill(self._name)

    def _answers(self) -> bool:
        try:
            self.stats()
        except OSError:
            return False
        return True
