"""Screens 5 and 7: they say what this server cannot tell yet, and show what it can."""

from collections.abc import Iterable

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget

from runwatch_console.columns import logins_cell
from runwatch_console.facts import Fact
from runwatch_console.screens.base import ConsoleScreen, Host
from runwatch_console.statustext import Span
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.quiet_text import QuietText


class AbsentScreen(ConsoleScreen):
    """Base: a paragraph on what is missing, then facts there are."""

    OWNERS = ("app",)
    COUNTS = True
    NAME = ""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._drawn: object = None

    def compose_body(self) -> Iterable[Widget]:
        """Text that scrolls."""
        with VerticalScroll(id="absent"):
            yield QuietText(id="absent-text")

    def title_spans(self) -> tuple[Span, ...]:
        """The screen's name."""
        return ((self.state.words(f"screen.{self.NAME}"), "title"),)

    def facts(self) -> list[Fact]:
        """What there is."""
        raise NotImplementedError

    def show_state(self) -> None:
        """Draw again when a fact is another."""
        facts = self.facts()
        if facts == self._drawn:
            return
        self._drawn = facts
        text = Content(self.state.words(f"absent.{self.NAME}"))
        content = Content("\n\n").join([text, facts_content(facts, self.state.lens)])
        self.query_one("#absent-text", QuietText).say(content)


class AuthScreen(AbsentScreen):
    """Screen 5: logins of agents. Without the server's part, what nodes say of theirs."""

    NAME = "auth"

    def facts(self) -> list[Fact]:
        """One line a node that says anything of its logins."""
        lens = self.state.lens
        return [
            Fact(
                "fact.logins",
                f"{node.name}: {logins_cell(node, lens)[0]}",
                logins_cell(node, lens)[1],
            )
            for node in sorted(self.state.fleet.nodes.values(), key=lambda node: node.name)
            if node.logins
        ]


class TasksScreen(AbsentScreen):
    """Screen 7: tasks. Their numbers come with the feed, their list does not."""

    NAME = "tasks"

    def facts(self) -> list[Fact]:
        """Tasks by status."""
        stats = self.state.fleet.stats
        if stats is None:
            return []
        counts = [Fact("fact.tasks", f"{stats.total_tasks:,}")]
        return counts + [
            Fact("", f"{count:,} {self.state.words('task.' + status)}", "muted")
            for status, count in stats.tasks_by_status.items()
            if count
        ]
