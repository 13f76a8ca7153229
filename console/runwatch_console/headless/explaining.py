"""`explain`: why a run is as it is, printed."""

from collections.abc import Mapping
from typing import Final

from runwatch_console.explanation import explanation
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output, Value, csv_text, json_text
from runwatch_console.headless.session import Session
from runwatch_console.headless.texts import cells, coloured, cut, pad
from runwatch_console.inquiry import Evidence, Inquiry, inquire
from runwatch_console.lens import Lens
from runwatch_console.ports import Api

_FIELDS: Final = ("kind", "what", "text", "seq", "time_s")


async def explain_run(session: Session, api: Api, run_id: str, output: Output) -> ExitCode:
    """Ask, and print: facts, then the events that show them."""
    inquiry = await inquire(api, run_id)
    lens = session.lens(_now_s(inquiry))
    match output:
        case Output.TABLE:
            session.printer.write(_table(session, inquiry, lens))
        case Output.JSON:
            session.printer.write(f"{json_text(_record(inquiry, lens), indent=2)}\n")
        case Output.NDJSON:
            session.printer.write(f"{json_text(_record(inquiry, lens))}\n")
        case Output.CSV:
            session.printer.write(csv_text([_FIELDS, *_lines(inquiry, lens)]))
    if inquiry.problem:
        session.printer.say(session.words("explain.partly", error=inquiry.problem))
    return ExitCode.DONE


def _now_s(inquiry: Inquiry) -> float:
    """The server's clock when it answered; else the newest moment it named."""
    run = inquiry.run
    known = (inquiry.server_s, run.last_activity_s, run.updated_s, run.created_s)
    return next((moment for moment in known if moment is not None), 0.0)


def _facts(inquiry: Inquiry, lens: Lens) -> list[tuple[str, str, str]]:
    """Id, text and tone of each; a fact without a label goes on with the one before."""
    facts, label = [], ""
    for fact in explanation(inquiry.run, inquiry.detail, lens, inquiry.thresholds):
        label = fact.label or label
        facts.append((label.removeprefix("explain."), fact.text, fact.tone))
    return facts


def _table(session: Session, inquiry: Inquiry, lens: Lens) -> str:
    printer, words = session.printer, session.words
    facts = explanation(inquiry.run, inquiry.detail, lens, inquiry.thresholds)
    labels = [words(fact.label) if fact.label else "" for fact in facts]
    width = max(map(cells, labels))
    lines = [f"{inquiry.run.id}  {inquiry.run.name}"]
    for label, fact in zip(labels, facts, strict=True):
        room = None if printer.width is None else printer.width - width - 2
        text = fact.text if room is None else cut(fact.text, max(10, room))
        shown = coloured(text, fact.tone) if printer.colour else text
        lines.append(f"{pad(label, width)}  {shown}".rstrip())
    for piece in inquiry.evidence:
        why, line = words(f"evidence.{piece.why}"), piece.line
        text = f"[{line.seq:,}] {why}: {line.glyph} {line.label} {line.text}"
        text = text if printer.width is None else cut(text, printer.width)
        lines.append(coloured(text, line.tone) if printer.colour else text)
    return "".join(f"{line}\n" for line in lines)


def _record(inquiry: Inquiry, lens: Lens) -> Mapping[str, object]:
    run = inquiry.run
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "state": run.state,
        "health": run.health,
        "thresholds": dict(inquiry.thresholds),
        "facts": [{"fact": name, "text": text} for name, text, _ in _facts(inquiry, lens)],
        "evidence": [_evidence(piece) for piece in inquiry.evidence],
        "problem": inquiry.problem or None,
    }


def _evidence(piece: Evidence) -> Mapping[str, object]:
    line = piece.line
    return {
        "why": piece.why,
        "seq": line.seq,
        "time_s": line.time_s,
        "type": line.type,
        "level": line.level,
        "text": f"{line.label} {line.text}".strip(),
    }


def _lines(inquiry: Inquiry, lens: Lens) -> list[tuple[Value, ...]]:
    facts: list[tuple[Value, ...]] = [
        ("fact", name, text, None, None) for name, text, _ in _facts(inquiry, lens)
    ]
    return facts + [
        ("event", piece.why, f"{piece.line.label} {piece.line.text}".strip(), piece.line.seq,
         piece.line.time_s)
        for piece in inquiry.evidence
    ]  # fmt: skip
