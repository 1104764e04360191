"""The files of a generation, and the names they are stored under."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from airflow_provider_seedance.api.media import is_local_path
from airflow_provider_seedance.api.values import GAVE_NOTHING, is_nothing, path_text, refuse, shown

What = Literal["video", "last_frame"]

#: The files of a generation, and their file name extensions.
EXTENSIONS: Mapping[What, str] = {"video": "mp4", "last_frame": "png"}
#: Names that a path may have in braces: members of the generation's result, and the file's extension.
PLACEHOLDERS = ("generation_id", "model", "resolution", "ratio", "duration", "seed", "extension")
#: Characters of a value that go into a path.
MAX_NAME_PART = 100

_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
_NOT_IN_NAMES = re.compile(r"[^\w.+ -]", re.ASCII)
#: Those that differ between the generations of a mapped task.
_DISTINCT = ("{generation_id}", "{seed}")
#: What a template refers to if it renders differently in each instance of a mapped task.
_INSTANCE_WORDS = re.compile(
    r"\{[{%][^}]*\b(map_index|xcom_pull|uuid\w*|macros\.random|task\.(?!(task_id|dag|dag_id|task_type)\b))"
)


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

    :param path: Text, or a path object, which names a folder if its last name has no ``.`` and no braces.
    :raises SeedanceRequestError: If it is empty, has braces in it that are none of :data:`PLACEHOLDERS`, or is a local
        path that depends on where the worker was started or who runs it.
    """
    text = path_text(path)
    if is_nothing(text):
        refuse("path", f"is {shown(text)}: {GAVE_NOTHING}", "Give a file or a folder to save to")
    if not isinstance(text, str):
        refuse("path", f"is {shown(text)}, not a path", "Give a file or a folder to save to")
    text = text.strip()
    if not isinstance(path, str) and not re.search(r"[.{}][^/]*$|/$", text):
        text += "/"  # a path object drops the slash that marks a folder
    if unknown := re.search(r"\{[^{}]*\}?|\}", _PLACEHOLDER.sub("", text)):
        known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
        refuse("path", f"has {unknown[0]} in it, which is not known", f"Use {known}")
    if re.match(r"(?i)(file|local)://localhost/", text):
        refuse("path", "names a host, and would be taken for a folder of that name", "Write file:///, then the path")
    if is_local_path(text) and not text.partition("://")[2].startswith("/") and not text.startswith("/"):
        refuse(
            "path",
            "is relative, or begins with ~, which each worker may take for another folder",
            "Give an absolute path, or an address such as s3://bucket/folder/",
        )
    return text


def check_two_files(path: str) -> None:
    """
    Refuse a video's path that the last frame next to it would have too: the second would replace the first.

    :param path: The file that the video goes to, filled or not.
    :raises SeedanceRequestError: It ends in the last frame's extension.
    """
    suffix = f".{EXTENSIONS['last_frame']}"
    if path.lower().endswith(suffix):
        remedy = "End it in .mp4, in {extension}, or in / for a folder"
        refuse("path", f"ends in {suffix}, which is the last frame's name, and 'what' requests the video too", remedy)


def is_shared(path: object) -> bool:
    """
    Return whether all instances of a mapped task save to the same path.

    :param path: As the Dag's author wrote it: not rendered, and not filled.
    :returns: False if a placeholder or a template makes a difference, or if it is another task's output.
    """
    text = path_text(path)
    if not isinstance(text, str):
        return False
    return not _INSTANCE_WORDS.search(text) and not any(name in text for name in _DISTINCT)


def fill_path(path: str, result: Mapping[str, Any], what: What) -> str:
    """
    Replace the names in braces by their values, made fit to be a part of one file's name.

    :param path: As :func:`check_path` returned it.
    :param result: The generation's result, as :meth:`Generation.to_result` returns it.
    :returns: The path of the file, or of the folder it goes to.
    """
    values = {name: result.get(name) for name in PLACEHOLDERS} | {"extension": EXTENSIONS[what]}
    return _PLACEHOLDER.sub(lambda found: _name_part(values[found[1]]), path)


def _name_part(value: object) -> str:
    """Return a value of the service as text that cannot lead out of a folder, nor mean anything to a storage."""
    text = "" if value is None else str(value).replace(":", "x")
    return _NOT_IN_NAMES.sub("-", text)[:MAX_NAME_PART] if text.strip(". ") else "unknown"


def file_name(generation_id: str, what: What) -> str:
    """Return the name of a generation's file in a folder, such as ``asyntask_abc.mp4``."""
    return f"{generation_id}.{EXTENSIONS[what]}"
