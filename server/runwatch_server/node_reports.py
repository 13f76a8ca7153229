"""What a heartbeat may say, and the node's row as it follows from one; no runs, no leases.

Source: contract 5.5 and 11.1.
"""

from typing import Final

import msgspec

from runwatch_server import checks
from runwatch_server.ids import is_id
from runwatch_server.rows import NodeRow, SpoolRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import AgentOffer, NodeId, NodeStatus, ProcessId, Spool
from runwatch_shared.settings import LeaseTimes, ServerSettings
from runwatch_shared.text import clean, has_control
from runwatch_shared.timestamps import parse_time
from runwatch_shared.wire import NODE_HEARTBEAT_S, Heartbeat

SECOND_US: Final = 1_000_000
NAME_CHARS: Final = 255
MOST_RUNS: Final = 5000
MOST_AGENTS: Final = 100
MOST_LOGINS: Final = 500
MOST_ACCOUNTS: Final = 500
MOST_RUNTIMES: Final = 32
MOST_SLOTS: Final = 100_000
LARGEST: Final = 2**63 - 1
"""Beyond it a number fits no store."""
NODE_MARGIN_S: Final = 5
"""A node trusts a lease this much shorter than it lasts (contract 8.3)."""
BEATS_A_LEASE: Final = 3
"""One may get lost and one be late before the lease is in doubt."""

_LEDGER: Final = ("slots", "strays", "strays_beyond", "judged_us", "ledger_due_us")
_LIVELY: Final = frozenset(
    {"last_heartbeat_us", "clock_skew_ms", "spool", "available", *_LEDGER},
)
"""Fields that differ from beat to beat; they do not move ``updated_us``."""


def heartbeat_interval_s(lease: LeaseTimes) -> int:
    """How often a node is asked to beat: every 10 s, oftener where shorter leases need it."""
    shortest_s = min(lease.ttl_s - NODE_MARGIN_S, lease.node_offline_s)
    return min(NODE_HEARTBEAT_S, max(1, shortest_s // BEATS_A_LEASE))


def check_heartbeat(beat: Heartbeat, settings: ServerSettings) -> None:
    """400, naming the field, for a heartbeat that does not fit (contract 1.1, 1.3)."""
    if not is_id(beat.node_id):
        raise RefusedError("invalid_field", "node_id is no id", field="node_id")
    if beat.process_id is not None and not is_id(beat.process_id):
        raise RefusedError("invalid_field", "process_id is no id", field="process_id")
    for field in ("hostname", "ips", "version"):
        text = getattr(beat, field)
        if text is not None and (len(text) > NAME_CHARS or has_control(text)):
            raise RefusedError("invalid_field", f"{field} does not fit", field=field)
    checks.check_labels(beat.labels or {}, settings.limits)
    _check_capacity(beat)
    lists = (
        ("runs", beat.runs, MOST_RUNS),
        ("running_runs", beat.running_runs, MOST_RUNS),
        ("agents", beat.agents, MOST_AGENTS),
        ("logins", beat.logins, MOST_LOGINS),
        ("runtimes", beat.runtimes, MOST_RUNTIMES),
        ("orphans", beat.orphans, MOST_RUNS),
    )
    for field, given, most in lists:
        if given is not None and len(given) > most:
            raise RefusedError(
                "invalid_field", f"{field} is too long", field=field, details={"max": most}
            )
    _check_texts(beat)
    for field in ("started_at", "time"):
        moment_of(getattr(beat, field), field)


def moment_of(text: str | None, field: str) -> int | None:
    """A moment of a report in microseconds; 400 where it is none."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise RefusedError(
            "invalid_field", f"{field} must be an RFC 3339 time with an offset", field=field
        ) from None


def row_after(node: NodeRow | None, beat: Heartbeat, now_us: int) -> NodeRow:
    """The node as its heartbeat leaves it; what the heartbeat leaves out stays.

    What an administrator set (labels, capacity, whether it takes runs) is never overwritten: it has
    fields of its own.
    """
    before = node or NodeRow(id=NodeId(beat.node_id), created_us=now_us, updated_us=now_us)
    told_us = moment_of(beat.time, "time")
    reported = {
        "hostname": beat.hostname,
        "ips": beat.ips,
        "reported_labels": beat.labels,
        "version": beat.version,
        "process_id": None if beat.process_id is None else ProcessId(beat.process_id),
        "started_us": moment_of(beat.started_at, "started_at"),
        "agents": None if beat.agents is None else [_offer(offer) for offer in beat.agents],
        "logins": beat.logins,
        "runtimes": beat.runtimes,
        "spool": _spool_row(beat.spool),
    }
    after = msgspec.structs.replace(
        before,
        **{name: value for name, value in reported.items() if value is not None},
        reported_status=beat.status,
        last_heartbeat_us=now_us,
        offline_since_us=None,
        clock_skew_ms=before.clock_skew_ms if told_us is None else (told_us - now_us) // 1000,
    )
    if beat.capacity is not None:
        after = msgspec.structs.replace(
            after,
            max_concurrent=beat.capacity.max_concurrent,
            available=beat.capacity.available,
        )
    after = msgspec.structs.replace(after, status=spoken_status(after))
    if _settled(before) != _settled(after):
        after = msgspec.structs.replace(after, updated_us=now_us)
    return after


def spoken_status(node: NodeRow) -> NodeStatus:
    """The status of a node that is not silent: what was set, then what it says (contract 5.5)."""
    return node.reported_status if node.admin_status == "active" else node.admin_status


def is_silent(node: NodeRow, now_us: int, settings: ServerSettings) -> bool:
    """Whether its last heartbeat is over 45 s old."""
    if node.last_heartbeat_us is None:
        return True
    return now_us - node.last_heartbeat_us > settings.lease.node_offline_s * SECOND_US


def conflicts(node: NodeRow, beat: Heartbeat, now_us: int, settings: ServerSettings) -> bool:
    """Whether a heartbeat comes from a process that another one of the same node id replaced.

    The later ``started_at`` wins. A process that has been silent for long enough to be offline is
    taken as gone, or a node whose clock was set back could never start again.
    """
    if beat.process_id is None or node.process_id in {None, beat.process_id}:
        return False
    started_us = moment_of(beat.started_at, "started_at")
    if started_us is None or node.started_us is None or is_silent(node, now_us, settings):
        return False
    return started_us <= node.started_us


def _settled(node: NodeRow) -> tuple[object, ...]:
    """Everything of a node but what differs from beat to beat."""
    fields = msgspec.structs.fields(node)
    return tuple(getattr(node, field.name) for field in fields if field.name not in _LIVELY)


def _check_capacity(beat: Heartbeat) -> None:
    capacity = beat.capacity
    if capacity is None:
        return
    if not 0 <= capacity.max_concurrent <= MOST_SLOTS:
        raise RefusedError(
            "invalid_field",
            "capacity.max_concurrent does not fit",
            field="capacity.max_concurrent",
            details={"min": 0, "max": MOST_SLOTS},
        )
    if capacity.available is not None and not -MOST_SLOTS <= capacity.available <= MOST_SLOTS:
        raise RefusedError(
            "invalid_field", "capacity.available does not fit", field="capacity.available"
        )


def _check_texts(beat: Heartbeat) -> None:
    """400 for names of agents, accounts and runtimes that do not fit, and spool numbers."""
    names: list[tuple[str, str | None]] = []
    for index, offer in enumerate(beat.agents or []):
        if len(offer.accounts) > MOST_ACCOUNTS:
            field = f"agents[{index}].accounts"
            raise RefusedError("invalid_field", f"{field} is too long", field=field)
        names.append((f"agents[{index}].type", offer.type))
        names.append((f"agents[{index}].version", offer.version))
        names += [(f"agents[{index}].accounts", account) for account in offer.accounts]
    for index, login in enumerate(beat.logins or []):
        names.append((f"logins[{index}].agent_type", login.agent_type))
        names.append((f"logins[{index}].account_id", login.account_id))
        moment_of(login.expires_at, f"logins[{index}].expires_at")
    names += [("runtimes", runtime) for runtime in beat.runtimes or []]
    for index, orphan in enumerate(beat.orphans or []):
        names.append((f"orphans[{index}].ref", orphan.ref))
        moment_of(orphan.since, f"orphans[{index}].since")
    for field, text in names:
        if text is not None and (len(text) > NAME_CHARS or has_control(text)):
            raise RefusedError("invalid_field", f"{field} does not fit", field=field)
    if beat.spool is not None:
        numbers = (beat.spool.events, beat.spool.bytes, beat.spool.limit_bytes)
        if not all(0 <= number <= LARGEST for number in numbers):
            raise RefusedError("invalid_field", "spool does not fit", field="spool")
        moment_of(beat.spool.oldest_at, "spool.oldest_at")


def _offer(offer: AgentOffer) -> AgentOffer:
    """The offer with its reason made harmless: it is text for people, not a name."""
    if offer.reason is None:
        return offer
    reason = clean(offer.reason, limit=NAME_CHARS, fold=True, marks=False)
    return msgspec.structs.replace(offer, reason=reason)


def _spool_row(spool: Spool | None) -> SpoolRow | None:
    if spool is None:
        return None
    return SpoolRow(
        events=spool.events,
        bytes=spool.bytes,
        limit_bytes=spool.limit_bytes,
        oldest_us=moment_of(spool.oldest_at, "spool.oldest_at"),
    )
