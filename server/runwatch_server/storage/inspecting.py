"""Looking into a SQLite database from the command line, through sqlite-utils; reading only."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from sqlite_utils import Database

from runwatch_server.storage.urls import parts_of
from runwatch_shared.errors import SettingsError

HIDDEN: Final = frozenset({"tokens", "users", "sessions", "replays"})
"""Tables with hashes of secrets or answers to single callers; not exported."""


def database_file(url: str) -> Path:
    """The file of a SQLite URL.

    Raises:
        SettingsError: The URL names another store, or the file is not there.
    """
    parts = parts_of(url)
    file = Path(unquote(parts.path))
    if parts.scheme != "sqlite" or not file.is_file():
        raise SettingsError("this command looks into a SQLite file, and there is none")
    return file


def tables(file: Path) -> list[tuple[str, int]]:
    """Each table with its number of rows."""
    database = _open(file)
    return [(name, database[name].count) for name in sorted(database.table_names())]


def export(file: Path, table: str, *, limit: int) -> Iterator[str]:
    """A table's rows as JSON objects, one a line; ``limit`` 0 gives all.

    Raises:
        SettingsError: There is no such table, or it holds secrets.
    """
    database = _open(file)
    if table not in database.table_names() or table in HIDDEN:
        raise SettingsError(f"there is no table {table!r} to export; see: db tables")
    for row in database[table].rows_where(limit=limit or None):
        yield _line(row)


def search(file: Path, text: str, *, limit: int) -> Iterator[str]:
    """Events whose payload holds a text, newest last, as JSON objects, one a line."""
    database = _open(file)
    rows = database.query(
        "SELECT runs.id AS run_id, seq, type, level, at_us, payload FROM events"
        " JOIN runs ON runs.key = events.run WHERE instr(payload, :text) > 0"
        " ORDER BY runs.id, seq LIMIT :limit",
        {"text": text.encode(), "limit": limit},
    )
    for row in rows:
        yield _line(row)


def integrity(file: Path) -> str:
    """What SQLite says of the file: ``ok``, or the first thing that is wrong."""
    rows = list(_open(file).query("PRAGMA quick_check(1)"))
    return str(rows[0]["quick_check"]) if rows else "no answer"


def _open(file: Path) -> Any:
    return Database(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True))


def _line(row: dict[str, Any]) -> str:
    return json.dumps({name: _value(value) for name, value in row.items()}, ensure_ascii=True)


def _value(value: Any) -> Any:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
