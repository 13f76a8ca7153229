"""The schema of a PostgreSQL database, brought to what this build writes by
``deployments/migrations/NNNN_words.sql``: forward only, each step in one transaction.

A step is recorded with a checksum of its text; a file that came out is never edited again. Steps
are applied under an advisory lock, so that any number of commands may be started at once.
"""

import hashlib
from importlib import resources
from typing import Final

import msgspec

from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.statements import Statement
from runwatch_shared.errors import StoreUnavailableError

COMMAND: Final = "monitor-server migrate"
_LOCK: Final = 0x52756E7761746368  # "Runwatch"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_steps (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_EXISTS: Final = Statement("SELECT to_regclass('schema_steps') IS NOT NULL", "select", "")
_APPLIED: Final = Statement(
    "SELECT number, name, checksum FROM schema_steps ORDER BY number", "select", "schema_steps"
)
_RECORD: Final = Statement(
    "INSERT INTO schema_steps(number, name, checksum) VALUES (?, ?, ?)", "insert", "schema_steps"
)


class Step(msgspec.Struct, frozen=True):
    """One file of the migrations."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a database stands to this build."""

    applied: list[str]
    """Names, in order."""
    missing: list[Step]


def steps() -> list[Step]:
    """The steps of this build, numbered from 1 without a gap."""
    folder = resources.files("runwatch_server.storage") / "queries" / "postgres" / "schema"
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    for number, entry in enumerate(files, start=1):
        assert entry.name.startswith(f"{number:04}_"), f"{entry.name} is step {number}"
    return [
        Step(number, entry.name.removesuffix(".sql"), entry.read_text("utf-8"))
        for number, entry in enumerate(files, start=1)
    ]


def standing(connection: Connection) -> Standing:
    """What is applied and what is missing.

    Raises:
        StoreUnavailableError: The database was written by a newer build, or a step is another than
            the one that was applied.
    """
    known = steps()
    applied = connection.all(_APPLIED) if connection.value(_EXISTS) else []
    if len(applied) > len(known):
        raise StoreUnavailableError(
            f"the database has schema {len(applied)}, this build knows up to {len(known)}"
        )
    for (number, name, checksum), step in zip(applied, known, strict=False):
        if (number, checksum) != (step.number, step.checksum):
            raise StoreUnavailableError(
                f"step {number} was applied as {name} and is not what this build has as {step.name}"
            )
    return Standing(applied=[name for _, name, _ in applied], missing=known[len(applied) :])


def require_current(connection: Connection) -> None:
    """Refuse a database this build cannot serve.

    Raises:
        StoreUnavailableError: Its schema is older, newer or another; an older one's message names
            the command that mends it.
    """
    missing = standing(connection).missing
    if missing:
        raise StoreUnavailableError(
            f"the database lacks {len(missing)} step(s) of its schema from {missing[0].name} on; "
            f"run: {COMMAND}"
        )


def migrate(connection: Connection) -> list[str]:
    """Apply what is missing; gives the names of the steps that were.

    Raises:
        StoreUnavailableError: See `standing`.
    """
    connection.command(f"SELECT pg_advisory_lock({_LOCK})")
    try:
        connection.command(_TABLE)
        missing = standing(connection).missing
        for step in missing:
            connection.command("BEGIN")
            try:
                connection.command(step.sql)
                connection.run(_RECORD, (step.number, step.name, step.checksum))
                connection.command("COMMIT")
            except BaseException:
                connection.command("ROLLBACK")
                raise
        return [step.name for step in missing]
    finally:
        connection.command(f"SELECT pg_advisory_unlock({_LOCK})")
