"""Which nodes a queued run may be given to, and why not; pure, over rows.

Source: contract 12, its table of reasons. Choosing among the nodes that fit is in `placing`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from runwatch_server.checks import canonical_type
from runwatch_server.rows import NodeRow, RunRow
from runwatch_shared.models import QueueDetail, QueueReasonCode
from runwatch_shared.text import clean

REASON_CHARS: Final = 200
DETAIL_ROWS: Final = 50
NAMED_NODES: Final = 3
"""Nodes named in one cause of a reason."""
NAMED_CAUSES: Final = 3
RUNNING: Final = "running"
"""The status of an instance that takes runs."""
_ROOM_FOR_MORE: Final = 20
_PLURAL: Final = {"lacks": "lack", "has": "have"}
_LOGGED_IN: Final = frozenset({"ok", "expiring"})


class Need(NamedTuple):
    """What a run asks of a node. Runs with equal needs fit the same nodes."""

    agent_type: str
    node_id: str | None
    labels: tuple[tuple[str, str], ...]
    instance_id: str | None
    account_id: str | None


class Seat(NamedTuple):
    """What of an instance decides where runs that want it may go."""

    node_id: str
    status: str


Seats = Mapping[str, Seat]
"""By the instance's id."""
NO_SEATS: Final[Seats] = {}


class Misfit(NamedTuple):
    """Why one node cannot have a run."""

    code: QueueReasonCode
    text: str
    """Of the node, without its name: ``full (4/4)``."""


class Cause(NamedTuple):
    """What keeps some nodes from a need."""

    code: QueueReasonCode
    text: str
    """As in `Misfit`; for ``full`` each node has its own numbers."""
    node_ids: list[str]


class Survey(NamedTuple):
    """How all nodes stand to one need, free slots left aside."""

    known: int
    offline: int
    suited: list[str]
    """Ids of the nodes that could take the run with a free slot."""
    causes: list[Cause]
    """Of the other nodes but the offline ones."""
    pinned: Misfit | None
    """Why the node the run is pinned to does not suit."""


class Reason(NamedTuple):
    """Why a run is in the queue."""

    code: QueueReasonCode
    text: str


WAITING: Final = Reason("placing", "waiting for the scheduler")


def need_of(row: RunRow) -> Need:
    """What the run asks of a node."""
    constraints = row.constraints
    labels = {} if constraints is None else constraints.node_labels or {}
    return Need(
        agent_type=row.agent_type,
        node_id=None if constraints is None else constraints.node_id,
        labels=tuple(sorted(labels.items())),
        instance_id=row.agent_instance_id,
        account_id=row.account_id,
    )


def misfit(need: Need, node: NodeRow, seats: Seats = NO_SEATS) -> Misfit | None:
    """Why a node cannot have a run of this need now; None when it can.

    What would not change by waiting is named first.
    """
    lasting = lasting_misfit(need, node, seats)
    if lasting is not None:
        return lasting
    if not has_room(node):
        return Misfit("full", f"full ({node.allocated}/{node.capacity})")
    return None


def lasting_misfit(need: Need, node: NodeRow, seats: Seats = NO_SEATS) -> Misfit | None:
    """Like `misfit`, whatever the node's free slots."""
    if node.status == "offline":
        return Misfit("none_online", "offline")
    if need.node_id is not None and need.node_id != node.id:
        return Misfit("pinned", f"pinned to {need.node_id}")
    if need.instance_id is not None:
        seat = seats.get(need.instance_id)
        if seat is None or seat.node_id != node.id:
            return Misfit("instance", f"instance {need.instance_id}: not on this node")
        if seat.status != RUNNING:
            return Misfit("instance", f"instance {need.instance_id}: {seat.status}")
    return _missing(need, node) or _away(node)


def survey(need: Need, nodes: Sequence[NodeRow], seats: Seats = NO_SEATS) -> Survey:
    """How the nodes stand to a need, free slots left aside: stays true until a node changes."""
    suited: list[str] = []
    causes: dict[tuple[QueueReasonCode, str], list[str]] = {}
    offline = 0
    for node in nodes:
        why = lasting_misfit(need, node, seats)
        if why is None:
            suited.append(node.id)
        elif why.code == "none_online":
            offline += 1
        else:
            causes.setdefault((why.code, why.text), []).append(node.id)
    return Survey(
        known=len(nodes),
        offline=offline,
        suited=suited,
        causes=[Cause(code, text, members) for (code, text), members in causes.items()],
        pinned=_pinned(need, nodes, seats),
    )


def explain(
    need: Need, found: Survey, nodes: Mapping[str, NodeRow], seats: Seats = NO_SEATS
) -> Reason:
    """Why a run of this need is given to none of the nodes (contract 12).

    Args:
        found: The survey of all nodes for this need.
        nodes: The same nodes by id, with their present numbers.
    """
    if found.known == 0:
        return Reason("no_nodes", "no node known")
    if need.node_id is not None:
        return _explain_pinned(need, found, nodes, seats)
    if need.instance_id is not None:
        return _explain_instance(need, nodes, seats)
    if found.offline == found.known:
        return Reason("none_online", f"no node online ({found.known} known)")
    full = [node_id for node_id in found.suited if not has_room(nodes[node_id])]
    if len(full) < len(found.suited):
        return WAITING
    causes = [*([Cause("full", "full", full)] if full else []), *found.causes]
    causes.sort(key=lambda cause: -len(cause.node_ids))
    if len({cause.code for cause in causes}) == 1:
        together = _together(need, causes[0].code)
        if together is not None:
            return Reason(causes[0].code, _cut(together))
    return Reason(causes[0].code, _joined(causes, nodes))


def has_room(node: NodeRow) -> bool:
    """Whether the node has a free slot."""
    return node.allocated < node.capacity


def queue_detail(
    row: RunRow, nodes: Iterable[NodeRow], seats: Seats = NO_SEATS
) -> list[QueueDetail]:
    """Why each node does not have the run, a row a node, at most fifty."""
    need = need_of(row)
    details: list[QueueDetail] = []
    for node in nodes:
        if len(details) >= DETAIL_ROWS:
            break
        why = misfit(need, node, seats) or Misfit("placing", "has room, waiting for the scheduler")
        details.append(QueueDetail(node_id=node.id, code=why.code, text=_cut(why.text)))
    return details


def _missing(need: Need, node: NodeRow) -> Misfit | None:
    """What the run needs and the node has not."""
    if node.agents:
        offers = [one for one in node.agents if canonical_type(one.type) == need.agent_type]
        # Which agent `general` is, the node alone knows: it need not name it, but may say it is not
        # ready.
        if not offers and need.agent_type != "general":
            return Misfit("agent_missing", f"without {need.agent_type}")
        if offers and not any(offer.ready for offer in offers) and not _just_in(need, node):
            if _logged_out(need, node):
                return Misfit("login_missing", f"lacks login for {need.agent_type}")
            return Misfit("agent_missing", f"has {need.agent_type} not ready")
    labels = node.labels
    for name, value in need.labels:
        if labels.get(name) != value:
            return Misfit("labels", f"without {name}={value}")
    if need.account_id is not None and not _has_account(need.account_id, node):
        return Misfit("login_missing", f"lacks login for {need.agent_type}")
    return None


def _away(node: NodeRow) -> Misfit | None:
    """Why a node that has everything takes no runs at all."""
    if node.admin_status == "maintenance":
        return Misfit("draining", "in maintenance")
    if node.admin_status == "draining" or node.status == "draining":
        return Misfit("draining", "draining")
    if node.status != "online":
        return Misfit("draining", node.status)
    return None


def _logged_out(need: Need, node: NodeRow) -> bool:
    return any(
        canonical_type(login.agent_type) == need.agent_type and login.state not in _LOGGED_IN
        for login in node.logins
    )


def _just_in(need: Need, node: NodeRow) -> bool:
    """Whether the login the run needs was made and the node has not said so yet."""
    return _logged_out(need, node) and need.account_id in node.accounts


def _has_account(account_id: str, node: NodeRow) -> bool:
    if account_id in node.accounts:
        return True
    if account_id in node.refused:
        return False
    for login in node.logins:
        if login.account_id == account_id:
            return login.state in _LOGGED_IN
    return any(account_id in offer.accounts for offer in node.agents)


def _pinned(need: Need, nodes: Sequence[NodeRow], seats: Seats) -> Misfit | None:
    """Why the one node a run is pinned to cannot have it, free slots left aside."""
    if need.node_id is None:
        return None
    node = next((one for one in nodes if one.id == need.node_id), None)
    return Misfit("pinned", "unknown") if node is None else lasting_misfit(need, node, seats)


def _explain_instance(need: Need, nodes: Mapping[str, NodeRow], seats: Seats) -> Reason:
    """Why the one node of the instance a run wants cannot have it now."""
    seat = seats.get(need.instance_id or "")
    code: QueueReasonCode = "instance"
    if seat is None:
        why = "not known"
    elif seat.status != RUNNING:
        why = seat.status
    else:
        node = nodes.get(seat.node_id)
        misfitting = None if node is None else misfit(need, node, seats)
        if node is not None and misfitting is None:
            return WAITING
        if misfitting is not None and misfitting.code == "login_missing":
            code = misfitting.code
        why = f"{seat.node_id} {'not known' if misfitting is None else misfitting.text}"
    return Reason(code, _cut(f"instance {need.instance_id}: {why}"))


def _explain_pinned(
    need: Need, found: Survey, nodes: Mapping[str, NodeRow], seats: Seats
) -> Reason:
    why = found.pinned
    if why is None and need.node_id is not None:
        why = misfit(need, nodes[need.node_id], seats)
    if why is None:
        return WAITING
    return Reason("pinned", _cut(f"pinned to {need.node_id}: {why.text}"))


def _together(need: Need, code: QueueReasonCode) -> str | None:
    """A cause that every node present shares, said without their names."""
    match code:
        case "agent_missing":
            return f"no online node offers {need.agent_type}"
        case "labels":
            wanted = ", ".join(f"{name}={value}" for name, value in need.labels)
            return f"no online node has {wanted}"
        case _:
            return None


def _joined(causes: Sequence[Cause], nodes: Mapping[str, NodeRow]) -> str:
    """``n1, n2 full (4/4, 2/2); n3 lacks login for openai-codex; +4 more``."""
    parts: list[str] = []
    unnamed = sum(len(cause.node_ids) for cause in causes)
    for cause in causes[:NAMED_CAUSES]:
        named = cause.node_ids[:NAMED_NODES]
        part = _cause_text(cause, [nodes[node_id] for node_id in named])
        if parts and sum(map(len, parts)) + len(part) > REASON_CHARS - _ROOM_FOR_MORE:
            break
        parts.append(part)
        unnamed -= len(named)
    if unnamed:
        parts.append(f"+{unnamed} more")
    return _cut("; ".join(parts))


def _cause_text(cause: Cause, named: Sequence[NodeRow]) -> str:
    names = ", ".join(node.id for node in named)
    if cause.code == "full":
        numbers = ", ".join(f"{node.allocated}/{node.capacity}" for node in named)
        return f"{names} full ({numbers})"
    verb, _, rest = cause.text.partition(" ")
    if len(named) > 1 and verb in _PLURAL:
        return f"{names} {_PLURAL[verb]} {rest}"
    return f"{names} {cause.text}"


def _cut(text: str) -> str:
    return clean(text, limit=REASON_CHARS, fold=True, marks=False)
