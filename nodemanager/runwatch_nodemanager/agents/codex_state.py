"""What a reader of Codex's stream must remember between lines, beside what all do."""

from typing import Any, Final

from runwatch_nodemanager.agents.stream_state import StreamState

MAX_ANSWER_CHARS: Final = 16 * 1024


class CodexState(StreamState):
    threads: int = 0
    """How many have started: each counts its items from 0 again."""
    carried: dict[str, Any] | None = None
    """What the resumed thread had used before this run, by Codex's names; ``None``: not known."""
    answer: str = ""
    """The newest message, which is the answer when the turn ends."""

    def item_id(self, item_id: str) -> str:
        """An id no other item of the run has."""
        return item_id if self.threads <= 1 else f"{item_id}@{self.threads}"
