"""The ledger of a node: what it was given against what it says runs there, row by row, and why."""

from collections.abc import Sequence

from runwatch_console.dialogs.listing import ListDialog
from runwatch_console.machinerows import LEDGER_COLUMNS, LedgerLine, ledger_line
from runwatch_console.messages import RunOpenRequested
from runwatch_console.ports import Api
from runwatch_console.screens.base import Host
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.ledger import LedgerAnswer

_RANK = {"orphan": 0, "phantom": 1, "pending": 2, "matched": 3}


def ledger_sum(answer: LedgerAnswer) -> dict[str, object]:
    """The numbers as texts; `?` for what only the node knows while nobody hears of it."""
    names = ("real", "matched", "phantom", "orphan")
    told = {name: getattr(answer, name) for name in names}
    return {
        "capacity": answer.capacity,
        "allocated": answer.allocated,
        "pending": answer.pending,
        **{name: "?" if value is None else value for name, value in told.items()},
    }


class LedgerDialog(ListDialog[LedgerLine]):
    """Enter opens the run of a row."""

    def __init__(self, host: Host, node_id: str) -> None:
        super().__init__(host, LEDGER_COLUMNS)
        self.node_id = node_id
        self._answer: LedgerAnswer | None = None

    @property
    def title_text(self) -> str:
        """Whose."""
        return self.state.words("ledger.title", node=self.node_id)

    def key_of(self, row: LedgerLine) -> str:
        """Class and what it is."""
        return row.key

    async def load(self, api: Api) -> Sequence[LedgerLine]:
        """What is wrong first."""
        self._answer = await api.ledger(self.node_id)
        lines = [ledger_line(row) for row in self._answer.rows]
        return sorted(lines, key=lambda line: (_RANK.get(line.kind, 4), line.since_s or 0.0))

    def head_text(self) -> str:
        """The numbers, and that some are not known."""
        if self._answer is None:
            return ""
        words = self.state.words
        text = words("ledger.numbers", **ledger_sum(self._answer))
        return text if self._answer.real is not None else f"{text}\n{words('ledger.silent')}"

    def note_text(self) -> str:
        """What the classes mean."""
        words = self.state.words
        return words("ledger.note") if len(self.source) else words("ledger.none")

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Show the run."""
        row = self.row_here
        if row is not None and row.what.startswith("run-"):
            self.dismiss(None)
            self.app.post_message(RunOpenRequested(row.what))
