"""`explain` of a node: what it was given against what it says runs there, row by row."""

from collections.abc import Mapping
from typing import Final

from runwatch_console.formats import moment_s
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output, Value, csv_text, json_text
from runwatch_console.headless.session import Session
from runwatch_console.headless.texts import coloured, cut, pad
from runwatch_console.lens import Lens
from runwatch_console.ports import Api
from runwatch_shared.ledger import LedgerAnswer, LedgerClass, LedgerRow
from runwatch_shared.text import clean

_TONES: Final[Mapping[LedgerClass, str]] = {
    "phantom": "stalled",
    "orphan": "stalled",
    "pending": "queued",
    "matched": "done",
}
_FIELDS: Final = ("class", "run_id", "ref", "epoch", "since", "reason")
_CLASS_CELLS: Final = 8
_ID_CELLS: Final = 20


async def explain_node(session: Session, api: Api, node_id: str, output: Output) -> ExitCode:
    """Ask, and print: the numbers, then a row for each run, process and container.

    Raises:
        ApiError: The ledger could not be had.
    """
    ledger = await api.ledger(node_id)
    match output:
        case Output.TABLE:
            session.printer.write(_table(session, ledger))
        case Output.JSON:
            session.printer.write(f"{json_text(ledger, indent=2)}\n")
        case Output.NDJSON:
            session.printer.write(f"{json_text(ledger)}\n")
        case Output.CSV:
            session.printer.write(csv_text([_FIELDS, *map(_line, ledger.rows)]))
    return ExitCode.DONE


def ledger_text(ledger: LedgerAnswer, lens: Lens) -> str:
    """The numbers in one line, as two sums; what an offline node runs is not known."""
    if ledger.real is None:
        return lens.words("fact.ledger_unknown", n=ledger.allocated)
    return lens.words(
        "fact.ledger_counts",
        allocated=ledger.allocated,
        pending=ledger.pending,
        matched=ledger.matched,
        phantom=ledger.phantom,
        real=ledger.real,
        orphan=ledger.orphan,
    )


def _table(session: Session, ledger: LedgerAnswer) -> str:
    printer = session.printer
    lens = session.lens(moment_s(ledger.as_of) or 0.0)
    slots = session.words("fact.slot_counts", used=ledger.allocated, all=ledger.capacity)
    lines = [f"{clean(ledger.node_id, limit=128, fold=True)}  {slots}", ledger_text(ledger, lens)]
    for row in ledger.rows:
        name = clean(row.run_id or row.ref or "?", limit=128, fold=True)
        reason = clean(row.reason, limit=300, fold=True)
        kind = session.words(f"ledger.{row.class_}")
        since = lens.since(moment_s(row.since))
        text = f"{pad(kind, _CLASS_CELLS)}  {name:<{_ID_CELLS}}  {reason} · {since}"
        text = text if printer.width is None else cut(text, printer.width)
        lines.append(coloured(text, _TONES[row.class_]) if printer.colour else text)
    return "".join(f"{line}\n" for line in lines)


def _line(row: LedgerRow) -> tuple[Value, ...]:
    return (row.class_, row.run_id, row.ref, row.epoch, row.since, row.reason)
