"""What a reader of any agent's JSON lines must remember between lines; bounded, ready for JSON."""

from typing import Any, Final

import msgspec

KEPT_CALLS: Final = 512


class Call(msgspec.Struct):
    """A tool call that has begun.

    Args:
        shell: It runs a command line.
    """

    tool: str
    moment_us: int
    path: str | None = None
    subagent: str | None = None
    shell: bool = False


class StreamState(msgspec.Struct):
    session_id: str | None = None
    model: str | None = None
    calls: dict[str, Call] = {}
    lanes: dict[str, str] = {}
    """Name of the sub-agent that a call began, by the call's id."""
    denied: list[str] = []
    """Calls whose denial was told."""
    result: dict[str, Any] | None = None
    """Of the newest line that ends a turn, what decides how the run ended."""
    auth_failed: bool = False
    last_words: str | None = None
    """The newest line that was no JSON."""
    telling_words: str | None = None
    """The newest of those that sounds like a reason."""
    unknown_lines: int = 0

    def begin(self, call_id: str, call: Call) -> None:
        self.calls[call_id] = call
        _drop_oldest(self.calls)

    def finish(self, call_id: str | None, moment_us: int) -> tuple[Call | None, int | None]:
        """The call this ends and how many milliseconds it took; ``None`` for one never begun."""
        call = self.calls.pop(call_id, None) if call_id is not None else None
        return call, max(0, moment_us - call.moment_us) // 1000 if call else None

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
