"""Messages that reach the app from any screen; a widget's own messages are nested in it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Literal

from textual.message import Message

if TYPE_CHECKING:
    from runwatch_console.feeditems import FeedItem
    from runwatch_console.following import FollowItem
    from runwatch_console.taskrows import TaskRow


class FeedArrived(Message):
    """The feed brought items. `folded` is set when they are in the fleet."""

    def __init__(
        self, items: "Sequence[FeedItem]", folded: asyncio.Event, source: object = None
    ) -> None:
        super().__init__()
        self.items = items
        self.folded = folded
        self.source = source
        """Who reads that feed: of a server that was left nothing is folded any more."""


class RunItemsArrived(Message):
    """A run's log went on. `run_id` tells whose: items of a run that was left are dropped."""

    bubble = False

    def __init__(self, run_id: str, items: "Sequence[FollowItem]") -> None:
        super().__init__()
        self.run_id = run_id
        self.items = items


class Request(Message):
    """What a screen asks of the app that takes more than going somewhere; see `answers`."""


class ScreenShown(Message):
    """A screen came to the front and wants the present state."""


class RunOpenRequested(Message):
    """Show this run in screen 3."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class RowOpenRequested(Message):
    """Open a row of a list as its screen does on Enter."""

    def __init__(self, opener: Callable[[Hashable], Awaitable[None]], key: Hashable) -> None:
        super().__init__()
        self.opener = opener
        self.key = key


class RunsRequested(Message):
    """Show the Runs screen with this filter."""

    def __init__(self, filter_text: str) -> None:
        super().__init__()
        self.filter_text = filter_text


class CancelRequested(Request):
    """Ask whether to cancel these runs, then do it."""

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self.run_ids = tuple(run_ids)


class ExplainRequested(Request):
    """Explain this run."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class PeekRequested(Request):
    """Show this run without leaving the screen."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class LoginMessage(Request):
    """What is asked about logins and accounts; see `login_answers`."""


class LoginOpenRequested(LoginMessage):
    """Show one login. `key`: of its `AuthRow`."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class QrRequested(LoginMessage):
    """Show the address of a login as a QR code. `key`: of its `AuthRow`."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class LoginBeginRequested(LoginMessage):
    """Ask which login to begin; what is given the form begins with. `account`: its name."""

    def __init__(self, *, agent: str = "", account: str = "", node: str = "") -> None:
        super().__init__()
        self.agent = agent
        self.account = account
        self.node = node


class LoginInputRequested(LoginMessage):
    """Ask for what the agent of a login wants typed. `key`: of its `AuthRow`."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class LoginCancelRequested(LoginMessage):
    """Ask whether to end a login, then do it. `key`: of its `AuthRow`."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class AccountDeleteRequested(LoginMessage):
    """Ask whether to forget an account, then do it. `key`: of its `AuthRow`."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class MachineMessage(Request):
    """What is asked about a node's ledger, instances, environment and proxies; see
    `machine_answers`.
    """


class LedgerRequested(MachineMessage):
    """Show what a node was given against what it says runs there."""

    def __init__(self, node_id: str) -> None:
        super().__init__()
        self.node_id = node_id


class InstancesRequested(MachineMessage):
    """Show the instances of a node; of none: all."""

    def __init__(self, node_id: str) -> None:
        super().__init__()
        self.node_id = node_id


class ProxiesRequested(MachineMessage):
    """Show the proxies. `node_id`: the node that may test one; empty for none."""

    def __init__(self, node_id: str) -> None:
        super().__init__()
        self.node_id = node_id


class EnvironmentRequested(MachineMessage):
    """Show what a node's runs are started with."""

    def __init__(self, node_id: str) -> None:
        super().__init__()
        self.node_id = node_id


class EventOpenRequested(Request):
    """Show this run in screen 3, with the cursor on the event `seq`."""

    def __init__(self, run_id: str, seq: int) -> None:
        super().__init__()
        self.run_id = run_id
        self.seq = seq


class DiffRequested(Request):
    """Compare these two runs."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__()
        self.left = left
        self.right = right


class TaskOpenRequested(Request):
    """Show this task with its runs."""

    def __init__(self, task: "TaskRow") -> None:
        super().__init__()
        self.task = task


class StartRequested(Request):
    """Start one more run of this task."""

    def __init__(self, task_id: str) -> None:
        super().__init__()
        self.task_id = task_id


class CopyRequested(Request):
    """Put this text where the user can paste it from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class CommandEntered(Request):
    """A line typed after `:`. `run_id`: the run under the cursor, empty for none."""

    def __init__(self, text: str, run_id: str) -> None:
        super().__init__()
        self.text = text
        self.run_id = run_id


class ScreenRequested(Message):
    """Show the screen with this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class RetryRequested(Request):
    """Run this run's task again."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class SortRequested(Message):
    """Show the Runs screen in this order."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ServerMessage(Message):
    """What concerns the server that is looked at; see `switching`."""


class ServersRequested(ServerMessage):
    """List the servers known by name."""


class ServerRequested(ServerMessage):
    """Look at the server of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ViewMessage(Message):
    """Base of what is asked about the list that is shown: as a saved view, into a file."""


class ExportRequested(ViewMessage):
    """Write the list that is shown to a file; without a path to one that is named by the time.

    `anew`: also where there is a file already.
    """

    def __init__(self, form: Literal["json", "csv"], path: str, *, anew: bool) -> None:
        super().__init__()
        self.form = form
        self.path = path
        self.anew = anew


class ViewsRequested(ViewMessage):
    """Show the list of saved views."""


class ViewRequested(ViewMessage):
    """Show the Runs screen as the view of this name has it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ViewSaveRequested(ViewMessage):
    """Keep what the Runs screen shows as the view of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ColumnsRequested(Message):
    """Show the Runs screen with these columns; none: all."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)


class ThemeRequested(Message):
    """Show the console in the theme of this name, one of `themes.THEMES`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class LowBandwidthRequested(Message):
    """Spare the way to the terminal, or do so no more."""

    def __init__(self, on: bool) -> None:
        super().__init__()
        self.on = on


class TimeFormatRequested(Message):
    """Show moments so: `relative`, `local` or `UTC`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class ActionRequested(Message):
    """Do what a key of the app does."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action
