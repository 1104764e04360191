"""
The ``seedance_emulator`` fixture, for tests of users' own Dags.

pytest loads this module in every run if the provider is installed, so it imports nothing but pytest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_seedance.emulator import Emulator

#: A generation takes 90 s / 300 = 0.3 s: long enough for a Dag's task to see it running.
_SPEED = 300.0


@pytest.fixture
def seedance_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """
    Start a Seedance emulator that the connection ``seedance_default`` points to.

    Generations finish in 0.3 s. Other settings are given by indirect parametrization::

        @pytest.mark.parametrize("seedance_emulator", [{"speed": 1}], indirect=True)

    :param request: Carries the settings.
    :param monkeypatch: Sets the connection.
    :returns: The emulator.
    """
    from airflow_provider_seedance.emulator import Emulator

    with Emulator(**{"speed": _SPEED, **getattr(request, "param", {})}) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", emulator.connection_json())
        for name in ("no_proxy", "NO_PROXY"):  # a proxy in the environment cannot reach this machine's loopback
            monkeypatch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1,localhost,::1"))))
        yield emulator
