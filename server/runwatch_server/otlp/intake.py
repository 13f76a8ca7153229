"""From a decoded body to what each session is told; pure, and the same for every order of records.

What a session does with it is in `sessions`.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from runwatch_server.ids import is_id
from runwatch_server.otlp.agents import Agent, agent_of, session_of
from runwatch_server.otlp.facts import Measured, Told
from runwatch_server.otlp.reading import Reading, number
from runwatch_server.otlp.records import Attributes, Batch, Log, Point
from runwatch_shared.text import clean
from runwatch_shared.timestamps import LAST_US, parse_time

MOST_SESSIONS: Final = 200
"""In one body; the records of further ones are rejected."""
EARLIEST_US: Final = int(datetime.fromisoformat("2020-01-01T00:00:00+00:00").timestamp()) * 10**6
"""No agent is older: an earlier time is none."""

NOT_AN_AGENT: Final = "no agent known here wrote them"
TOO_MANY: Final = f"one body may tell of {MOST_SESSIONS} sessions"
BAD_SESSION: Final = "their session has no usable id"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One record that says something of its session.

    Args:
        digest: Names the record: equal for equal content, whatever it came in.
        at_us: When it happened; None where no believable time was told.
    """

    digest: int
    at_us: int | None
    facts: tuple[Told, ...] = ()
    measured: Measured | None = None


class Part(msgspec.Struct, kw_only=True):
    """What one body tells of one session."""

    agent: Agent
    session_id: str
    version: str | None = None
    host: str | None = None
    items: list[Item] = []
    quiet: int = 0
    """Records of it that say nothing a run would show."""


class Delivery(msgspec.Struct, kw_only=True):
    """A whole body."""

    parts: dict[tuple[str, str], Part] = {}
    """By agent type and session."""
    ignored: int = 0
    """Of known agents, without a session, or of no use; `Part.quiet` are beside it."""
    rejected: dict[str, int] = {}
    """By why."""


def taken_apart(batch: Batch, *, keep: bool) -> Delivery:
    """A body's records by session.

    Args:
        keep: Whether what people and agents wrote is kept (setting ``otlp_keep_prompts``).
    """
    delivery = Delivery(ignored=batch.unread)
    for log in batch.logs:
        agent = agent_of(log)
        if agent is None:
            _reject(delivery, NOT_AN_AGENT)
        elif (part := _part(delivery, agent, log.attributes, log.resource)) is not None:
            _take_log(part, log, keep=keep)
    for point in batch.points:
        agent = agent_of(point)
        if agent is None:
            _reject(delivery, NOT_AN_AGENT)
        elif point.metric not in agent.metrics:
            delivery.ignored += 1
        elif (part := _part(delivery, agent, point.attributes, point.resource)) is not None:
            _take_point(part, point)
    for part in delivery.parts.values():
        part.items.sort(key=lambda item: item.at_us or 0)
    return delivery


def _part(
    delivery: Delivery, agent: Agent, attributes: Attributes, resource: Attributes
) -> Part | None:
    """The part of a record's session; None where it has none to be told of."""
    session_id = session_of(agent, attributes, resource)
    if session_id is None:
        delivery.ignored += 1
        return None
    if not is_id(session_id):
        _reject(delivery, BAD_SESSION)
        return None
    key = (agent.type, session_id)
    part = delivery.parts.get(key)
    if part is None:
        if len(delivery.parts) >= MOST_SESSIONS:
            _reject(delivery, TOO_MANY)
            return None
        # Gemini's service version is that of Node.js.
        told = resource.get("service.version") if agent.type != "gemini-cli" else None
        part = delivery.parts[key] = Part(
            agent=agent,
            session_id=session_id,
            version=_short(told),
            host=_short(resource.get("host.name")),
        )
    return part


def _take_log(part: Part, log: Log, *, keep: bool) -> None:
    read = part.agent.events.get(log.name)
    facts = read(Reading(log.attributes, keep=keep)) if read is not None else []
    if not facts:
        part.quiet += 1
        return
    told = [log.name, log.time_ns, log.observed_ns, log.body, log.attributes]
    part.items.append(Item(digest=digest_of(told), at_us=_moment(log), facts=tuple(facts)))


def _take_point(part: Part, point: Point) -> None:
    named_by = part.agent.metrics[point.metric]
    kind = point.attributes.get(named_by) if named_by else point.metric
    if not isinstance(kind, str) or len(kind) > 64 or number(point.value) is None:
        part.quiet += 1
        return
    stream: list[Any] = [point.metric, point.start_ns, point.attributes]
    measured = Measured(
        kind=kind,
        value=point.value,
        delta=point.delta,
        stream=f"{digest_of(stream):x}",
        time_ns=point.time_ns,
        model=_short(point.attributes.get("model")),
    )
    digest = digest_of([*stream, point.time_ns, point.value])
    part.items.append(
        Item(digest=digest, at_us=_believable(point.time_ns // 1000), measured=measured)
    )


def digest_of(told: list[Any]) -> int:
    """63 bits that name what was told, whatever the order of its attributes."""
    encoded = msgspec.json.encode(told, order="deterministic", enc_hook=repr)
    found = hashlib.blake2b(encoded, digest_size=8).digest()
    return int.from_bytes(found) >> 1


def _moment(log: Log) -> int | None:
    """Codex leaves the time out and tells it in an attribute."""
    told = log.attributes.get("event.timestamp")
    candidates = (log.time_ns // 1000, _parsed(told), log.observed_ns // 1000)
    return next((us for each in candidates if (us := _believable(each)) is not None), None)


def _parsed(told: object) -> int:
    try:
        return parse_time(told) if isinstance(told, str) else 0
    except ValueError:
        return 0


def _believable(moment_us: int) -> int | None:
    return moment_us if EARLIEST_US <= moment_us <= LAST_US else None


def _short(told: object) -> str | None:
    if not isinstance(told, str):
        return None
    return clean(told, limit=128, fold=True, marks=False) or None


def _reject(delivery: Delivery, why: str) -> None:
    delivery.rejected[why] = delivery.rejected.get(why, 0) + 1


def why_rejected(rejected: Mapping[str, int]) -> str:
    """One sentence for the sender; empty where nothing was rejected."""
    return "; ".join(f"{count} rejected: {why}" for why, count in sorted(rejected.items()))
