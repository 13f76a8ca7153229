"""The columns of the Runs and Nodes tables, and which of them fit a width; pure, widths in
cells.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from runwatch_console.formats import (
    UNKNOWN,
    format_amount,
    format_bytes,
    format_cost,
    format_rate,
)
from runwatch_console.lens import Lens
from runwatch_console.looks import look_of_node, look_of_run
from runwatch_console.rows import NodeRow, RunRow
from runwatch_console.told import code_words, queue_words

RowT = TypeVar("RowT")
CellText = tuple[str, str]
"""Text and tone; the tone is a name of the style sheet, empty for plain."""
_ONLY_A_CODE: Final = re.compile(
    r"(?:process )?exit(?:ed)?(?: with)?(?: code| status)? (-?\d+)", re.I
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[RowT]):
    """One column. `priority` 0 is never dropped; the highest number is dropped first."""

    title: str
    """Id of the locale."""
    width: int
    """Cells; with `flex` the least it needs."""
    cell: Callable[[RowT, Lens], CellText]
    priority: int = 0
    align: Literal["left", "right"] = "left"
    flex: int = 0
    """Share of the cells left over; 0 for a fixed width."""


@dataclass(frozen=True, slots=True)
class Fitted(Generic[RowT]):
    """A column with the width it got."""

    column: Column[RowT]
    width: int


def fit_columns(columns: Sequence[Column[RowT]], width: int, *, gap: int = 1) -> list[Fitted[RowT]]:
    """The columns that fit, in order, with their widths; whole columns go, by priority, never half
    of one.
    """
    kept = list(columns)
    while len(kept) > 1 and sum(c.width for c in kept) + gap * (len(kept) - 1) > width:
        worst = max(kept, key=lambda column: column.priority)
        if worst.priority == 0:
            break
        kept.remove(worst)
    spare = max(0, width - sum(c.width for c in kept) - gap * (len(kept) - 1))
    shares = sum(column.flex for column in kept)
    fitted = []
    for column in kept:
        extra = spare * column.flex // shares if shares else 0
        spare -= extra
        shares -= column.flex
        fitted.append(Fitted(column, column.width + extra))
    return fitted


def column_id(column: Column[RowT]) -> str:
    """The name a settings file and `:columns` know it by."""
    return column.title.removeprefix("col.")


def chosen_columns(columns: Sequence[Column[RowT]], names: Sequence[str]) -> list[Column[RowT]]:
    """The columns of these names in this order; all of them for none, and for names of none."""
    by_id = {column_id(column): column for column in columns}
    return [by_id[name] for name in names if name in by_id] or list(columns)


def state_cell(run: RunRow, lens: Lens) -> CellText:
    """Glyph, word and tone of a run."""
    look = look_of_run(run)
    return lens.look(look), look.tone


def age_cell(run: RunRow, lens: Lens) -> CellText:
    """AGE: how long it has been in its present state (`RunRow.state_since_s`); of an ended run, how
    long ago it ended. How long it took is a fact of the preview and of the detail.
    """
    return lens.age(run.age_s(lens.now_s)), "muted" if run.ended else ""


def now_cell(run: RunRow, lens: Lens) -> CellText:
    """What it does now, or why it does not: wait, queue reason, health, end, activity."""
    if run.ended:
        return ended_text(run, lens), "failed" if run.status in ("failed", "timeout") else "muted"
    if run.wait is not None:
        return f"{lens.words('wait.' + run.wait.kind)}: {run.wait.prompt}", "waiting"
    if run.queue_reason:
        return queue_words(run, lens.words), "muted"
    if run.state == "unknown":
        return lens.words("why.unknown", node=run.node or "?"), "unknown"
    return run.activity, ""


def ended_text(run: RunRow, lens: Lens) -> str:
    """How it ended, in as few words as say it."""
    parts = []
    if run.exit_code is not None and run.exit_code != 0:
        parts.append(lens.words("end.exit", code=run.exit_code))
    if run.error_code and run.error_code != "exit_nonzero":
        parts.append(code_words(run.error_code, lens.words))
    if run.error and not _says_only_the_code(run):
        parts.append(run.error)
    return " · ".join(parts) or run.activity


def _says_only_the_code(run: RunRow) -> bool:
    """`exited with code 7` beside exit 7 says nothing and takes the room of what would."""
    told = _ONLY_A_CODE.fullmatch(run.error)
    return told is not None and bool(run.exit_code) and told[1] == str(run.exit_code)


def tools_cell(run: RunRow, lens: Lens) -> CellText:
    """Calls, and failures if there are any: `88 14✕`."""
    if run.tool_calls == 0 and run.tool_failures == 0:
        return UNKNOWN, "muted"
    if run.tool_failures == 0:
        return str(run.tool_calls), ""
    return f"{format_amount(run.tool_calls)} {format_amount(run.tool_failures)}✕", "failed"


def _unknown_muted(text: str) -> CellText:
    return text, "muted" if text == UNKNOWN else ""


RUN_COLUMNS: Final[tuple[Column[RunRow], ...]] = (
    Column(title="col.state", width=9, cell=state_cell),
    Column(
        title="col.age",
        width=7,
        align="right",
        cell=age_cell,
    ),
    Column(title="col.run", width=12, priority=3, cell=lambda run, _: (short_id(run.id), "id")),
    Column(title="col.task", width=14, flex=2, cell=lambda run, _: (run.name, "")),
    Column(
        title="col.agent", width=7, priority=7, cell=lambda run, _: (short_agent(run.agent), "")
    ),
    Column(
        title="col.node",
        width=6,
        priority=4,
        cell=lambda run, _: _unknown_muted(run.node or UNKNOWN),
    ),
    Column(
        title="col.tokens",
        width=5,
        priority=8,
        align="right",
        cell=lambda run, _: _unknown_muted(format_amount(run.tokens)),
    ),
    Column(
        title="col.cost",
        width=6,
        priority=5,
        align="right",
        cell=lambda run, _: _unknown_muted(format_cost(run.cost_usd)),
    ),
    Column(
        title="col.rate",
        width=5,
        priority=9,
        align="right",
        cell=lambda run, _: _unknown_muted(format_rate(run.cost_per_h)),
    ),
    Column(title="col.tools", width=8, priority=6, align="right", cell=tools_cell),
    Column(title="col.now", width=16, flex=5, priority=2, cell=now_cell),
)


def short_id(run_id: str) -> str:
    """The prefix and seven digits of an id of ours (`run-8f21a0c`); any other id as it is."""
    prefix, dash, digits = run_id.partition("-")
    return f"{prefix}-{digits[:7]}" if dash and len(digits) == 12 else run_id


_AGENTS: Final = {
    "claude-code": "claude",
    "openai-codex": "codex",
    "gemini-cli": "gemini",
    "qwen-code": "qwen",
}


def short_agent(agent: str) -> str:
    """The everyday name of an agent type."""
    return _AGENTS.get(agent, agent)


def _of_reachable(text: Callable[[NodeRow], str]) -> Callable[[NodeRow, Lens], CellText]:
    return lambda node, _: _unknown_muted(text(node)) if node.reachable else ("?", "unknown")


def _of_ledger(name: str, *, wrong: bool) -> Callable[[NodeRow, Lens], CellText]:
    """A number of the ledger. What nobody can say is `?`, never 0.

    Args:
        wrong: Any but 0 is something to look at.
    """

    def cell(node: NodeRow, _: Lens) -> CellText:
        number = getattr(node.slots, name, None)
        if number is None:
            return "?", "unknown"
        return str(number), "stalled" if wrong and number else ""

    return cell


def heartbeat_cell(node: NodeRow, lens: Lens) -> CellText:
    """Age of the last heartbeat."""
    age_s = None if node.heartbeat_s is None else lens.now_s - node.heartbeat_s
    return lens.age(age_s), "" if node.reachable else "failed"


def logins_cell(node: NodeRow, lens: Lens) -> CellText:
    """Logins by state, the bad ones first: `2 expired 1 ok`; none reported is unknown."""
    order = ("expired", "missing", "expiring", "ok")
    parts = [
        f"{node.logins[state]} {lens.words('login.' + state)}"
        for state in order
        if node.logins.get(state)
    ]
    bad = any(node.logins.get(state) for state in ("expired", "missing"))
    return (" ".join(parts), "waiting" if bad else "") if parts else (UNKNOWN, "muted")


def _spool(node: NodeRow) -> str:
    if node.spool_bytes is None:
        return UNKNOWN
    return format_bytes(node.spool_bytes) if node.spool_events else "0"


NODE_COLUMNS: Final[tuple[Column[NodeRow], ...]] = (
    Column(title="col.node", width=12, flex=2, cell=lambda node, _: (node.name, "id")),
    Column(
        title="col.state",
        width=11,
        cell=lambda node, lens: (lens.look(look_of_node(node)), look_of_node(node).tone),
    ),
    Column(title="col.heartbeat", width=7, align="right", cell=heartbeat_cell),
    Column(
        title="col.capacity",
        width=4,
        align="right",
        cell=lambda node, _: (str(node.capacity), "" if node.reachable else "muted"),
    ),
    Column(
        title="col.allocated",
        width=5,
        align="right",
        cell=lambda node, _: (str(node.allocated), ""),
    ),
    Column(
        title="col.real",
        width=4,
        priority=2,
        align="right",
        cell=_of_ledger("real", wrong=False),
    ),
    Column(
        title="col.phantom",
        width=7,
        priority=3,
        align="right",
        cell=_of_ledger("phantom", wrong=True),
    ),
    Column(
        title="col.orphan",
        width=6,
        priority=4,
        align="right",
        cell=_of_ledger("orphan", wrong=True),
    ),
    Column(title="col.spool", width=7, priority=8, align="right", cell=_of_reachable(_spool)),
    Column(title="col.logins", width=9, flex=2, priority=5, cell=logins_cell),
    Column(
        title="col.agents",
        width=16,
        flex=3,
        priority=9,
        cell=lambda node, lens: _unknown_muted(", ".join(map(short_agent, node.agents)) or UNKNOWN),
    ),
    Column(
        title="col.version",
        width=9,
        priority=6,
        cell=lambda node, _: _unknown_muted(node.version or UNKNOWN),
    ),
)
