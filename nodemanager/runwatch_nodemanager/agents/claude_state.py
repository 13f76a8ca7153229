"""What a reader of Claude Code's stream must remember between lines, beside what all do."""

from typing import Any

import msgspec

from runwatch_nodemanager.agents.claude_usage import UsageState
from runwatch_nodemanager.agents.stream_state import StreamState


class PlannedTask(msgspec.Struct):
    subject: str
    status: str = "pending"


class ClaudeState(StreamState):
    usage: UsageState = msgspec.field(default_factory=UsageState)
    carried: dict[str, Any] | None = None
    """What the session had used before this run, by our names; ``None``: not known."""
    tasks: dict[str, PlannedTask] = {}
    """Of its plan, by their ids."""
