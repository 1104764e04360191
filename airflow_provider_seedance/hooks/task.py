"""What every operator and sensor here is: hidden rendered values, and a hook that is loaded when it is used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_seedance.hooks.hidden import HidesRenderedFields

if TYPE_CHECKING:
    from airflow_provider_seedance.hooks.seedance import SeedanceHook

#: As :attr:`SeedanceHook.default_conn_name`, which is not loaded to parse a Dag.
DEFAULT_CONN_ID = "seedance_default"


class SeedanceTask(HidesRenderedFields):
    """
    Mixed into operators and sensors.

    What a task needs only when it runs is imported only then, here and in the classes that mix this in: a Dag file
    is parsed every few seconds, and pays for what its imports pull in.
    """

    seedance_conn_id: str

    @cached_property
    def hook(self) -> SeedanceHook:
        """The hook for ``seedance_conn_id``."""
        from airflow_provider_seedance.hooks.seedance import SeedanceHook

        return SeedanceHook(self.seedance_conn_id)
