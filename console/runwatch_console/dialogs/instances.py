"""The instances of a node, or all: made, started, stopped, deleted."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from runwatch_console.dialogs.form import Field, FormDialog, FormError
from runwatch_console.dialogs.listing import ListDialog
from runwatch_console.machinerows import INSTANCE_COLUMNS, InstanceRow, instance_row
from runwatch_console.messages import RunsRequested
from runwatch_console.ops import instances as ops
from runwatch_console.ports import Api, Asking
from runwatch_console.screens.base import Host
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.instances import Instance, InstanceRequest
from runwatch_shared.states import INSTANCE_TRANSITIONS

if TYPE_CHECKING:
    from runwatch_console.answers import Answers

MAY_START = frozenset(was for was, then in INSTANCE_TRANSITIONS.items() if "pending" in then)
MAY_STOP = frozenset(was for was, then in INSTANCE_TRANSITIONS.items() if "stopping" in then)


class InstancesDialog(ListDialog[InstanceRow]):
    """`a` makes one, `s` starts, a chord stops and one deletes, both after a question."""

    BINDINGS = bindings_for("instances")

    def __init__(self, host: Host, answers: "Answers", node_id: str) -> None:
        super().__init__(host, INSTANCE_COLUMNS)
        self.answers = answers
        self.node_id = node_id

    @property
    def title_text(self) -> str:
        """Whose."""
        if self.node_id:
            return self.state.words("instance.title", node=self.node_id)
        return self.state.words("instance.title_all")

    def key_of(self, row: InstanceRow) -> str:
        """The id."""
        return row.id

    async def load(self, api: Api) -> Sequence[InstanceRow]:
        """Those that are in trouble first, then the newest."""
        found = [instance_row(each) for each in await ops.instances(api, node_id=self.node_id)]
        return sorted(found, key=lambda row: (row.status != "error", -(row.created_s or 0.0)))

    def note_text(self) -> str:
        """What the keys do."""
        words = self.state.words
        return words("instance.keys") if len(self.source) else words("instance.none")

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Show the runs of its account's agent on its node."""
        if (row := self.row_here) is not None and row.node:
            self.dismiss(None)
            self.app.post_message(RunsRequested(f"node:{row.node} agent:{row.agent}"))

    def action_create(self) -> None:
        """Ask which one to make."""
        if not self.answers.may_write():
            return
        accounts = [
            (account.name, account.id)
            for account in self.host.state.fleet.accounts.values()
            if not self.node_id or not account.nodes or self.node_id in account.nodes
        ]
        if not accounts:
            self._tell("instance.no_account")
            return
        dialog = NewInstanceDialog(self.host, self.node_id, accounts)
        self.app.push_screen(dialog, self._made)

    def _made(self, made: Instance | None) -> None:
        if made is not None:
            self._tell("instance.made")
            self.ask()

    def action_start(self) -> None:
        """Start the one under the cursor."""
        row = self.row_here
        if row is None:
            return
        if row.status not in MAY_START:
            self._tell("instance.no_start", status=self.state.words(f"instance.{row.status}"))
        elif self.answers.may_write():
            done = partial(ops.start_instance, instance_id=row.id)
            self.answers.work(self.answers.done(done, "instance.starting", self.ask), "write")

    def action_stop(self) -> None:
        """Ask whether to stop the one under the cursor."""
        row = self.row_here
        if row is None:
            return
        if row.status not in MAY_STOP:
            self._tell("instance.no_stop", status=self.state.words(f"instance.{row.status}"))
            return
        done = partial(ops.stop_instance, instance_id=row.id)
        self.answers.ask(
            "instance.stop_title",
            "instance.stop_effect",
            partial(self.answers.done, done, "instance.stop_asked", self.ask),
            name=row.name,
        )

    def action_delete(self) -> None:
        """Ask whether to delete the one under the cursor."""
        row = self.row_here
        if row is None:
            return
        done = partial(ops.delete_instance, instance_id=row.id)
        self.answers.ask(
            "instance.delete_title",
            "instance.delete_effect",
            partial(self.answers.done, done, "instance.deleted", self.ask),
            name=row.name,
        )

    def _tell(self, word: str, **facts: object) -> None:
        self.notify(self.state.words(word, **facts), markup=False, timeout=4)


class NewInstanceDialog(FormDialog[Instance]):
    """Answers the instance that was made."""

    SUBMIT = "instance.submit"
    FIELD_OF = {"account_id": "account", "node_id": "node"}

    def __init__(self, host: Host, node_id: str, accounts: Sequence[tuple[str, str]]) -> None:
        self._node_id = node_id
        self._accounts = accounts
        super().__init__(host)

    @property
    def title_text(self) -> str:
        """New instance."""
        return self.state.words("instance.new_title")

    def make_fields(self) -> Iterable[Field]:
        """Of which account, where, and how it is called."""
        nodes = [node for node in self.state.fleet.nodes.values() if node.reachable]
        nodes.sort(key=lambda node: (node.id != self._node_id, node.name))
        choices = [(node.name, node.id) for node in nodes] or [("–", "")]
        yield Field(id="account", label="fact.account", kind="choice", choices=self._accounts)
        yield Field(id="node", label="fact.node", kind="choice", choices=choices)
        yield Field(id="name", label="new.name", hint="instance.name_hint", longest=64)

    async def send(self, api: Asking, values: Mapping[str, str]) -> Instance:
        """Make it."""
        if not values["node"]:
            raise FormError("node", "login.no_node")
        request = InstanceRequest(
            account_id=values["account"],
            node_id=values["node"],
            name=values["name"].strip() or None,
        )
        return await ops.create_instance(api, request)
