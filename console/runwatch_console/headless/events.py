"""`run ID`: the events of one run, those there are or, with `--follow`, as they come."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from runwatch_console.eventlines import EventLine, event_line
from runwatch_console.formats import (
    TimeFormat,
    format_age,
    format_clock,
    format_count,
    zone_of,
)
from runwatch_console.headless.exits import CommandError, ExitCode, usage_error
from runwatch_console.headless.formats import Output, csv_text, json_text
from runwatch_console.headless.patience import Patience
from runwatch_console.headless.session import Session
from runwatch_console.headless.texts import coloured, cut
from runwatch_console.headless.watching import bear_loss, say_back
from runwatch_console.ports import (
    Api,
    Disconnected,
    EventBatch,
    EventQuery,
    Gap,
    Reconnected,
    RunGone,
    RunStatus,
)
from runwatch_shared.models import NO_PAYLOAD, Event, EventView
from runwatch_shared.text import clean

PAGE_EVENTS: Final = 1000
CSV_FIELDS: Final = ("seq", "timestamp", "type", "level", "text", "payload")


class PrintedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event as contract 5.4 has it, whichever way it came."""

    run_id: str
    seq: int
    epoch: int
    type: str
    timestamp: str
    received_at: str
    level: str
    payload: msgspec.Raw = NO_PAYLOAD


async def print_events(
    session: Session, api: Api, run_id: str, from_seq: int, output: Output
) -> ExitCode:
    """Every event after `from_seq` that there is now."""
    printer = EventPrinter(session, run_id, output)
    printer.begin()
    after = from_seq
    while True:
        page = await api.events(run_id, EventQuery(after_seq=after, limit=PAGE_EVENTS))
        if page.gap is not None:
            printer.gap(page.gap.from_seq, page.gap.to_seq, page.gap.reason)
        printer.events(page.events)
        last = page.events[-1].seq if page.events else after
        if not page.has_after:
            break
        if last <= after:
            raise CommandError(
                ExitCode.FAILED, session.words("headless.not_whole", id=clean(run_id))
            )
        after = last
    printer.finish()
    return ExitCode.DONE


async def follow_events(
    session: Session, api: Api, run_id: str, from_seq: int, output: Output
) -> ExitCode:
    """Every event after `from_seq`, and those to come, until the run ends."""
    # Number and history belong together: 409 tells when another database answers one day.
    store = (await api.server_info()).store
    printer = EventPrinter(session, run_id, output)
    patience = Patience()
    printer.begin()
    async with aclosing(session.network.run_events(store).follow(run_id, from_seq)) as items:
        async for item in items:
            match item:
                case EventBatch():
                    printer.events(item.events)
                case Gap():
                    printer.gap(item.from_seq, item.to_seq, item.reason)
                case RunStatus():
                    printer.ended(item)
                case Reconnected():
                    say_back(session, patience)
                case Disconnected():
                    bear_loss(session, patience, item)
                case RunGone():
                    detail = clean(item.detail, limit=300, fold=True)
                    raise usage_error(
                        session.words, "headless.gone", id=clean(run_id), detail=detail
                    )
    return ExitCode.DONE


class EventPrinter:
    """Prints events in one of the outputs."""

    def __init__(self, session: Session, run_id: str, output: Output) -> None:
        self._session = session
        self._run_id = run_id
        self._output = output
        self._printed = 0

    def begin(self) -> None:
        """What stands before the first event."""
        if self._output is Output.CSV:
            self._write(csv_text([CSV_FIELDS]))

    def events(self, events: Sequence[Event | EventView]) -> None:
        """Events in their order."""
        if not events:
            return
        match self._output:
            case Output.TABLE:
                self._write("".join(self._line(event_line(event)) for event in events))
            case Output.CSV:
                self._write(csv_text(map(_csv_line, events)))
            case Output.NDJSON:
                self._write("".join(f"{json_text(_printed(event))}\n" for event in events))
            case Output.JSON:
                texts = [json_text(_printed(event)) for event in events]
                self._write((",\n" if self._printed else "[\n") + ",\n".join(texts))
        self._printed += len(events)

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        """History that is gone, in its place; JSON and CSV are told on standard error."""
        facts = {"from_seq": from_seq, "to_seq": to_seq, "reason": reason}
        if self._output is Output.NDJSON:
            self._write(f"{json_text({'gap': facts})}\n")
            return
        text = self._session.words(
            "headless.gap",
            from_seq=format_count(from_seq),
            to_seq=format_count(to_seq),
            reason=clean(reason, limit=80, fold=True),
        )
        if self._output is Output.TABLE:
            self._write(f"{text}\n")
        else:
            self._session.printer.say(text)

    def ended(self, end: RunStatus) -> None:
        """The run's end, after its last event."""
        if self._output is Output.NDJSON:
            status = {"status": end.status, "exit_code": end.exit_code, "last_seq": end.last_seq}
            self._write(f"{json_text({'end': status})}\n")
        elif self._output is Output.TABLE:
            exit_text = "" if end.exit_code is None else f" · exit {end.exit_code}"
            facts = {"status": clean(end.status), "exit": exit_text}
            last_seq = format_count(end.last_seq)
            self._write(f"{self._session.words('headless.ended', last_seq=last_seq, **facts)}\n")

    def finish(self) -> None:
        """What stands after the last event."""
        if self._output is Output.JSON:
            self._write("\n]\n" if self._printed else "[]\n")

    def _line(self, line: EventLine) -> str:
        more = " …" if line.more and not line.text.endswith("…") else ""
        text = (
            f"{self._moment(line.time_s)} {line.seq:>6,} {line.glyph} {line.label:<9} "
            f"{line.text}{more}"
        ).rstrip()
        printer = self._session.printer
        if printer.width is not None:
            text = cut(text, printer.width)
        return f"{coloured(text, line.tone) if printer.colour else text}\n"

    def _moment(self, moment_s: float | None) -> str:
        form = TimeFormat[self._session.settings.time.upper()]
        if form is TimeFormat.RELATIVE:
            return format_age(None if moment_s is None else time.time() - moment_s).rjust(8)
        return format_clock(moment_s, zone_of(form))

    def _write(self, text: str) -> None:
        self._session.printer.write(text)


def _printed(event: Event | EventView) -> PrintedEvent:
    return PrintedEvent(
        run_id=event.run_id,
        seq=event.seq,
        epoch=event.epoch,
        type=event.type,
        timestamp=event.timestamp,
        received_at=event.received_at,
        level=event.level,
        payload=event.payload,
    )


def _csv_line(event: Event | EventView) -> tuple[int, str, str, str, str, str]:
    line = event_line(event)
    payload = bytes(event.payload).decode("utf-8", "replace")
    return event.seq, event.timestamp, event.type, event.level, line.text, payload
