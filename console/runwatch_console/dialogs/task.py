"""One task: what is known of it, and its runs, the newest first."""

from collections.abc import Iterable

from textual import work
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.messages import RunOpenRequested, StartRequested
from runwatch_console.ports import ApiError
from runwatch_console.screens.base import Host
from runwatch_console.taskrows import (
    ATTEMPT_COLUMNS,
    AttemptRow,
    TaskRow,
    attempt_row,
    task_facts,
)
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.table_rows import TableRows
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.text import clean

RUNS = 200


class TaskDialog(Dialog[None]):
    """Enter opens a run; the chord of the Tasks screen starts one more."""

    BINDINGS = bindings_for("task")

    def __init__(self, host: Host, task: TaskRow) -> None:
        super().__init__(host.state)
        self.host = host
        self.task_row = task
        self.source: TableRows[AttemptRow] = TableRows(
            ATTEMPT_COLUMNS, lambda run: run.id, self.state.lens
        )

    @property
    def title_text(self) -> str:
        """The task."""
        return f"{self.task_row.id}  {self.task_row.name}"

    def compose_content(self) -> Iterable[Widget]:
        """Runs first, so that they are in sight, then facts."""
        words, lens = self.state.words, self.state.lens
        yield Static(self.shown(words("task.asking")), id="task-note", markup=False)
        yield VirtualList(self.source, ascii=self.state.preferences.ascii, id="task-runs")
        yield Static(facts_content(task_facts(self.task_row, lens), lens), id="task-facts")

    def on_mount(self) -> None:
        """Ask for the runs."""
        self.query_one("#task-runs").focus()
        self.ask()

    @work(exclusive=True, exit_on_error=False)
    async def ask(self) -> None:
        """The newest runs of the task."""
        connection = await self.host.connection()
        try:
            answer = await connection.api.task_runs(self.task_row.id, limit=RUNS)
        except ApiError as error:
            self._note(clean(error.error, limit=200, fold=True))
            return
        if not self.is_attached:
            return
        self.source.set_rows([attempt_row(run) for run in answer.runs])
        rows = self.query_one("#task-runs", VirtualList)
        rows.styles.height = min(12, max(1, len(self.source)))
        rows.move_rows()
        words = self.state.words
        if not len(self.source):
            self._note(words("task.no_runs"))
        else:
            self._note(
                words(
                    "task.runs", n=len(self.source), total=max(self.task_row.runs, len(self.source))
                )
            )

    def _note(self, text: str) -> None:
        if self.is_attached:
            self.query_one("#task-note", Static).update(Content(self.shown(text)))

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Open the run."""
        if isinstance(event.key, str):
            self.dismiss(None)
            self.app.post_message(RunOpenRequested(event.key))

    def action_start(self) -> None:
        """Start one more run of the task."""
        self.dismiss(None)
        self.app.post_message(StartRequested(self.task_row.id))
