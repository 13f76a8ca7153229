"""Named SQL out of ``queries/*/*.sql``; running it is the connection's part.

A file is a row of sections: ``-- name: words``, comment lines that say what the query is for, and
the query.
"""

import re
from functools import cache
from importlib import resources
from typing import Final, cast

import msgspec

from runwatch_server.storage.observing import Operation

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_TARGET: Final = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+(\w+)", re.IGNORECASE)


class Statement(msgspec.Struct, frozen=True):
    """A query and what it counts as in the metrics."""

    sql: str
    operation: Operation
    table: str


def statement(sql: str) -> Statement:
    """A query made in code; operation and table are read from its text."""
    verb = sql.split(None, 1)[0].lower()
    target = _TARGET.search(sql)
    known = verb if verb in {"select", "insert", "update", "delete"} else "select"
    return Statement(sql, cast(Operation, known), target[1] if target else "")


@cache
def load(dialect: str, topic: str) -> dict[str, Statement]:
    """The statements of a topic by name: those of ``queries/common`` and, in their place where they
    have the same name, those of ``queries/<dialect>``.
    """
    folder = resources.files("runwatch_server.storage") / "queries"
    found: dict[str, Statement] = {}
    for words in ("common", dialect):
        file = folder / words / f"{topic}.sql"
        if file.is_file():
            parts = _NAME.split(file.read_text("utf-8"))
            for name, body in zip(parts[1::2], parts[2::2], strict=True):
                found[name] = statement(_without_comments(body))
    return found


def _without_comments(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(lines).strip().rstrip(";")
