"""`diff`: two runs compared step by step, printed."""

from collections.abc import Mapping
from typing import Final

from runwatch_console.comparing import Comparison, Side, compare
from runwatch_console.comparison import Call, Kind, Pair
from runwatch_console.comparison_text import (
    SIGN_TONES,
    SIGNS,
    call_duration,
    call_text,
    delta_text,
    head_lines,
    summary_text,
)
from runwatch_console.formats import moment_s
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output, Value, csv_text, json_text
from runwatch_console.headless.session import Session
from runwatch_console.headless.texts import cells, coloured, cut, pad
from runwatch_console.lens import Lens
from runwatch_console.ports import Api

_FIELDS: Final = (
    "kind", "tool", "text", "left_seq", "left_status", "left_ms", "right_seq", "right_status",
    "right_ms", "delta_ms",
)  # fmt: skip


async def diff_runs(session: Session, api: Api, left: str, right: str, output: Output) -> ExitCode:
    """Ask for both, align them, and print every step of both once."""
    comparison = await compare(api, left, right)
    lens = session.lens(moment_s((await api.server_info()).server_time) or 0.0)
    match output:
        case Output.TABLE:
            session.printer.write(_table(session, comparison, lens))
            session.printer.say(summary_text(comparison, lens))
        case Output.JSON:
            session.printer.write(f"{json_text(_record(comparison), indent=2)}\n")
        case Output.NDJSON:
            pairs = [f"{json_text(_pair(pair))}\n" for pair in comparison.pairs]
            session.printer.write("".join(pairs))
        case Output.CSV:
            session.printer.write(csv_text([_FIELDS, *map(_csv_line, comparison.pairs)]))
    return ExitCode.DONE


def _table(session: Session, comparison: Comparison, lens: Lens) -> str:
    printer, words = session.printer, session.words
    head = head_lines(comparison, lens)
    labels = [words(line.label) for line in head]
    label_width = max(map(cells, labels))
    width = max(cells(line.left) for line in head)
    lines = [
        f"{pad(label, label_width)}  {pad(line.left, width)}  {line.right}  {line.delta}".rstrip()
        for label, line in zip(labels, head, strict=True)
    ]
    lines.append("")
    for pair in comparison.pairs:
        for sign, call in _sides(pair):
            said = f"{call_text(call)[0]}  {call_duration(call)}".rstrip()
            delta = delta_text(pair) if call is pair.right or pair.right is None else ""
            text = f"{sign} {said}  {delta}".rstrip()
            text = text if printer.width is None else cut(text, printer.width)
            tone = SIGN_TONES[pair.kind] if pair.kind is not Kind.SAME else ""
            lines.append(coloured(text, tone) if printer.colour else text)
    return "".join(f"{line}\n" for line in lines)


def _sides(pair: Pair) -> list[tuple[str, Call]]:
    """One line for what is the same, else one for each side: `A`, `B`."""
    sign = SIGNS[pair.kind]
    if pair.kind is Kind.SAME and pair.right is not None:
        return [(f"{sign}  ", pair.right)]
    sides = (("A", pair.left), ("B", pair.right))
    return [(f"{sign} {name}", call) for name, call in sides if call is not None]


def _record(comparison: Comparison) -> Mapping[str, object]:
    first = comparison.differences[0] if comparison.differences else None
    return {
        "left": _side(comparison.left),
        "right": _side(comparison.right),
        "same": first is None,
        "first_difference": first,
        "differences": len(comparison.differences),
        "pairs": [_pair(pair) for pair in comparison.pairs],
    }


def _side(side: Side) -> Mapping[str, object]:
    run = side.run
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "exit_code": run.exit_code,
        "agent_type": run.agent,
        "node_id": run.node or None,
        "total_tokens": run.tokens,
        "cost_usd": run.cost_usd,
        "tool_calls": run.tool_calls,
        "tool_failures": run.tool_failures,
        "steps_compared": len(side.calls),
        "whole": side.whole,
    }


def _pair(pair: Pair) -> Mapping[str, object]:
    return {
        "kind": pair.kind.value,
        "left": _call(pair.left),
        "right": _call(pair.right),
        "delta_ms": pair.delta_ms,
    }


def _call(call: Call | None) -> Mapping[str, object] | None:
    if call is None:
        return None
    return {
        "seq": call.seq,
        "tool": call.key.tool,
        "text": call.text,
        "status": call.status,
        "duration_ms": call.duration_ms,
    }


def _csv_line(pair: Pair) -> tuple[Value, ...]:
    named = pair.left or pair.right
    return (
        pair.kind.value,
        named.key.tool if named else None,
        named.text if named else None,
        *_csv_side(pair.left),
        *_csv_side(pair.right),
        pair.delta_ms,
    )


def _csv_side(call: Call | None) -> tuple[Value, ...]:
    return (None, None, None) if call is None else (call.seq, call.status, call.duration_ms)
