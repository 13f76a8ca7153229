"""What the runs of a node are started with: proxy, environment and limits; to be looked at."""

import re
from collections.abc import Iterable
from typing import Final

from textual import work
from textual.widget import Widget

from runwatch_console.dialogs.base import Dialog
from runwatch_console.facts import Fact
from runwatch_console.formats import UNKNOWN
from runwatch_console.lens import Lens
from runwatch_console.ops.nodes import environment
from runwatch_console.ports import ApiError
from runwatch_console.recording.masking import MASK
from runwatch_console.rows import short
from runwatch_console.screens.base import Host
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_shared.proxies import EnvConfig
from runwatch_shared.text import clean

MOST_VALUES: Final = 200
_SECRET: Final = re.compile(
    r"key|token|secret|passw|credential|auth|cookie|private|dsn|database_url", re.IGNORECASE
)


def shown_value(name: str, value: str) -> str:
    """The value, but of a name that speaks of a secret, and of an address with a name in it."""
    hidden = _SECRET.search(name) is not None or re.search(r"://[^/\s]*@", value) is not None
    return MASK if hidden else short(value, 400)


def environment_facts(config: EnvConfig, lens: Lens) -> list[Fact]:
    """Proxy, limits, and the environment by name; no password and no key."""
    words = lens.words
    proxy, limits = config.proxy, config.resources
    if proxy is None or not proxy.enabled:
        facts = [Fact("fact.proxy", words("environment.no_proxy"), "muted")]
    else:
        user = f"{short(proxy.username)}@" if proxy.username else ""
        facts = [Fact("fact.proxy", f"{proxy.type}://{user}{short(proxy.host)}:{proxy.port}")]
        if proxy.password:
            facts.append(Fact("", words("environment.password"), "muted"))
        if proxy.no_proxy:
            facts.append(Fact("proxy.no_proxy", short(proxy.no_proxy, 400)))
    memory = _limit(limits.memory_limit if limits is not None else None)
    cpu = _limit(limits.cpu_limit if limits is not None else None)
    facts.append(Fact("fact.memory_limit", memory))
    facts.append(Fact("fact.cpu_limit", cpu))
    names = sorted(config.env_vars or {})
    for index, name in enumerate(names[:MOST_VALUES]):
        value = (config.env_vars or {})[name]
        text = f"{short(name)}={shown_value(name, value)}"
        facts.append(Fact("fact.environment" if index == 0 else "", text))
    if not names:
        facts.append(Fact("fact.environment", words("environment.none"), "muted"))
    return facts


def _limit(value: str | float | None) -> str:
    return UNKNOWN if value is None else short(str(value))


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
