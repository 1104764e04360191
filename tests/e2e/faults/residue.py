"""Everything that runs leave behind, as text: every value of the metadata database and every line of every log."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from cryptography.fernet import Fernet, InvalidToken
from psycopg2 import sql


@dataclass(frozen=True)
class Trace:
    """
    One value that was left behind.

    :param place: ``table.column`` for the database, a log file's path, or what the caller names.
    :param text: The value.
    :param row: For the database, the columns of its row that identify what it belongs to.
    """

    place: str
    text: str
    row: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.place} of {self.row}" if self.row else self.place


#: Columns that identify what a row belongs to.
_NAMES = ("dag_id", "task_id", "map_index", "key", "event", "conn_id", "classpath")

#: Columns where the key belongs, encrypted.
_SAFES = (("connection", "password"), ("connection", "extra"))


def in_database(dsn: str, fernet_key: str) -> Iterator[Trace]:
    """Yield every value of every table, decompressed and decrypted, except the connections' secrets."""
    fernet = Fernet(fernet_key)
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'")
        for schema, table in cursor.fetchall():
            if schema in ("pg_catalog", "information_schema"):
                continue
            cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
            columns = [column.name for column in cursor.description or ()]
            for values in cursor.fetchall():
                row = dict(zip(columns, values, strict=True))
                names = {name: row[name] for name in _NAMES if row.get(name) is not None}
                for column, value in row.items():
                    if value is not None and (table, column) not in _SAFES:
                        yield Trace(f"{table}.{column}", _as_text(value, fernet), names)


def _as_text(value: Any, fernet: Fernet) -> str:
    if isinstance(value, memoryview | bytes):
        data = bytes(value)
        with contextlib.suppress(zlib.error):
            data = zlib.decompress(data)
        return data.decode(errors="replace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    try:
        return str(fernet.decrypt(text.encode()), "utf-8")
    except InvalidToken:
        return text


def in_files(folder: Path) -> Iterator[Trace]:
    """Yield every line of every file below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            place = str(path.relative_to(folder))
            yield from (Trace(place, line) for line in path.read_text(errors="replace").splitlines())
