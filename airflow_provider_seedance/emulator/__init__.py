"""
A local stand-in for the Seedance service, for demos, for this project's tests and for tests of users' own Dags.

It is a second, independent reading of the wire contract. It shares no code with the client in this package, so that one
misunderstanding cannot hide on both sides. Importing this module costs nothing: aiohttp, PyAV and Pillow are loaded
when an emulator starts or makes a clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_seedance.emulator.instance import Emulator, EmulatorControl

__all__ = ["Emulator", "EmulatorControl"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from airflow_provider_seedance.emulator import instance

        return getattr(instance, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
