"""What a login has come through: the phases on its row, which are its events and its steps."""

from typing import Final, Literal

import msgspec

from runwatch_server.accounts.rows import ActionRow, PhaseRow

MOST_KEPT: Final = 100
"""On the row; of a node that tells more, the oldest go."""


def told(row: ActionRow, *, at_us: int, by: Literal["node", "user", "server"]) -> ActionRow:
    """The action with one more phase: what it is now."""
    phase = PhaseRow(
        seq=row.phases_total + 1,
        name=row.phase or row.status,
        status=row.status,
        at_us=at_us,
        by=by,
        message=row.message,
        progress=row.progress,
    )
    if row.finished_us is not None and by != "node":
        phase = msgspec.structs.replace(phase, name=row.status)
    phases = [*row.phases, phase][-MOST_KEPT:]
    return msgspec.structs.replace(row, phases=phases, phases_total=phase.seq)


def first_seq(row: ActionRow) -> int:
    """Of the oldest phase that is kept."""
    return row.phases_total - len(row.phases) + 1
