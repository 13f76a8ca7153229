"""`runs` and `nodes`: the list once."""

from collections.abc import Callable
from typing import Final

from runwatch_console.filters import Filter
from runwatch_console.formats import format_count, moment_s
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output
from runwatch_console.headless.listings import NODES, RUNS
from runwatch_console.headless.printing import ListPrinter
from runwatch_console.headless.session import Session
from runwatch_console.ports import Api
from runwatch_console.rows import NodeRow
from runwatch_shared.models import WorkflowSummary

PAGE_ROWS: Final = 1000
MOST_PAGES: Final = 100
"""A filter is judged here: so many rows are looked at, and it is said when there are more."""


async def print_runs(
    session: Session, api: Api, chosen: Filter, limit: int, output: Output
) -> ExitCode:
    """The runs that match, those that need somebody first; at most `limit`."""
    found: list[WorkflowSummary] = []
    scanned, pages, cursor = 0, 0, None
    while True:
        # Without a filter no row is fetched in vain.
        size = PAGE_ROWS if chosen else min(PAGE_ROWS, limit - len(found))
        page = await api.workflows({"sort": "-attention"}, limit=size, cursor=cursor)
        now_s = moment_s(page.server_time) or 0.0
        scanned += len(page.workflows)
        pages += 1
        found += [run for run in page.workflows if chosen.matches(RUNS.row(run), now_s)]
        cursor = page.next_cursor
        if cursor is None or len(found) >= limit or pages >= MOST_PAGES:
            break
    found = found[:limit]
    ListPrinter(RUNS, output, session).whole(found, now_s)
    if output is Output.TABLE:
        total = format_count(page.total) + ("" if page.total_exact else "+")
        _count(session, len(found), total, scanned if chosen and cursor is not None else None)
    return ExitCode.DONE


def _count(session: Session, shown: int, total: str, scanned: int | None) -> None:
    if total == "0":
        session.printer.say(session.words("headless.empty_runs"))
    elif shown == 0 and scanned is None:
        session.printer.say(session.words("headless.no_match", total=total))
    elif scanned is None:
        session.printer.say(session.words("headless.shown", shown=format_count(shown), total=total))
    else:
        facts = {"shown": format_count(shown), "total": total, "scanned": format_count(scanned)}
        session.printer.say(session.words("headless.shown_scanned", **facts))


async def print_nodes(
    session: Session, api: Api, chosen: Callable[[NodeRow], bool], output: Output
) -> ExitCode:
    """The nodes that match."""
    answer = await api.nodes()
    found = [node for node in answer.nodes if chosen(NODES.row(node))]
    ListPrinter(NODES, output, session).whole(found, moment_s(answer.server_time) or 0.0)
    if output is Output.TABLE:
        facts = {"shown": format_count(len(found)), "total": format_count(len(answer.nodes))}
        session.printer.say(session.words("headless.shown", **facts))
    return ExitCode.DONE
