"""What is stored of accounts and of the logins that make them; what the wire shows is `showing`."""

from typing import ClassVar, Final, Literal

from runwatch_server.kept import KeptRow, Place
from runwatch_server.rows import Row, SourceRow, WaitRow
from runwatch_shared.logins import AccountStatus, ActionStatus, OperationType, Phase
from runwatch_shared.models import Health, Json, Labels, NodeId
from runwatch_shared.text import clean

PROMPT_CHARS: Final = 300


class RateLimitRow(Row, frozen=True, kw_only=True):
    """How near an account is to a limit of its vendor (contract 9.3, ``system_info``)."""

    kind: str
    status: str
    utilization: float | None = None
    resets_us: int | None = None
    at_us: int


class AccountRow(KeptRow, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "account"

    name: str
    agent_type: str
    status: AccountStatus = "pending"
    volume_name: str | None = None
    archive_key: str | None = None
    expires_us: int | None = None
    last_used_us: int | None = None
    last_401_us: int | None = None
    look_us: int | None = None
    """When to see whether it has expired; None while nothing tells."""
    former: AccountStatus | None = None
    """While ``authenticating``: what it is again when nothing comes of that."""
    logged_in: dict[NodeId, int] = {}
    """Nodes that hold the login, and since when."""
    blocked_runs: int = 0
    """Queued runs that wait for this login (`blocked`)."""
    rate_limits: list[RateLimitRow] = []
    """The last of each kind."""

    @property
    def place(self) -> Place:
        return Place(status=self.status, name=self.name, due_us=self.look_us)

    @property
    def nodes(self) -> list[NodeId]:
        """That hold the login, by id."""
        return sorted(self.logged_in)


class PhaseRow(Row, frozen=True, kw_only=True):
    """A step of a login, as the node told it."""

    seq: int
    """From 1, the number of the event that tells it."""
    name: str
    status: ActionStatus
    at_us: int
    by: Literal["node", "user", "server"] = "node"
    message: str | None = None
    progress: int | None = None


class ActionRow(KeptRow, frozen=True, kw_only=True):
    """One login: the operation that was asked for and the action a node does for it.

    An operation has one action, so both are one row; their ids differ in the prefix alone.
    """

    KIND: ClassVar[str] = "action"

    type: OperationType
    account_id: str
    account_name: str
    agent_type: str
    node_id: NodeId
    proxy_id: str | None = None
    api_key: str | None = None
    """Sealed (`vault`); None once the action has ended, or where there was none."""
    had_key: bool = False
    by: str
    """Who asked for it."""
    status: ActionStatus = "assigned"
    phase: Phase | None = None
    message: str | None = None
    progress: int | None = None
    """As reported; None where nothing was."""
    result: Json = {}
    error: str | None = None
    input: str | None = None
    """Sealed: what a person gave and the node has not been handed."""
    started_us: int | None = None
    finished_us: int | None = None
    expires_us: int
    waiting_us: int | None = None
    """Since when it waits for a person."""
    source: SourceRow
    phases: list[PhaseRow] = []
    """Rising, the newest of them (`phases.MOST_KEPT`)."""
    phases_total: int = 0

    @property
    def place(self) -> Place:
        return Place(
            node_id=self.node_id,
            account_id=self.account_id,
            status=self.status,
            name=self.type,
            due_us=self.due_us,
        )

    @property
    def due_us(self) -> int | None:
        """When it times out, or, once it has ended, None."""
        return self.expires_us if self.finished_us is None else None

    # What a workflow has, whatever its type; `workflows` and `matching` read it.

    @property
    def name(self) -> str:
        return f"{self.agent_type} login: {self.account_name}"

    @property
    def health(self) -> Health:
        """No flag: a login is over after some minutes."""
        return "ok"

    @property
    def task_id(self) -> None:
        return None

    @property
    def labels(self) -> Labels:
        return {}

    @property
    def wait(self) -> WaitRow | None:
        """What a person has to do."""
        if self.status != "waiting" or self.waiting_us is None:
            return None
        return WaitRow(
            kind="login",
            since_us=self.waiting_us,
            prompt=_prompt(self.result),
            deadline_us=self.expires_us,
            on_expiry="fail",
            seq=self.phases_total,
        )

    @property
    def is_open(self) -> bool:
        return self.finished_us is None

    @property
    def operation_id(self) -> str:
        return "op-" + self.id.removeprefix("act-")


def action_id_of(some_id: str) -> str:
    """The action of an operation's id; an action's id is itself."""
    return f"act-{some_id.removeprefix('op-')}" if some_id.startswith("op-") else some_id


def _prompt(result: Json) -> str:
    """One sentence that says what to do."""
    url, code, asked = (result.get(name) for name in ("verify_url", "user_code", "input_prompt"))
    parts = [
        f"open {url}" if url else "",
        f"enter the code {code}" if code else "",
        f"answer: {asked}" if asked else "",
    ]
    text = ", ".join(part for part in parts if part) or "finish the login"
    return clean(text[:1].upper() + text[1:], limit=PROMPT_CHARS, fold=True, marks=False)


class ArchiveRow(KeptRow, frozen=True, kw_only=True):
    """A stored copy of an account's login files: sealed parts, and whether they are all there."""

    KIND: ClassVar[str] = "archive"
    TOLD: ClassVar[bool] = False

    account_id: str
    parts: int = 0
    size_bytes: int = 0
    whole: bool = False
    remove_us: int | None = None
    """When to remove it: what is not whole by then, or is no longer the account's."""

    @property
    def place(self) -> Place:
        return Place(account_id=self.account_id, due_us=self.remove_us)


class ArchivePartRow(KeptRow, frozen=True, kw_only=True):
    """A piece of an archive; its id is ``<archive>.<number>``."""

    KIND: ClassVar[str] = "archive_part"
    TOLD: ClassVar[bool] = False

    data: str
    """Sealed bytes (`vault`)."""
