"""The agents whose telemetry is known: how a record of theirs is told, and what reads it."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from runwatch_server.otlp import claude, codex, gemini
from runwatch_server.otlp.facts import Told
from runwatch_server.otlp.reading import Reading
from runwatch_server.otlp.records import Attributes, Log, Point

Facts = Callable[[Reading], list[Told]]


def _no_usage(sums: Mapping[str, float]) -> dict[str, float]:
    return {}


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One agent.

    Args:
        type: The run's agent type (contract 8.1).
        session: The attribute that names the session.
        events: What reads a record, by the name of its event.
        metrics: Metrics that tell usage, with the attribute that tells of what; empty: the metric
            is the kind itself.
        usage_of: What the sums of those kinds mean, by the names of usage.
    """

    type: str
    title: str
    session: str
    events: Mapping[str, Facts]
    metrics: Mapping[str, str] = {}
    usage_of: Callable[[Mapping[str, float]], dict[str, float]] = _no_usage


CLAUDE: Final = Agent(
    type="claude-code",
    title="Claude Code",
    session="session.id",
    events=claude.EVENTS,
    metrics=claude.METRICS,
    usage_of=claude.usage_of,
)
CODEX: Final = Agent(
    type="openai-codex", title="Codex", session="conversation.id", events=codex.EVENTS
)
GEMINI: Final = Agent(
    type="gemini-cli",
    title="Gemini CLI",
    session="session.id",
    events=gemini.GEMINI_EVENTS,
    metrics=gemini.GEMINI_METRICS,
    usage_of=gemini.gemini_usage_of,
)
QWEN: Final = Agent(
    type="qwen-code",
    title="Qwen Code",
    session="session.id",
    events=gemini.QWEN_EVENTS,
    metrics=gemini.QWEN_METRICS,
    usage_of=gemini.qwen_usage_of,
)
AGENTS: Final = {agent.type: agent for agent in (CLAUDE, CODEX, GEMINI, QWEN)}

_BY_SERVICE: Final = {"claude-code": CLAUDE, "gemini-cli": GEMINI, "qwen-code": QWEN}
_BY_PREFIX: Final = {
    "claude_code": CLAUDE,
    "codex": CODEX,
    "gemini_cli": GEMINI,
    "qwen-code": QWEN,
}
"""First part of the name of an event or a metric."""


def agent_of(record: Log | Point) -> Agent | None:
    """Who wrote a record: by its service, else by the name of its event or metric."""
    service = record.resource.get("service.name")
    if isinstance(service, str):
        found = CODEX if service.startswith("codex") else _BY_SERVICE.get(service)
        if found is not None:
            return found
    if isinstance(record, Point):
        return _BY_PREFIX.get(record.metric.partition(".")[0])
    body = record.body if isinstance(record.body, str) else ""
    return _BY_PREFIX.get(record.name.partition(".")[0]) or _BY_PREFIX.get(body.partition(".")[0])


def session_of(agent: Agent, attributes: Attributes, resource: Attributes) -> str | None:
    """The session a record is of; None where it names none."""
    for named in (attributes.get(agent.session), resource.get(agent.session)):
        if isinstance(named, str) and named:
            return named
    return None
