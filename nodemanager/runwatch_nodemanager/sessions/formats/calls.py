"""Tool calls that have begun in a transcript, so that each result finds its call; bounded."""

from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import present
from runwatch_nodemanager.agents.protocol import Draft

KEPT: Final = 512


class OpenCall(msgspec.Struct):
    tool: str
    moment_us: int
    facts: dict[str, str] = {}
    """What the result's events need of the call."""


class Calls(msgspec.Struct):
    open: dict[str, OpenCall] = {}
    ended: dict[str, bool] = {}
    """Calls that had their result: a transcript may tell it again."""

    def begin(self, call_id: str, tool: str, moment_us: int, **facts: str) -> bool:
        """Whether the call is new."""
        if call_id in self.open or call_id in self.ended:
            return False
        self.open[call_id] = OpenCall(tool=tool, moment_us=moment_us, facts=facts)
        _drop_oldest(self.open)
        return True

    def end(
        self, call_id: str | None, moment_us: int, *, success: bool | None, **facts: Any
    ) -> list[Draft]:
        """The result's event; none where it was told before."""
        if call_id is not None and call_id in self.ended:
            return []
        call = self.open.pop(call_id, None) if call_id is not None else None
        if call_id is not None:
            self.ended[call_id] = True
            _drop_oldest(self.ended)
        duration_ms = max(0, moment_us - call.moment_us) // 1000 if call else None
        payload = present(
            id=call_id,
            tool=call.tool if call else None,
            success=success,
            duration_ms=duration_ms,
            **facts,
        )
        return [Draft("tool_result", payload)]


def _drop_oldest(table: dict[str, Any]) -> None:
    while len(table) > KEPT:
        del table[next(iter(table))]
