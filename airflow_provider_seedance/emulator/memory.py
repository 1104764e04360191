"""What an emulator keeps in a file, so that one started later with the same file continues from there."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class Entry(DataclassInstance, Protocol):
        """A dataclass with an id."""

        id: str


_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (kind, id)
);
"""
_WRITE = """
INSERT INTO entry (kind, id, value) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET value = excluded.value
"""


class Memory:
    """
    A file of JSON values. A write survives the process once it returns.

    :param path: A SQLite database, created if it is missing. None keeps nothing.
    :raises ValueError: If the file is of another kind or cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._keeps = path is not None
        try:
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
            # a write has to survive this process, not a crash of the machine
            self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {_SCHEMA}")
        except sqlite3.Error as error:
            raise ValueError(f"{path} cannot be used as the emulator's state: {error}") from None

    def keep(self, entry: Entry) -> None:
        """Write a generation, a group or an asset that is new or has changed."""
        if self._keeps:
            self._write(type(entry).__name__, entry.id, asdict(entry))

    def keep_facts(self, facts: Mapping[str, Any]) -> None:
        """Write everything else that is kept, as one JSON object."""
        if self._keeps:
            self._write("facts", "", facts)

    def entries(self, kind: type) -> list[dict[str, Any]]:
        """
        Read all entries of a kind.

        :param kind: The dataclass that was written.
        :returns: The fields of each entry, in the order in which the entries were first written.
        """
        return self._read(kind.__name__)

    def facts(self) -> dict[str, Any] | None:
        """Return what :meth:`keep_facts` wrote last, or None."""
        found = self._read("facts")
        return found[0] if found else None

    def drop(self, entry: Entry) -> None:
        """Forget one entry."""
        self._database.execute("DELETE FROM entry WHERE kind = ? AND id = ?", (type(entry).__name__, entry.id))

    def forget(self) -> None:
        """Forget everything."""
        self._database.execute("DELETE FROM entry")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _write(self, kind: str, entry_id: str, value: Mapping[str, Any]) -> None:
        self._database.execute(_WRITE, (kind, entry_id, json.dumps(value, default=_encode)))

    def _read(self, kind: str) -> list[dict[str, Any]]:
        rows = self._database.execute("SELECT value FROM entry WHERE kind = ? ORDER BY number", (kind,))
        return [json.loads(value, object_hook=_decode) for (value,) in rows]


def _encode(value: object) -> dict[str, str]:
    """Write bytes, which JSON does not have, as an object."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be kept")
    return {"__bytes__": base64.b64encode(value).decode()}


def _decode(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["__bytes__"]) if value.keys() == {"__bytes__"} else value
