"""The statements by which texts of runs and tasks are indexed; when is in `search_indexing`."""

from typing import Final, NamedTuple

from runwatch_server.storage.statements import Statement, load

_SQL: Final = load("sqlite", "search")


class Changed(NamedTuple):
    """A run or task that changed; ``last_seq`` is 0 for a task."""

    key: int
    id: str
    revision: int
    last_seq: int
    search: str


class Texts:
    """The statements of one kind of texts: ``run`` or ``task``."""

    def __init__(self, kind: str) -> None:
        table, grams = f"{kind}_texts", f"{kind}_grams"
        self.cursor = f"{kind}s"
        self.changed = _SQL[f"changed_{kind}s"]
        self.of_revision = _SQL[f"{kind}s_of_revision"]
        self.known = Statement(
            f"SELECT id, n, digest FROM {table} WHERE id IN (SELECT value FROM json_each(?))",
            "select",
            table,
        )
        self.drop = Statement(f"DELETE FROM {table} WHERE n = ?", "delete", table)
        self.drop_text = Statement(f"DELETE FROM {grams} WHERE rowid = ?", "delete", grams)
        self.put = Statement(
            f"INSERT INTO {table}(id, digest) VALUES (?, ?) RETURNING n", "insert", table
        )
        self.put_text = Statement(
            f"INSERT INTO {grams}(rowid, text) VALUES (?, ?)", "insert", grams
        )


TEXTS: Final = {kind: Texts(kind) for kind in ("run", "task")}
