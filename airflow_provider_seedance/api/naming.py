"""The files of a generation, and the names they are stored under."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from airflow_provider_seedance.api.values import refuse, shown

What = Literal["video", "last_frame"]

#: The files of a generation, and their file name extensions.
EXTENSIONS: Mapping[What, str] = {"video": "mp4", "last_frame": "png"}
#: Names that a path may have in braces: members of the generation's result, and the file's extension.
PLACEHOLDERS = ("generation_id", "model", "resolution", "ratio", "duration", "seed", "extension")


def check_what(what: object) -> tuple[What, ...]:
    """
    Return the files that the parameter ``what`` names, the video first.

    :param what: ``video``, ``last_frame``, ``both``, or a sequence of these words.
    :returns: One or two words.
    :raises SeedanceRequestError: If it is anything else.
    """
    given = what if isinstance(what, Iterable) and not isinstance(what, str) else (what,)
    words = {str(word) for word in given}
    if words == {"both"}:
        return tuple(EXTENSIONS)
    if not words or not words <= set(EXTENSIONS):
        refuse("what", f"is {shown(what)}", "Give 'video', 'last_frame' or 'both'")
    return tuple(name for name in EXTENSIONS if name in words)


def check_path(path: object) -> str:
    """
    Return the path to save to, without surrounding spaces.

    :raises SeedanceRequestError: If it is empty, or a name in braces is not known.
    """
    if not isinstance(path, str) or not path.strip():
        refuse("path", "is empty", "Give a file or a folder to save to")
    for name in re.findall(r"\{(\w*)\}", path):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            refuse("path", f"has {{{name}}} in it, which is not known", f"Use {known}")
    return path.strip()


def fill_path(path: str, result: Mapping[str, Any], what: What) -> str:
    """
    Replace the names in braces by their values, with characters that a file name cannot hold replaced.

    :param path: As :func:`check_path` returned it.
    :param result: The generation's result, as :meth:`Generation.to_result` returns it.
    :returns: The path of the file, or of the folder it goes to.
    """
    for name in PLACEHOLDERS:
        value = EXTENSIONS[what] if name == "extension" else result.get(name)
        text = "unknown" if value is None else re.sub(r"[/\\]", "-", str(value)).replace(":", "x")
        path = path.replace(f"{{{name}}}", text)
    return path


def file_name(generation_id: str, what: What) -> str:
    """Return the name of a generation's file in a folder, such as ``asyntask_abc.mp4``."""
    return f"{generation_id}.{EXTENSIONS[what]}"
