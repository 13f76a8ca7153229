"""Instances: long-lived containers of an account on a node, as contract 14 draws them; no
behaviour.
"""

from typing import Annotated, Final, Literal, NewType

import msgspec

from runwatch_shared.models import Record, Time

InstanceId = NewType("InstanceId", str)

InstanceStatus = Literal["pending", "creating", "running", "stopping", "stopped", "error"]
NAME_CHARS: Final = 64
ERROR_CHARS: Final = 2000


class Instance(Record, frozen=True, kw_only=True):
    """An agent container of an account. ``container_name`` once its node has made one; ``error``
    says why it is in that status, or what its node waits for."""

    id: InstanceId
    name: str
    account_id: str
    agent_type_id: str
    template_id: str | None = None
    container_name: str | None
    node_id: str | None
    status: InstanceStatus
    error: str | None = None
    created_at: Time
    updated_at: Time
    revision: int


class InstanceRequest(Record, frozen=True, kw_only=True):
    """POST. Without a name it is called as its account."""

    account_id: str
    node_id: str
    name: str | None = None
    template_id: str | None = None


class InstancePatch(Record, frozen=True, kw_only=True):
    """What a node says of an instance it has.

    ``was`` is the status it acted on: if that is another one by now, what it says is refused.
    ``removed``: of a deleted one there is no container any more.
    """

    status: InstanceStatus
    was: InstanceStatus | None = None
    container_name: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    error: Annotated[str, msgspec.Meta(max_length=4 * ERROR_CHARS)] | None = None
    removed: bool = False


class AgentList(Record, frozen=True, kw_only=True):
    """GET /api/v1/agents."""

    agents: list[Instance]
    count: int


class InstanceList(Record, frozen=True, kw_only=True):
    """GET /api/v1/instances: the same under the other name."""

    instances: list[Instance]
    count: int


class NodeAgents(Record, frozen=True, kw_only=True):
    """GET /nodes/{id}/agents. ``deleted`` names those whose container is to be removed at once,
    without the grace of what nobody names; each until the node says that it is.
    """

    agents: list[Instance]
    count: int
    deleted: list[InstanceId]
