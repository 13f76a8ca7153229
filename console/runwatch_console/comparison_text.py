"""A comparison of two runs as text: its head, its lines and their signs; pure."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from runwatch_console.columns import short_agent
from runwatch_console.comparing import Comparison, Side
from runwatch_console.comparison import Call, Kind, Pair
from runwatch_console.formats import (
    UNKNOWN,
    format_amount,
    format_cost,
    format_count,
    format_duration,
)
from runwatch_console.lens import Lens
from runwatch_console.looks import look_of_run
from runwatch_console.rows import RunRow

SIGNS: Final[Mapping[Kind, str]] = {
    Kind.SAME: " ",
    Kind.OUTCOME: "!",
    Kind.INPUT: "~",
    Kind.LEFT: "-",
    Kind.RIGHT: "+",
}
SIGN_TONES: Final[Mapping[Kind, str]] = {
    Kind.SAME: "muted",
    Kind.OUTCOME: "failed",
    Kind.INPUT: "waiting",
    Kind.LEFT: "queued",
    Kind.RIGHT: "done",
}
_STATUS: Final[Mapping[str, tuple[str, str]]] = {
    "succeeded": ("✓", "done"),
    "failed": ("✕", "failed"),
    "open": ("●", "running"),
    "cancelled": ("–", "cancelled"),
}


class HeadLine(NamedTuple):
    """One fact of both runs: id of the label, both values, and the second less the first."""

    label: str
    left: str
    right: str
    delta: str = ""


def head_lines(comparison: Comparison, lens: Lens) -> list[HeadLine]:
    """What the runs are and came to; numbers with their difference where both are known."""
    left, right = comparison.left.run, comparison.right.run
    now_s = lens.now_s
    return [
        HeadLine("diff.run", left.id, right.id),
        HeadLine("diff.name", left.name, right.name),
        HeadLine("diff.status", _status(left, lens), _status(right, lens)),
        HeadLine("diff.agent", _agent(left), _agent(right)),
        HeadLine("diff.prompt", "", "", _prompts(comparison, lens)),
        HeadLine(
            "diff.duration",
            format_duration(left.took_s(now_s)),
            format_duration(right.took_s(now_s)),
            signed_duration(_less(right.took_s(now_s), left.took_s(now_s))),
        ),
        HeadLine(
            "diff.queued",
            format_duration(_seconds(left.queue_wait_ms)),
            format_duration(_seconds(right.queue_wait_ms)),
            signed_duration(_less(_seconds(right.queue_wait_ms), _seconds(left.queue_wait_ms))),
        ),
        HeadLine(
            "diff.tokens",
            format_amount(left.tokens),
            format_amount(right.tokens),
            _signed(_less(right.tokens, left.tokens), format_amount),
        ),
        HeadLine(
            "diff.cost",
            _cost(left),
            _cost(right),
            _signed(_less(right.cost_usd, left.cost_usd), lambda usd: f"${format_cost(usd)}"),
        ),
        HeadLine("diff.calls", _calls(comparison.left), _calls(comparison.right)),
    ]


def summary_text(comparison: Comparison, lens: Lens) -> str:
    """How many steps are the same, and how many stretches differ."""
    same = sum(1 for pair in comparison.pairs if pair.kind is Kind.SAME)
    facts = {"same": format_count(same), "total": format_count(len(comparison.pairs))}
    if not comparison.pairs:
        text = lens.words("diff.no_steps")
    elif not comparison.differences:
        text = lens.words("diff.all_same", **facts)
    else:
        text = lens.words("diff.differ", n=len(comparison.differences), **facts)
    if not (comparison.left.whole and comparison.right.whole):
        most = max(len(comparison.left.calls), len(comparison.right.calls))
        text += f" · {lens.words('diff.first_only', n=format_count(most))}"
    return text


def call_text(call: Call | None) -> tuple[str, str]:
    """A call in one line, and its tone."""
    if call is None:
        return "", "muted"
    glyph, tone = _STATUS.get(call.status, ("∅", "unknown"))
    return f"{glyph} {call.text}", tone if tone != "done" else ""


def call_duration(call: Call | None) -> str:
    """How long it took; nothing for no call, a dash while it is not known."""
    return "" if call is None else format_duration(_seconds(call.duration_ms))


def delta_text(pair: Pair) -> str:
    """How much longer the second took: `+2.1s`."""
    return "" if pair.delta_ms is None else signed_duration(pair.delta_ms / 1000)


def signed_duration(seconds: float | None) -> str:
    """`+2m03s`, `-340ms`, `=`; nothing where it is not known."""
    return _signed(seconds, format_duration)


def _signed(value: float | None, shown: Callable[[float], str]) -> str:
    if value is None:
        return ""
    if value == 0:
        return "="
    return f"{'+' if value > 0 else '-'}{shown(abs(value))}"


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _status(run: RunRow, lens: Lens) -> str:
    code = f" · exit {run.exit_code}" if run.exit_code else ""
    return f"{lens.look(look_of_run(run))} {run.status}{code}"


def _agent(run: RunRow) -> str:
    model = f" {run.model}" if run.model else ""
    return f"{short_agent(run.agent)}{model} @ {run.node or UNKNOWN}"


def _cost(run: RunRow) -> str:
    return UNKNOWN if run.cost_usd is None else f"${format_cost(run.cost_usd)}"


def _calls(side: Side) -> str:
    failures = f" {side.run.tool_failures}✕" if side.run.tool_failures else ""
    return f"{side.run.tool_calls}{failures}"


def _prompts(comparison: Comparison, lens: Lens) -> str:
    left, right = comparison.left.prompt, comparison.right.prompt
    if left is None or right is None:
        return UNKNOWN
    return lens.words("diff.prompt_same" if left == right else "diff.prompt_other")
