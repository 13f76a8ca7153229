"""What a reader of Claude Code's stream must remember between lines; bounded, ready for JSON."""

from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.claude_usage import UsageState

KEPT_CALLS: Final = 512


class Call(msgspec.Struct):
    """A tool call that has begun."""

    tool: str
    moment_us: int
    path: str | None = None
    subagent: str | None = None


class ClaudeState(msgspec.Struct):
    session_id: str | None = None
    model: str | None = None
    usage: UsageState = msgspec.field(default_factory=UsageState)
    calls: dict[str, Call] = {}
    lanes: dict[str, str] = {}
    """Name of the sub-agent that a call began, by the call's id."""
    denied: list[str] = []
    """Calls whose denial was told."""
    result: dict[str, Any] | None = None
    """Of the newest ``result`` line, what decides how the run ended."""
    auth_failed: bool = False
    last_stderr: str | None = None
    unknown_lines: int = 0

    def begin(self, call_id: str, call: Call) -> None:
        self.calls[call_id] = call
        _drop_oldest(self.calls)

    def lane(self, call_id: str, subagent: str | None = None) -> str:
        """The same short name whenever the same sub-agent speaks."""
        name = self.lanes.get(call_id)
        if name is None:
            call = self.calls.get(call_id)
            kind = subagent or (call.subagent if call else None) or "agent"
            name = f"{kind}-{call_id[-6:]}"
            self.lanes[call_id] = name
            _drop_oldest(self.lanes)
        return name


def _drop_oldest(table: dict[str, Any]) -> None:
    while len(table) > KEPT_CALLS:
        del table[next(iter(table))]
