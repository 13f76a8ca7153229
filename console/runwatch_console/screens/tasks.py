"""Screen 7: the tasks, newest first, filtered by the server, read page by page."""

from collections.abc import Iterable, Sequence

from textual import work
from textual.content import Content
from textual.widget import Widget

from runwatch_console.filters import FilterError, filter_problem
from runwatch_console.messages import (
    CancelRequested,
    ExplainRequested,
    StartRequested,
    TaskOpenRequested,
)
from runwatch_console.ports import ApiError
from runwatch_console.screens.base import Host
from runwatch_console.screens.empty import waiting_text
from runwatch_console.screens.table import TableScreen
from runwatch_console.statustext import Span
from runwatch_console.taskfilter import complete_task_filter, parse_task_filter
from runwatch_console.taskrows import TASK_COLUMNS, TaskRow, attempt_row, task_facts, task_row
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.column_header import ColumnHeader
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.table_rows import TableRows
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.text import clean

PAGE = 200
MOST_ROWS = 1_000
"""Rows that are asked for again when the tasks change; further pages are read anew on the way."""
MOST_PAGES = 50
"""Of a task's runs that are looked at for those under way."""
AGAIN_S = 3.0
"""The list is asked for again at most so often, and only after tasks changed."""
AFTER_PROBLEM_S = 10.0
Query = dict[str, list[str]]


class TasksScreen(TableScreen):
    """See the module."""

    BINDINGS = bindings_for("tasks")
    OWNERS = ("list", "tasks", "browse", "app")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.source: TableRows[TaskRow] = TableRows(
            TASK_COLUMNS, lambda task: task.id, self.state.lens
        )
        self.filter_text = ""
        self.query_now: Query = {}
        self.total: int | None = None
        self.total_exact = True
        self.problem = ""
        self._cursor: str | None = None
        self._asking = False
        self._counted: object = None
        self._asked_mono_s = float("-inf")
        self._facts: object = None

    def compose_body(self) -> Iterable[Widget]:
        """Header, table, and the facts of the task under the cursor."""
        yield ColumnHeader(self.source.columns, self.state, id="header")
        yield VirtualList(self.source, ascii=self.state.preferences.ascii, id="rows")
        yield QuietText(id="empty")
        yield QuietText(id="facts")

    @property
    def task_here(self) -> TaskRow | None:
        """The task under the cursor."""
        return self.source.row_of(self.rows.cursor_key)

    @property
    def run_id_here(self) -> str:
        """The newest run of the task under the cursor."""
        task = self.task_here
        return task.last_run if task is not None else ""

    def title_spans(self) -> tuple[Span, ...]:
        """`Tasks 200 of 5,000 │ filter: s:failed`."""
        words = self.state.words
        total = "?" if self.total is None else f"{self.total:,}{'' if self.total_exact else '+'}"
        tone = "muted" if self.state.stale else "title"
        spans: list[Span] = [(words("tasks.count", n=f"{len(self.source):,}", total=total), tone)]
        if self.filter_text:
            spans += [(" │ ", "muted"), (f"{words('runs.filter')}: ", "muted")]
            spans.append((self.filter_text, "accent"))
        return tuple(spans)

    # State.

    def show_state(self) -> None:
        """Ages go on; the list is asked for again when the numbers of tasks are others."""
        state = self.state
        self.source.lens = state.lens
        self.rows.touch_rows()
        self._show_facts()
        self._show_empty()
        stats = state.fleet.stats
        counted = None if stats is None else (stats.total_tasks, dict(stats.tasks_by_status))
        if counted != self._counted or self.total is None:
            self._load_if_due(counted)

    def _load_if_due(self, counted: object) -> None:
        """Not too often, not behind a hidden screen, and not while somebody reads far down: those
        rows would not all come again.
        """
        state = self.state
        pace_s = AFTER_PROBLEM_S if self.problem else AGAIN_S
        rested = state.now_mono_s - self._asked_mono_s >= pace_s
        if not (rested and self.in_sight and state.link.connected):
            return
        if self.rows.cursor < MOST_ROWS:
            self._counted = counted
            self.load()

    def _show_empty(self) -> None:
        words = self.state.words
        text = ""
        if self.problem and not len(self.source):
            text = words("tasks.problem", error=self.problem)
        elif self.total is None:
            text = waiting_text(self.state)
        elif not len(self.source) and self.filter_text:
            text = words("empty.no_task_match", filter=self.filter_text)
        elif not len(self.source):
            text = words("empty.no_tasks")
        self.query_one("#empty", QuietText).say(Content(text))
        self.set_class(bool(text), "-empty")

    def _show_facts(self) -> None:
        task, lens = self.task_here, self.state.lens
        facts = [] if task is None else task_facts(task, lens)
        if facts != self._facts:
            self._facts = facts
            self.query_one("#facts", QuietText).say(facts_content(facts, lens))

    # The server.

    def load(self) -> None:
        """Ask for the list anew, as many rows as there are."""
        self._asking = True
        self._asked_mono_s = self.state.now_mono_s
        limit = min(MOST_ROWS, max(PAGE, len(self.source)))
        self.read_tasks(self.query_now, limit, None)

    @work(exclusive=True, group="tasks", exit_on_error=False)
    async def read_tasks(self, query: Query, limit: int, cursor: str | None) -> None:
        """One page: the first in place of all, a later one behind the others."""
        connection = await self.host.connection()
        try:
            page = await connection.api.tasks(query, limit=limit, cursor=cursor)
        except ApiError as error:
            self.problem = clean(error.error, limit=200, fold=True)
            if self.is_whole:
                self._show_empty()
                if len(self.source):
                    self.tell("api.failed", error=self.problem)
            return
        finally:
            self._asking = False
        if query != self.query_now or not self.is_whole:
            return
        self.problem = ""
        self.total, self.total_exact = page.total, page.total_exact
        self._cursor = page.next_cursor
        rows = [task_row(task) for task in page.tasks]
        self._show_rows(rows if cursor is None else [*self.source.rows, *rows])

    def _show_rows(self, rows: Sequence[TaskRow]) -> None:
        self.source.set_rows(rows)
        self.rows.move_rows()
        self._show_facts()
        self._show_empty()
        self.show_frame()

    def on_virtual_list_moved(self, event: VirtualList.Moved) -> None:
        """Facts follow the cursor; near the end the next page is asked for."""
        self._show_facts()
        near = self.rows.cursor >= len(self.source) - PAGE // 4
        if near and self._cursor is not None and not self._asking:
            self._asking = True
            self.read_tasks(self.query_now, PAGE, self._cursor)

    def on_screen_resume(self) -> None:
        """Look again."""
        super().on_screen_resume()
        self._counted = None

    # Filter.

    async def action_filter(self) -> None:
        """Type a filter."""
        await self.open_prompt("filter", self.filter_text, complete_task_filter)

    def set_filter(self, text: str, *, typing: bool = False) -> str:
        """Ask for what matches; gives what is wrong with the text, and then the old one stays."""
        try:
            query = parse_task_filter(clean(text), typing=typing)
        except FilterError as error:
            return filter_problem(error, self.state.words)
        self.filter_text = text.strip()
        if query != self.query_now:
            self.query_now = query
            self.load()
        self.show_frame()
        return ""

    def filter_typed(self, text: str) -> None:
        """What is wrong is said while one types; the server is asked at the end."""
        try:
            parse_task_filter(clean(text), typing=True)
        except FilterError as error:
            self.prompt.show_problem(filter_problem(error, self.state.words))
            return
        self.prompt.show_problem("")

    def filter_submitted(self, text: str) -> None:
        """A filter that means nothing is said, and does not count."""
        if problem := self.set_filter(text):
            text = self.state.words("filter.kept", problem=problem)
            self.notify(text, severity="warning", markup=False, timeout=8)

    async def take_filter(self, text: str) -> None:
        """From a command."""
        self.filter_submitted(text)

    def action_escape(self) -> None:
        """The search, then the filter."""
        if self.needle is None and self.filter_text:
            self.set_filter("")
        else:
            super().action_escape()

    # Actions.

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """The task with its runs."""
        if (task := self.task_here) is not None:
            self.post_message(TaskOpenRequested(task))

    async def action_peek(self) -> None:
        """The same."""
        await self.rows.action_open()

    def action_start(self) -> None:
        """Start one more run of the task."""
        if (task := self.task_here) is not None:
            self.post_message(StartRequested(task.id))

    def action_explain(self) -> None:
        """Why its newest run is as it is."""
        if self.run_id_here:
            self.post_message(ExplainRequested(self.run_id_here))

    def action_cancel(self) -> None:
        """Cancel the task's runs that are under way; asks first."""
        task = self.task_here
        if task is not None and task.active:
            self.cancel_runs_of(task.id, task.active)
        elif task is not None:
            self.tell("cancel.none")

    @work(exclusive=True, group="cancel", exit_on_error=False)
    async def cancel_runs_of(self, task_id: str, active: int) -> None:
        """Find the runs under way, `active` of them or more, however old, then ask."""
        api = (await self.host.connection()).api
        live: list[str] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            try:
                page = await api.task_runs(task_id, limit=PAGE, cursor=cursor)
            except ApiError as error:
                self.tell("api.failed", error=clean(error.error, limit=200, fold=True))
                return
            live += [row.id for row in map(attempt_row, page.runs) if not row.ended]
            cursor = page.next_cursor
            if cursor is None or len(live) >= active:
                break
        if len(live) < active:
            self.tell("tasks.cancel_some", n=len(live), active=active)
        self.post_message(CancelRequested(live))

    def action_copy_id(self) -> None:
        """Copy the task's id."""
        if (task := self.task_here) is not None:
            self.copy(task.id)
