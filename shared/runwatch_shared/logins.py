"""The records of logins: operations, actions, agent types, and their requests (contract 13);
`models.Account` and `models.Login` stand with what else shows them.
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from runwatch_shared.models import Account, Json, Level, NodeId, Record, Time
from runwatch_shared.proxies import EnvConfig

OperationType = Literal["oauth", "device_code", "api_key"]
OperationStatus = Literal["pending", "in_progress", "completed", "failed", "cancelled"]
ActionStatus = Literal[
    "assigned", "running", "waiting", "success", "failed", "timeout", "cancelled"
]
AccountStatus = Literal["pending", "authenticating", "authenticated", "expired"]
Phase = Literal[
    "initializing",
    "launching_container",
    "authenticating",
    "waiting_oauth",
    "requesting_device_code",
    "waiting_device_code",
    "polling_token",
    "waiting_input",
    "verifying_credentials",
    "saving_credentials",
    "finalizing",
]

AUTH_FAILED: Final = "auth_failed"
"""Code of an `error` event that says a run's account is no longer accepted (contract 13)."""


class LoginConfig(Record, frozen=True, kw_only=True):
    """Whose login it is. ``api_key`` is ``***`` but in the open action its node is given."""

    name: str
    agent_type: str
    proxy_id: str | None = None
    api_key: str | None = None


class OperationRequest(Record, frozen=True, kw_only=True):
    type: OperationType
    config: LoginConfig
    node_id: str


class OperationMade(Record, frozen=True, kw_only=True):
    """The answer to `OperationRequest`."""

    operation_id: str
    action_id: str
    type: OperationType
    status: Literal["assigned"]


class Action(Record, frozen=True, kw_only=True):
    """What a node does for an operation.

    ``result`` has what is known so far of ``verify_url``, ``user_code``, ``input_prompt``,
    ``expires_at`` (of the code) and ``volume_name``; while an action ends well, its node may say in
    it ``account_expires_at``. ``input`` is only in its node's list, once.
    """

    id: str
    operation_id: str
    status: ActionStatus
    phase: Phase | None = None
    message: str | None = None
    progress: int
    result: Json | None = None
    error: str | None = None
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    expires_at: Time
    operation: "Operation | None" = None
    input: str | None = None
    env_config: EnvConfig | None = None
    """What it gets of its proxy and its node: only in its node's list."""
    revision: int


class Operation(Record, frozen=True, kw_only=True):
    """A login that was asked for."""

    id: str
    type: OperationType
    config: LoginConfig
    status: OperationStatus
    node_id: NodeId
    created_at: Time
    updated_at: Time
    finished_at: Time | None = None
    actions: list[Action] | None = None
    revision: int


class OperationList(Record, frozen=True, kw_only=True):
    operations: list[Operation]
    count: int
    next_cursor: str | None


class ActionList(Record, frozen=True, kw_only=True):
    actions: list[Action]
    count: int


class ActionPatch(Record, frozen=True, kw_only=True):
    """What a node says of an action; fields not sent keep their value. ``result`` is laid over what
    is known, a ``null`` in it removes.
    """

    status: ActionStatus
    phase: Phase | UnsetType = UNSET
    message: str | UnsetType | None = UNSET
    progress: int | UnsetType = UNSET
    result: Json | UnsetType = UNSET
    error: str | UnsetType | None = UNSET


class ActionAnswer(Record, frozen=True, kw_only=True):
    """``cancelled``: a person has ended the action; stop the login."""

    id: str
    status: ActionStatus
    phase: Phase | None
    message: str | None
    cancelled: bool


class InputRequest(Record, frozen=True, kw_only=True):
    """What a login page gave, for the agent that asks for it."""

    text: str


class AgentType(Record, frozen=True, kw_only=True):
    """A kind of agent and how one logs in to it; programs and files are the node's matter."""

    id: str
    name: str
    description: str
    image: str
    auth_dir: str
    auth_file: str
    login_cmd: list[str]
    login_methods: list[OperationType]
    needs_login: bool
    aliases: list[str]


class AgentTypeList(Record, frozen=True, kw_only=True):
    agent_types: list[AgentType]


class AccountRequest(Record, frozen=True, kw_only=True):
    name: str
    agent_type: str


class AccountList(Record, frozen=True, kw_only=True):
    accounts: list[Account]
    count: int


class ArchiveStored(Record, frozen=True, kw_only=True):
    archive_key: str
    size_bytes: int


class LoginEvent(Record, frozen=True, kw_only=True):
    """A phase of a login as its socket tells it (contract 10): ``type`` is the phase."""

    id: int
    action_id: str
    seq: int
    epoch: int
    type: str
    timestamp: Time
    received_at: Time
    level: Level
    payload: msgspec.Raw


class LoginEnd(Record, frozen=True, kw_only=True):
    action_id: str
    status: ActionStatus
    finished_at: Time | None = None
    last_seq: int


class LoginEventFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="event"):
    data: LoginEvent


class LoginEventsFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="events"):
    """Only with ``batch=true``."""

    data: list[LoginEvent]


class LoginStatusFrame(Record, frozen=True, kw_only=True, tag_field="type", tag="status"):
    """The last one: the action is over."""

    data: LoginEnd


def account_id(agent_type: str, name: str) -> str:
    """The id of an account: ``<agent_type>_<name>`` with ``@ . space -`` of the name as ``_``."""
    return f"{agent_type}_{name.translate(_AS_LINE)}"


_AS_LINE: Final = str.maketrans(dict.fromkeys("@. -", "_"))
