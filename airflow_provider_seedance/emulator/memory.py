"""What an emulator keeps in a file, so that one started later on the same file goes on where it was stopped."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Literal, get_args

_SCHEMA = """
CREATE TABLE IF NOT EXISTS generation (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS asset_group (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS asset (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_Table = Literal["generation", "asset_group", "asset"]


class Memory:
    """A file of JSON values; every write is kept once it returns.

    :param path: a SQLite database, made when missing
    :raises ValueError: the file is something else, or cannot be opened
    """

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            # a write has to survive this process, not the machine
            self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {_SCHEMA}")
        except sqlite3.Error as error:
            raise ValueError(f"{path} cannot be used as the emulator's state: {error}") from None

    def keep_row(self, table: _Table, row_id: str, value: Any) -> None:
        """Write a generation, group or asset, new or known."""
        self._database.execute(
            f"INSERT INTO {table} (id, value) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value",
            (row_id, json.dumps(value)),
        )

    def rows(self, table: _Table) -> list[Any]:
        """Return the generations, groups or assets in the order in which they were first written."""
        rows = self._database.execute(f"SELECT value FROM {table} ORDER BY number")
        return [json.loads(value) for (value,) in rows]

    def keep(self, name: str, value: Any) -> None:
        """Write a named value."""
        self._database.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    def get(self, name: str) -> Any:
        """Return a named value, or None."""
        row = self._database.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def forget(self) -> None:
        """Forget everything."""
        tables = (*get_args(_Table), "fact")
        self._database.executescript("".join(f"DELETE FROM {table};" for table in tables))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
