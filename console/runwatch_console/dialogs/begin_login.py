"""A login to begin: which agent, by which method, for which account, on which node."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

from textual import on, work
from textual.widgets import Select

from runwatch_console.dialogs.form import Field, FormDialog, FormError
from runwatch_console.ops.logins import agent_types, begin_login
from runwatch_console.ops.proxies import proxies
from runwatch_console.ports import ApiError, Asking
from runwatch_console.screens.base import Host
from runwatch_shared.logins import LoginConfig, OperationMade, OperationRequest, OperationType
from runwatch_shared.text import clean

METHODS: Final[Mapping[str, Sequence[str]]] = {
    "claude-code": ("oauth", "api_key"),
    "openai-codex": ("device_code", "api_key"),
    "gemini-cli": ("oauth", "api_key"),
    "qwen-code": ("oauth", "api_key"),
}
"""What is offered until the server has said what it has (contract 13)."""
KEY: Final = "api_key"
NO_PROXY: Final = ""
_NAME: Final = re.compile(r"[A-Za-z0-9@._ -]{1,64}")


class BeginLoginDialog(FormDialog[OperationMade]):
    """Answers what was begun. `agent`, `account` and `node`: what the fields begin with."""

    SUBMIT = "login.begin"
    FIELD_OF = {
        "type": "method",
        "node_id": "node",
        "config.name": "account",
        "config.agent_type": "agent",
        "config.api_key": "key",
        "config.proxy_id": "proxy",
    }

    def __init__(self, host: Host, *, agent: str = "", account: str = "", node: str = "") -> None:
        self._methods: Mapping[str, Sequence[str]] = METHODS
        self._agent, self._account, self._node = agent, account, node
        super().__init__(host)

    @property
    def title_text(self) -> str:
        """Whose login, if that is known."""
        if self._account:
            return self.state.words("login.renew_title", account=self._account)
        return self.state.words("login.begin_title")

    def make_fields(self) -> Iterable[Field]:
        """A key only where it is asked for, a proxy only where there is one."""
        agents = list(dict.fromkeys([*([self._agent] if self._agent else []), *self._methods]))
        agent = self._agent or agents[0]
        yield Field(
            id="agent",
            label="new.agent",
            kind="choice",
            value=agent,
            choices=[(each, each) for each in agents],
        )
        yield Field(
            id="method", label="login.method", kind="choice", choices=self._method_choices(agent)
        )
        yield Field(
            id="account",
            label="fact.account",
            value=self._account,
            hint="login.account_hint",
            longest=64,
        )
        yield Field(id="node", label="fact.node", kind="choice", choices=self._node_choices(agent))
        yield Field(id="key", label="login.key", kind="secret", hint="login.key_hint", longest=4096)
        yield Field(
            id="proxy",
            label="login.proxy",
            kind="choice",
            choices=[(self.state.words("login.no_proxy"), NO_PROXY)],
        )

    def _method_choices(self, agent: str) -> list[tuple[str, str]]:
        words = self.state.words
        known = get_args(OperationType)
        methods = [each for each in self._methods.get(agent, known) if each in known]
        return [(words(f"method.{each}"), each) for each in methods or known]

    def _node_choices(self, agent: str) -> list[tuple[str, str]]:
        """Nodes that can be reached; first the one that was asked for, then those with the
        agent.
        """
        nodes = [node for node in self.state.fleet.nodes.values() if node.reachable]
        nodes.sort(key=lambda node: (node.id != self._node, agent not in node.agents, node.name))
        shown = [(node.name, node.id) for node in nodes]
        return shown or [(self.state.words("login.no_node"), "")]

    def on_mount(self) -> None:
        """Begin at the account; meanwhile the server is asked what it offers."""
        self.show_field("proxy", False)
        self._fit()
        self.begin()
        self.ask_server()

    def begin(self) -> None:
        """The account is what has to be typed."""
        self.query_one("#field-agent" if self._account else "#field-account").focus()

    @on(Select.Changed, "#field-agent")
    def _agent_chosen(self) -> None:
        self.choose_from("method", self._method_choices(self.values()["agent"]))
        self._fit()

    @on(Select.Changed, "#field-method")
    def _method_chosen(self) -> None:
        self._fit()

    def _fit(self) -> None:
        self.show_field("key", self.values()["method"] == KEY)

    @work(exclusive=True, group="offers", exit_on_error=False)
    async def ask_server(self) -> None:
        """Which agents and methods there are, and which proxies; without an answer what is usual
        stays.
        """
        connection = await self.host.connection()
        try:
            kinds = await agent_types(connection.api)
        except ApiError as error:
            self.say_error("", clean(error.error, limit=300, fold=True))
            return
        if not self.is_attached or not kinds:
            return
        self._methods = {clean(kind.id, limit=80): kind.login_methods for kind in kinds}
        self.choose_from("agent", [(each, each) for each in self._methods])
        self.choose_from("method", self._method_choices(self.values()["agent"]))
        self._fit()
        try:
            known = await proxies(connection.api)
        except ApiError:
            return
        if known and self.is_attached:
            choices = [(clean(each.name, limit=60, fold=True), each.id) for each in known]
            none = (self.state.words("login.no_proxy"), NO_PROXY)
            self.choose_from("proxy", [none, *choices])
            self.show_field("proxy", True)

    async def send(self, api: Asking, values: Mapping[str, str]) -> OperationMade:
        """Begin it."""
        name, key = values["account"].strip(), values["key"].strip()
        if not _NAME.fullmatch(name):
            raise FormError("account", "login.name_rule")
        if not values["node"]:
            raise FormError("node", "login.no_node")
        method = values["method"]
        if method == KEY and not key:
            raise FormError("key", "new.missing")
        config = LoginConfig(
            name=name,
            agent_type=values["agent"],
            proxy_id=values["proxy"] or None,
            api_key=key if method == KEY else None,
        )
        request = OperationRequest(type=method, config=config, node_id=values["node"])  # type: ignore[arg-type]  # one of the choices
        return await begin_login(api, request)
