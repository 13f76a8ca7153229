"""A run's steps in time: one line each, as bars between its beginning and now."""

from textual.content import Content
from textual.widgets import Static

from runwatch_console.formats import format_duration, moment_s
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.cells import fit
from runwatch_shared.models import Step, WorkflowDetail
from runwatch_shared.text import clean

LINES = 8
NAME_WIDTH = 22
TIME_WIDTH = 9
_STYLES = {
    "open": "$text-primary",
    "succeeded": "$text-success",
    "failed": "$text-error",
    "cancelled": "$foreground-muted",
    "unknown": "$text-secondary",
}


class Timeline(Static):
    """The phases, then the longest and newest tool calls; drawn anew when the detail is another."""

    def __init__(self, state: ConsoleState, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, markup=False)
        self._drawn: object = None
        self.state = state

    def show(self, state: ConsoleState, detail: WorkflowDetail | None) -> None:
        """Bring it up to the detail."""
        width = self.size.width
        drawn = (id(detail), width, int(state.server_now_s) // 5)
        if drawn == self._drawn or not width:
            return
        self._drawn = drawn
        if detail is None or not detail.steps:
            self.update(Content(""))
            return
        self.update(timeline_content(detail, width, state))


def chosen_steps(steps: list[Step]) -> list[Step]:
    """The steps there is room for: failed, open and newest ones, in order of time."""
    ranked = sorted(
        range(len(steps)),
        key=lambda i: (steps[i].status != "failed", steps[i].status != "open", -i),
    )
    return [steps[i] for i in sorted(ranked[:LINES])]


def timeline_content(detail: WorkflowDetail, width: int, state: ConsoleState) -> Content:
    """The bars; the first one begins at the left edge, now is the right edge."""
    begin = min((moment_s(step.started_at) or 0.0 for step in detail.steps), default=0.0)
    ends = [moment_s(step.ended_at) for step in detail.steps]
    last = max((end for end in ends if end is not None), default=begin)
    if any(step.status == "open" for step in detail.steps):
        last = max(last, state.server_now_s)
    span = max(last - begin, 0.001)
    room = max(10, width - NAME_WIDTH - TIME_WIDTH - 4)
    title = state.words("detail.steps", n=f"{detail.steps_total:,}", span=format_duration(span))
    lines = [Content.styled(title, "bold")]
    for step in chosen_steps(detail.steps):
        started = moment_s(step.started_at) or begin
        ended = moment_s(step.ended_at)
        ended = last if ended is None else ended
        first = min(room - 1, int((started - begin) / span * room))
        length = max(1, min(room - first, round((ended - started) / span * room)))
        bar = "·" * first + "━" * length + "·" * (room - first - length)
        lines.append(
            Content.assemble(
                fit(clean(step.name, limit=80, fold=True), NAME_WIDTH),
                " ",
                ("·" * first, "$foreground-disabled"),
                (bar[first : first + length], _STYLES.get(step.status, "")),
                ("·" * (room - first - length), "$foreground-disabled"),
                (
                    f" {format_duration(max(0.0, ended - started)):>{TIME_WIDTH}}",
                    "$foreground-muted",
                ),
            )
        )
    return Content("\n").join(lines)
