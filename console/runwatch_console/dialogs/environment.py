"""What the runs of a node are started with: proxy, environment and limits; to be looked at."""

from collections.abc import Iterable

from textual import work
from textual.widget import Widget

from runwatch_console.dialogs.base import Dialog
from runwatch_console.machinefacts import environment_facts
from runwatch_console.ops.nodes import environment
from runwatch_console.ports import ApiError
from runwatch_console.screens.base import Host
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_shared.text import clean


class EnvironmentDialog(Dialog[None]):
    """See the module."""

    def __init__(self, host: Host, node_id: str) -> None:
        super().__init__(host.state)
        self.host = host
        self.node_id = node_id

    @property
    def title_text(self) -> str:
        """Whose."""
        return self.state.words("environment.title", node=self.node_id)

    def compose_content(self) -> Iterable[Widget]:
        """What is known by now, then what it is for."""
        yield QuietText(id="environment-facts")
        yield QuietText(id="environment-note")

    def on_mount(self) -> None:
        """Ask."""
        self._say(self.state.words("task.asking"))
        self.ask()

    def _say(self, text: str) -> None:
        self.query_one("#environment-note", QuietText).say(self.shown(text))

    @work(exclusive=True, exit_on_error=False)
    async def ask(self) -> None:
        """Once."""
        connection = await self.host.connection()
        words = self.state.words
        try:
            config = await environment(connection.api, self.node_id)
        except ApiError as error:
            if self.is_attached:
                text = clean(error.error, limit=300, fold=True)
                self._say(words("api.refused", error=text))
            return
        if self.is_attached:
            lens = self.host.state.lens
            facts = facts_content(environment_facts(config, lens), lens)
            self.query_one("#environment-facts", QuietText).say(facts)
            self._say(words("environment.note"))
