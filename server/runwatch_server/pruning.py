"""What ``monitor-server prune`` does: plan, then remove; by itself, or through a server that runs.

Where a server holds the database it does the removing, so that its feeds, its numbers and its one
writer stay whole; it is asked by a row, and goes on when this command is gone. When the server goes
first, the command goes on. What goes is decided in `retention`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from runwatch_server import retention
from runwatch_server.first_start import write_now
from runwatch_server.ingest import Tidying
from runwatch_server.rows import Bounds, PruneRow, Size
from runwatch_server.storage.protocols import Store, WriteTx
from runwatch_shared.clock import Clock
from runwatch_shared.errors import SettingsError, StoreLockedError, StoreUnavailableError
from runwatch_shared.settings import Retention

ALONE_ROWS: Final = 10_000
"""Removed in one transaction where nobody waits."""
POLL_S: Final = 0.2
PATIENCE_S: Final = 60.0
"""How long a server may make no progress."""
KEPT_S: Final = 86_400

_UNITS: Final[dict[str, int]] = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", start=1)},
    **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", start=1)},
}

Open = Callable[[bool], Store]
"""Opens the database, alone or beside a server."""


@runtime_checkable
class Compacting(Protocol):
    """A store that can give free room back."""

    def compact(self) -> None: ...


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What went, in the words of ``--json``."""

    dry_run: bool
    events: int
    runs: int
    runs_with_events: int
    """Runs that lose events, as planned."""
    about: bool
    """Whether ``events`` is a guess: only in a dry run, where bytes are bounded."""
    kept_events: int
    used_bytes: int
    file_bytes: int
    by_server: bool
    """Whether a running server did it."""


def bytes_of(text: str) -> int:
    """A number of bytes: ``500MB``, ``10GB``, ``2GiB`` or plain digits.

    Raises:
        SettingsError: It is none.
    """
    digits = text.strip().rstrip("BbIiKkMmGgTt ")
    unit = text.strip()[len(digits) :].strip().upper()
    if not (digits.isascii() and digits.isdigit()) or unit not in _UNITS or len(digits) > 15:
        raise SettingsError("--max-bytes must be a size such as 500MB, 10GB or 2GiB")
    return int(digits) * _UNITS[unit]


def bounds_of(
    policy: Retention,
    now_us: int,
    *,
    age_s: int | None,
    max_events: int | None,
    max_bytes: int | None,
    runs: bool,
) -> Bounds:
    """What the flags ask for; the policy where they bound nothing.

    Args:
        runs: The age is for whole runs; without one that of the policy.

    Raises:
        SettingsError: ``runs`` without any age.
    """
    if age_s is None and max_events is None and max_bytes is None and not runs:
        return retention.bounds_of(policy, now_us)
    runs_age_s = (age_s or policy.runs_s) if runs else 0
    if runs and not runs_age_s:
        raise SettingsError("--runs needs --older-than, or runs_s among the settings")
    return Bounds(
        events_before_us=None if age_s is None else retention.before(age_s, now_us),
        max_events=max_events,
        max_bytes=max_bytes,
        runs_before_us=retention.before(runs_age_s, now_us),
    )


def words_of(outcome: Outcome) -> str:
    """One line for people."""
    about = "about " if outcome.about else ""
    verb = "would go" if outcome.dry_run else "removed"
    by = " by the server" if outcome.by_server else ""
    return (
        f"{about}{outcome.events:,} events of {outcome.runs_with_events:,} runs and "
        f"{outcome.runs:,} whole runs {verb}{by}; {outcome.kept_events:,} events in "
        f"{outcome.used_bytes / 1e6:,.1f} MB {'now' if outcome.dry_run else 'kept'}, "
        f"file {outcome.file_bytes / 1e6:,.1f} MB"
    )


def json_of(outcome: Outcome) -> str:
    """The same for programs."""
    return msgspec.json.encode(outcome).decode()


def vacuumed(opened: Open, file: Path, outcome: Outcome) -> Outcome:
    """Give the free pages back to the disk.

    Raises:
        StoreLockedError: A server holds the database.
        StoreError: There is no room for the copy it takes.
    """
    store = opened(True)
    try:
        if isinstance(store, Compacting):
            store.compact()
        with store.read() as tx:
            size = tx.size()
    finally:
        store.close()
    return msgspec.structs.replace(
        outcome, dry_run=False, used_bytes=size.used_bytes, file_bytes=file.stat().st_size
    )


def planned(store: Store, bounds: Bounds) -> Outcome:
    """What would go."""
    with store.read() as tx:
        plan = retention.plan(tx, bounds)
    return Outcome(
        dry_run=True,
        events=plan.events,
        runs=plan.runs,
        runs_with_events=plan.runs_with_events,
        about=plan.about,
        kept_events=plan.size.events,
        used_bytes=plan.size.used_bytes,
        file_bytes=plan.size.file_bytes,
        by_server=False,
    )


def prune(opened: Open, clock: Clock, bounds: Bounds, plan: Outcome) -> Outcome:
    """Remove it.

    Raises:
        StoreError: The store failed, or the server made no progress for a minute.
    """
    asked = PruneRow(asked_us=clock.now_us(), bounds=bounds)
    try:
        store = opened(True)
    except StoreLockedError:
        done, size, by_server = _through_server(opened, clock, asked)
    else:
        try:
            done, size, by_server = *_alone(store, clock, asked), False
        finally:
            store.close()
    return msgspec.structs.replace(
        plan,
        dry_run=False,
        events=done.events,
        runs=done.runs,
        about=False,
        kept_events=size.events,
        used_bytes=size.used_bytes,
        file_bytes=size.file_bytes,
        by_server=by_server,
    )


def _alone(store: Store, clock: Clock, asked: PruneRow) -> tuple[PruneRow, Size]:
    """Remove all of it here; ``asked`` goes from the store where it is there."""
    events, runs = asked.events, asked.runs
    while True:
        removed = write_now(
            store,
            clock,
            lambda tx: retention.piece(tx, asked.bounds, rows=ALONE_ROWS),
        )
        events, runs = events + removed.events, runs + removed.runs
        if isinstance(store, Tidying):
            store.tidy(idle=True)
        if not removed.rows:
            break
    if asked.id:
        write_now(store, clock, lambda tx: tx.prunes.drop(asked.id))
    with store.read() as tx:
        size = tx.size()
    return msgspec.structs.replace(asked, events=events, runs=runs, done=True), size


def _through_server(opened: Open, clock: Clock, asked: PruneRow) -> tuple[PruneRow, Size, bool]:
    store = opened(False)
    try:
        asked = write_now(store, clock, lambda tx: _ask(tx, asked))
        found, alone = _wait(store, opened, clock, asked)
        if alone is None:
            write_now(store, clock, lambda tx: tx.prunes.drop(asked.id))
            with store.read() as tx:
                return found, tx.size(), True
    finally:
        store.close()
    try:
        return *_alone(alone, clock, found), False
    finally:
        alone.close()


def _ask(tx: WriteTx, asked: PruneRow) -> PruneRow:
    tx.prunes.drop_done(tx.now_us - KEPT_S * 1_000_000)
    return tx.prunes.put(asked)


def _wait(
    store: Store, opened: Open, clock: Clock, asked: PruneRow
) -> tuple[PruneRow, Store | None]:
    """The request when it is done; or as it stands when the server is gone, with the store."""
    last, moved_s = asked, clock.monotonic()
    while True:
        with store.read() as tx:
            found = tx.prunes.get(asked.id)
        if found is None:
            raise StoreUnavailableError("what was asked of the server is gone")
        if found.done:
            return found, None
        alone = _opened_alone(opened)
        if alone is not None:
            return found, alone
        if found != last:
            last, moved_s = found, clock.monotonic()
        elif clock.monotonic() - moved_s > PATIENCE_S:
            raise StoreUnavailableError("the server did not remove anything for a minute")
        time.sleep(POLL_S)


def _opened_alone(opened: Open) -> Store | None:
    """The database, where no server holds it any more."""
    try:
        return opened(True)
    except StoreLockedError:
        return None
