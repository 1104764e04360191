"""What a stored file is called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from airflow_provider_seedance.exceptions import SeedanceRequestError

if TYPE_CHECKING:
    from airflow_provider_seedance.api.generation import Generation

What = Literal["video", "last_frame"]

#: The files of a generation, and what their names end in.
EXTENSIONS: Mapping[What, str] = {"video": "mp4", "last_frame": "png"}
#: What may stand in braces in a path: facts of the generation, and the file's own ending.
PLACEHOLDERS = ("generation_id", "model", "resolution", "ratio", "duration", "seed", "extension")

_BRACES = re.compile(r"\{(\w*)\}")


def check_path(path: object) -> str:
    """
    Return a path to save to.

    :raises SeedanceRequestError: where it is none, or names something in braces that is not known.
    """
    if not isinstance(path, str) or not path.strip():
        raise SeedanceRequestError("'path' is empty: give a file or a folder to save to.", field="path")
    for name in _BRACES.findall(path):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise SeedanceRequestError(f"'path' holds {{{name}}}, which is not known: use {known}.", field="path")
    return path.strip()


def fill_path(path: str, generation: Generation, what: What) -> str:
    """
    Fill in what stands in braces.

    :param path: As :func:`check_path` returned it.
    """
    values = {name: getattr(generation, name, None) for name in PLACEHOLDERS} | {"extension": EXTENSIONS[what]}

    def value(found: re.Match[str]) -> str:
        said = values[found[1]]
        return "unknown" if said is None else re.sub(r"[/\\]", "-", str(said)).replace(":", "x")

    return _BRACES.sub(value, path)


def file_name(generation_id: str, what: What) -> str:
    """Return the name of a generation's file in a folder."""
    return f"{generation_id}.{EXTENSIONS[what]}"
