"""A run's tool calls while a batch is folded: which are open, their steps, the tool ledger, loops.

Source: contract 9.3 (which result closes which call) and 6.3 (looping).
"""

from collections import Counter
from typing import Final, Literal

import msgspec

from runwatch_server.rows import OpenCall, RunFold, StepRow, ToolRow
from runwatch_shared.text import clean
from runwatch_shared.timestamps import LAST_US

MOST_OPEN_CALLS: Final = 200
MOST_TOOLS: Final = 200
DETAIL_CHARS: Final = 160
MOST_DURATION_MS: Final = 10 * 366 * 86_400_000
"""Ten years; a longer one is no call's duration, and its end might be no moment any more."""

Outcome = Literal["succeeded", "failed", "cancelled", "unknown"]


class CallBook:
    """The open calls of a run and what follows from opening and closing them."""

    def __init__(self, fold: RunFold, *, window: int, repeats: int) -> None:
        self.open_calls = list(fold.open_calls)
        self.recent = list(fold.recent_calls)
        self.tools = dict(fold.tools)
        self.made = fold.steps
        """Steps numbered so far."""
        self.steps: dict[int, StepRow] = {}
        """Made or closed in this batch, by number."""
        self._window = window
        self._repeats = repeats

    def open(
        self,
        tool: str,
        *,
        call_id: str | None,
        seq: int,
        lane: str,
        at_us: int,
        detail: str,
        digest: str | None,
    ) -> OpenCall:
        """A new call with an open step; the oldest of too many open ones closes as unknown.

        Args:
            digest: Names the input, for loops; None for a call known only by its result, which
                is like no other.
        """
        if len(self.open_calls) >= MOST_OPEN_CALLS:
            self.close(self.open_calls[0], "unknown", at_us=at_us)
        self.made += 1
        call = OpenCall(
            id=call_id,
            tool=tool,
            seq=seq,
            lane=lane,
            started_us=at_us,
            step=self.made,
            detail=clean(detail, limit=DETAIL_CHARS, fold=True, marks=False) or None,
        )
        self.open_calls.append(call)
        self.steps[call.step] = _step_of(call)
        self._tool(tool, calls=1, open=1, last_seq=seq)
        named = f"seq {seq}" if digest is None else digest
        self.recent = [*self.recent, (tool, named)][-self._window :]
        return call

    def find(self, call_id: str | None, tool: str) -> OpenCall | None:
        """The call a result closes: by id, else the oldest of its tool, else the only open one."""
        if call_id is not None:
            return next((call for call in self.open_calls if call.id == call_id), None)
        same = next((call for call in self.open_calls if call.tool == tool), None)
        if same is not None:
            return same
        return self.open_calls[0] if len(self.open_calls) == 1 else None

    def is_open(self, call_id: str | None) -> bool:
        """Whether a call of this id is open; no id is no call."""
        return call_id is not None and any(call.id == call_id for call in self.open_calls)

    def close(
        self,
        call: OpenCall,
        outcome: Outcome,
        *,
        at_us: int,
        end_seq: int | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """End a call's step; without a reported duration it lasted until ``at_us``."""
        self.open_calls.remove(call)
        if duration_ms is None or not 0 <= duration_ms <= MOST_DURATION_MS:
            duration_ms = max(0, at_us - call.started_us) // 1000
        self.steps[call.step] = msgspec.structs.replace(
            _step_of(call),
            status=outcome,
            ended_us=min(call.started_us + duration_ms * 1000, LAST_US),
            end_seq=end_seq,
        )
        self._tool(
            call.tool,
            failures=1 if outcome == "failed" else 0,
            open=-1,
            total_ms=duration_ms,
            last_seq=end_seq or call.seq,
        )

    def looping(self) -> str | None:
        """``same Bash call 6 of last 12`` while the last calls repeat; None while they do not."""
        if not self.recent or len(self.recent) < self._repeats:
            return None
        (repeated, times) = Counter(self.recent).most_common(1)[0]
        if times < self._repeats:
            return None
        return f"same {repeated[0]} call {times} of last {len(self.recent)}"

    def _tool(self, tool: str, *, last_seq: int, **by: int) -> None:
        known = self.tools.get(tool)
        if known is None:
            if len(self.tools) >= MOST_TOOLS:
                return
            known = ToolRow(tool=tool)
        counted = {name: getattr(known, name) + value for name, value in by.items()}
        self.tools[tool] = msgspec.structs.replace(
            known, **counted, last_seq=max(known.last_seq, last_seq)
        )


def _step_of(call: OpenCall) -> StepRow:
    return StepRow(
        n=call.step,
        name=call.tool,
        status="open",
        started_us=call.started_us,
        seq=call.seq,
        lane=call.lane,
        detail=call.detail,
    )
