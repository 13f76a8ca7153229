"""The proxies: added, changed, made the default, tested from server and node, deleted."""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, get_args

from msgspec import UNSET

from runwatch_console.dialogs.form import Field, FormDialog, FormError
from runwatch_console.dialogs.listing import ListDialog
from runwatch_console.machinefacts import outcome_text
from runwatch_console.machinerows import PROXY_COLUMNS, ProxyRow, proxy_row
from runwatch_console.ops import proxies as ops
from runwatch_console.ops.nodes import try_node_proxy
from runwatch_console.ports import Api, ApiError, Asking
from runwatch_console.screens.base import Host
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.proxies import Proxy, ProxyInput, ProxyTestAnswer, ProxyType
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.answers import Answers

MOST_PORT = 65_535


class ProxiesDialog(ListDialog[ProxyRow]):
    """`a` adds, Enter changes, `s` makes the default, `t` tests, a chord deletes after a
    question.
    """

    BINDINGS = bindings_for("proxies")

    def __init__(self, host: Host, answers: "Answers", node_id: str) -> None:
        super().__init__(host, PROXY_COLUMNS)
        self.answers = answers
        self.node_id = node_id
        self._tested = ""

    @property
    def title_text(self) -> str:
        """Proxies."""
        return self.state.words("proxy.title")

    def key_of(self, row: ProxyRow) -> str:
        """The id."""
        return row.id

    async def load(self, api: Api) -> Sequence[ProxyRow]:
        """The default first, then by name."""
        found = [proxy_row(each) for each in await ops.proxies(api)]
        return sorted(found, key=lambda row: (not row.default, row.name, row.id))

    def note_text(self) -> str:
        """How the last test went, and what the keys do."""
        words = self.state.words
        keys = words("proxy.keys") if len(self.source) else words("proxy.none")
        if self.node_id and len(self.source):
            keys = f"{keys}\n{words('proxy.keys_node', node=self.node_id)}"
        return f"{self._tested}\n{keys}" if self._tested else keys

    def _may_change(self) -> bool:
        """Proxies are an administrator's; the server has the last word."""
        return self.answers.may_write()

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Change it."""
        if (row := self.row_here) is not None and self._may_change():
            self.app.push_screen(ProxyDialog(self.host, row), self._kept)

    def action_add(self) -> None:
        """Add one."""
        if self._may_change():
            self.app.push_screen(ProxyDialog(self.host, None), self._kept)

    def _kept(self, kept: Proxy | None) -> None:
        if kept is not None:
            self.notify(self.state.words("proxy.kept"), markup=False, timeout=4)
            self.ask()

    def action_make_default(self) -> None:
        """Use the one under the cursor where no other is named."""
        row = self.row_here
        if row is not None and self._may_change():
            request = ProxyInput(is_default=True)
            done = partial(ops.change_proxy, proxy_id=row.id, request=request)
            self.answers.work(self.answers.done(done, "proxy.kept", self.ask), "write")

    def action_test(self) -> None:
        """Whether the server gets out through the one under the cursor."""
        row = self.row_here
        if row is not None and self._may_change():
            test = partial(ops.try_proxy, proxy_id=row.id)
            self.answers.work(self._test(test, row.name), "write")

    def action_test_from_node(self) -> None:
        """Whether the node gets out through what it is given."""
        if not self.node_id:
            self.notify(self.state.words("proxy.no_node"), markup=False, timeout=4)
        elif self._may_change():
            test = partial(try_node_proxy, node_id=self.node_id)
            self.answers.work(self._test(test, self.node_id), "write")

    async def _test(
        self, test: Callable[[Asking], Coroutine[object, object, ProxyTestAnswer]], name: str
    ) -> None:
        words = self.state.words
        self._tested = words("proxy.testing", name=name)
        self.show_rows()
        connection = await self.host.connection()
        try:
            text = outcome_text(await test(connection.api), words)
        except ApiError as error:
            text = words("proxy.test_failed", message=clean(error.error, limit=200, fold=True))
        self._tested = f"{name}: {text}"
        self.show_rows()

    def action_delete(self) -> None:
        """Ask whether to delete the one under the cursor."""
        row = self.row_here
        if row is None:
            return
        done = partial(ops.delete_proxy, proxy_id=row.id)
        self.answers.ask(
            "proxy.delete_title",
            "proxy.delete_effect",
            partial(self.answers.done, done, "proxy.deleted", self.ask),
            name=row.name,
        )


class ProxyDialog(FormDialog[Proxy]):
    """Answers the proxy as it is kept. A password that is left empty stays as it is."""

    SUBMIT = "proxy.submit"

    def __init__(self, host: Host, row: ProxyRow | None) -> None:
        self._row = row
        super().__init__(host)

    @property
    def title_text(self) -> str:
        """Which one."""
        words = self.state.words
        return words("proxy.new") if self._row is None else words("proxy.edit", name=self._row.name)

    def make_fields(self) -> Iterable[Field]:
        """All that is kept of one."""
        row, words = self._row, self.state.words
        types = [(each, each) for each in get_args(ProxyType)]
        states = [(words(f"proxy.{each}"), each) for each in ("active", "inactive")]
        yield Field(id="name", label="new.name", value=row.name if row else "", longest=64)
        yield Field(
            id="type",
            label="proxy.type",
            kind="choice",
            choices=types,
            value=row.type if row else "",
        )
        yield Field(id="host", label="proxy.host", value=row.host if row else "", longest=255)
        yield Field(id="port", label="proxy.port", value=str(row.port) if row else "", longest=5)
        yield Field(id="username", label="proxy.user", value=row.username if row else "")
        hint = "proxy.password_kept" if row else ""
        yield Field(id="password", label="proxy.password", kind="secret", hint=hint)
        no_proxy = row.no_proxy if row else ""
        yield Field(
            id="no_proxy",
            label="proxy.no_proxy",
            value=no_proxy,
            hint="proxy.no_proxy_hint",
            longest=1_000,
        )
        yield Field(
            id="status",
            label="fact.state",
            kind="choice",
            choices=states,
            value=row.status if row else "",
        )

    async def send(self, api: Asking, values: Mapping[str, str]) -> Proxy:
        """Add it, or change it."""
        for name in ("name", "host", "port"):
            if not values[name].strip():
                raise FormError(name, "new.missing")
        port = values["port"].strip()
        if not (port.isascii() and port.isdecimal() and 0 < int(port) <= MOST_PORT):
            raise FormError("port", "proxy.port_rule")
        request = ProxyInput(
            name=values["name"].strip(),
            type=values["type"],  # type: ignore[arg-type]  # one of the choices
            host=values["host"].strip(),
            port=int(port),
            username=values["username"].strip() or None,
            password=values["password"] or UNSET,
            no_proxy=values["no_proxy"].strip() or None,
            status=values["status"],  # type: ignore[arg-type]  # one of the choices
        )
        if self._row is None:
            return await ops.add_proxy(api, request)
        return await ops.change_proxy(api, self._row.id, request)
