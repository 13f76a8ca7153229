"""The left pane of a run: its lanes and its tool ledger, by time spent, failures never folded
away.
"""

from textual.content import Content
from textual.widgets import Static

from runwatch_console.formats import format_amount, format_duration
from runwatch_console.lens import Lens
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.cells import fit
from runwatch_shared.models import Lane, ToolTotal, WorkflowDetail
from runwatch_shared.text import clean

_LANE_SIGNS = {"running": "●", "waiting": "◐", "done": "✓", "completed": "✓", "failed": "✕"}


class RunSides(Static):
    """Drawn anew only when the detail is another."""

    def __init__(self, state: ConsoleState, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, markup=False)
        self._drawn: object = None
        self.state = state

    def show(self, state: ConsoleState, detail: WorkflowDetail | None) -> None:
        """Bring it up to the detail."""
        self.state = state
        drawn = (id(detail), self.size.width, state.stale)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        if detail is None:
            self.update(Content.styled(state.words("detail.loading"), "$foreground-muted"))
            return
        width = max(16, self.size.width - 2)
        lines = [Content.styled(state.words("detail.lanes", n=len(detail.lanes)), "bold")]
        lines += [lane_content(lane, width) for lane in detail.lanes]
        calls = sum(tool.calls for tool in detail.tools)
        lines += [Content(""), Content.styled(state.words("detail.tools", n=calls), "bold")]
        lines += [tool_content(tool, width, state.lens) for tool in tools_by_need(detail.tools)]
        self.update(Content("\n").join(lines))


def tools_by_need(tools: list[ToolTotal]) -> list[ToolTotal]:
    """Tools by time spent; those with failures come first, so that none is below the edge."""
    return sorted(tools, key=lambda tool: (tool.failures == 0, -tool.total_ms, tool.tool))


def lane_content(lane: Lane, width: int) -> Content:
    """One lane: sign, name, the tool it is in, its counts."""
    counts = f"{lane.tool_calls}" + (f" {lane.tool_failures}✕" if lane.tool_failures else "")
    tool = f" {clean(lane.open_tool, limit=30, fold=True)}" if lane.open_tool else ""
    name = f"{_LANE_SIGNS.get(lane.state, '·')} {clean(lane.lane, limit=40, fold=True)}{tool}"
    return Content.assemble(fit(name, width - len(counts) - 1), (f" {counts}", "$foreground-muted"))


def tool_content(tool: ToolTotal, width: int, lens: Lens) -> Content:
    """One tool: name, calls, failures, time."""
    spent = format_duration(tool.total_ms / 1000)
    failures = f"{format_amount(tool.failures)}✕" if tool.failures else ""
    open_sign = "▶" if tool.open else " "
    right = f"{format_amount(tool.calls):>5}"
    name_width = max(6, width - 5 - 6 - 8 - 1)
    return Content.assemble(
        fit(f"{open_sign}{clean(tool.tool, limit=60, fold=True)}", name_width),
        right,
        (f"{failures:>6}", "$text-error"),
        (f"{spent:>8}", "$foreground-muted"),
    )
