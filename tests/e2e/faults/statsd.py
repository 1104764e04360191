"""A listener for the metrics of Airflow's components and tasks."""

from __future__ import annotations

import socket
import threading


class StatsdListener:
    """
    A StatsD server that keeps every line, as a context manager.

    ``settings`` are the environment variables that make Airflow send here.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, name="statsd", daemon=True)
        self.settings = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            # for tags, which Airflow omits from plain StatsD
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }

    def __enter__(self) -> StatsdListener:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    @property
    def lines(self) -> list[str]:
        """The lines so far, such as ``airflow.seedance.generations.submitted:1|c``."""
        return list(self._lines)

    def _listen(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(65536)
            except OSError:
                return
            self._lines += datagram.decode(errors="replace").splitlines()
