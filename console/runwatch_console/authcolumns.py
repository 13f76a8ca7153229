"""The columns of the Auth table, and what a login does now in a few words; pure."""

from typing import Final

from runwatch_console.authrows import AuthRow
from runwatch_console.columns import CellText, Column, short_agent
from runwatch_console.formats import UNKNOWN
from runwatch_console.lens import Lens
from runwatch_console.told import error_words, phase_words


def _known(text: str) -> CellText:
    return (text, "") if text else (UNKNOWN, "muted")


def state_cell(row: AuthRow, lens: Lens) -> CellText:
    """Glyph and word; of a silent node's login with a question mark."""
    if row.stale:
        return f"? {lens.words(f'login.{row.state}')}", "unknown"
    if row.run_id or row.state == "failed":
        return lens.look(row.look), row.look.tone
    glyph = row.look.ascii if lens.ascii else row.look.glyph
    return f"{glyph} {lens.words(f'login.{row.state}')}", row.look.tone


def now_cell(row: AuthRow, lens: Lens) -> CellText:
    """What a login does now, how it failed, or when an account was refused or used last."""
    if row.state == "failed":
        return error_words(row.error_code, row.error, lens.words) or UNKNOWN, "failed"
    if row.asks:
        return lens.words("auth.asks"), "waiting"
    if row.run_id:
        return _known(phase_words(row.phase, lens.words) or row.message)
    if row.last_401_s is not None and (row.used_s is None or row.last_401_s >= row.used_s):
        return lens.words("auth.refused", t=lens.since(row.last_401_s)), "failed"
    if row.used_s is not None:
        return lens.words("auth.used", t=lens.since(row.used_s)), "muted"
    return UNKNOWN, "muted"


AUTH_COLUMNS: Final[tuple[Column[AuthRow], ...]] = (
    Column(title="col.account", width=14, flex=2, cell=lambda row, _: _known(row.account)),
    Column(title="col.agent", width=8, cell=lambda row, _: (short_agent(row.agent), "")),
    Column(title="col.node", width=8, flex=1, priority=1, cell=lambda row, _: _known(row.node)),
    Column(title="col.state", width=11, cell=state_cell),
    Column(title="col.code", width=10, priority=2, cell=lambda row, _: _known(row.code)),
    Column(title="col.url", width=14, flex=4, priority=4, cell=lambda row, _: _known(row.url)),
    Column(title="col.phase", width=16, flex=2, priority=5, cell=now_cell),
    Column(
        title="col.expires",
        width=8,
        align="right",
        priority=3,
        cell=lambda row, lens: _known("" if row.expires_s is None else lens.until(row.expires_s)),
    ),
    Column(
        title="col.blocks",
        width=6,
        align="right",
        cell=lambda row, _: (str(row.blocks), "waiting") if row.blocks else (UNKNOWN, "muted"),
    ),
)
