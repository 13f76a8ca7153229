"""`runs --view NAME`: the list as a saved view has it, filter, order and columns."""

from dataclasses import dataclass, replace
from typing import Final

from runwatch_console.columns import RUN_COLUMNS, chosen_columns
from runwatch_console.filters import Filter, FilterError, filter_problem, parse_filter
from runwatch_console.formats import format_count, moment_s
from runwatch_console.headless.exits import ExitCode, usage_error
from runwatch_console.headless.formats import Output
from runwatch_console.headless.listings import RUNS, Listing, whole_id
from runwatch_console.headless.lists import MOST_PAGES, PAGE_ROWS
from runwatch_console.headless.printing import ListPrinter
from runwatch_console.headless.session import Session
from runwatch_console.ordering import SORTS, RunOrder, sort_named
from runwatch_console.ports import Api
from runwatch_console.rows import RunRow
from runwatch_console.views import find_view, views_of
from runwatch_shared.models import WorkflowSummary
from runwatch_shared.text import clean

RunListing = Listing[WorkflowSummary, RunRow]
EVERY_RUN: Final = Filter()


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownView:
    """A view ready to be printed."""

    order: RunOrder
    """Knows which runs match, and sorts them."""
    also: Filter
    """What `--filter` asks beside the view."""
    listing: RunListing

    def matches(self, run: RunRow, now_s: float) -> bool:
        """Whether the view shows a run."""
        return self.order.matches(run, now_s) and self.also.matches(run, now_s)


def view_named(session: Session, name: str, also: Filter) -> ShownView:
    """The view of this name or with this only beginning.

    Raises:
        CommandError: There is none, or its filter means nothing.
    """
    views = views_of(session.settings.views, session.user)
    view = find_view(views, name)
    if view is None:
        names = " ".join(clean(each.name, limit=80, fold=True) for each in views)
        shown = clean(name, limit=80, fold=True)
        raise usage_error(session.words, "view.none", name=shown, names=names)
    saved = view.saved
    try:
        order = RunOrder(chosen=parse_filter(clean(saved.filter)))
    except FilterError as error:
        problem = filter_problem(error, session.words)
        raise usage_error(session.words, "headless.filter", problem=problem) from error
    order.inverted = saved.inverted
    order.sort = sort_named(saved.sort) or SORTS[0]
    order.reversed = saved.reversed
    names_of_columns = saved.columns or session.settings.columns.get("runs", [])
    columns = tuple(map(whole_id, chosen_columns(RUN_COLUMNS, names_of_columns)))
    return ShownView(order=order, also=also, listing=replace(RUNS, columns=columns))


async def print_view(
    session: Session, api: Api, view: ShownView, limit: int, output: Output
) -> ExitCode:
    """The runs of the view in its order, at most `limit`: all are looked at first, to sort them."""
    found: dict[str, WorkflowSummary] = {}
    scanned, pages, cursor = 0, 0, None
    while True:
        page = await api.workflows({"sort": "-attention"}, limit=PAGE_ROWS, cursor=cursor)
        now_s = moment_s(page.server_time) or 0.0
        scanned += len(page.workflows)
        found |= {
            run.id: run for run in page.workflows if view.matches(view.listing.row(run), now_s)
        }
        cursor = page.next_cursor
        pages += 1
        if cursor is None or pages >= MOST_PAGES:
            break
    rows = {run_id: view.listing.row(run) for run_id, run in found.items()}
    ids = view.order.apply(rows, now_s, 0.0)[:limit]
    ListPrinter(view.listing, output, session).whole([found[run_id] for run_id in ids], now_s)
    if output is Output.TABLE:
        facts = {"shown": format_count(len(ids)), "scanned": format_count(scanned)}
        facts["total"] = format_count(page.total) + ("" if page.total_exact else "+")
        word_id = "headless.shown" if cursor is None else "headless.shown_scanned"
        session.printer.say(session.words(word_id, **facts))
    return ExitCode.DONE
