"""A run's open waits for a person while a batch is folded (contract 9.3, ``approval_request``)."""

from collections.abc import Callable
from typing import Final, Literal, get_args

from runwatch_server import payloads
from runwatch_server.payloads import Payload, text_of
from runwatch_server.rows import WaitRow
from runwatch_shared.models import WaitKind
from runwatch_shared.timestamps import parse_time

OnExpiry = Literal["deny", "approve", "fail", "continue"]

MOST_WAITS: Final = 50
_KINDS: Final[dict[str | None, WaitKind]] = {kind: kind for kind in get_args(WaitKind)}
_ON_EXPIRY: Final[dict[str | None, OnExpiry]] = {name: name for name in get_args(OnExpiry)}


class WaitBook:
    """The open waits, oldest first."""

    def __init__(self, waits: list[WaitRow]) -> None:
        self.waits = list(waits)
        self.waited_us = 0
        """Time that ended waiting in this batch: while any wait was open, counted once."""
        self.changed = False

    def open(self, payload: Payload, *, seq: int, at_us: int) -> None:
        """One more wait; beyond fifty open ones it is not kept."""
        if len(self.waits) >= MOST_WAITS:
            return
        self.changed = True
        self.waits.append(
            WaitRow(
                id=text_of(payload, "id"),
                kind=_KINDS.get(text_of(payload, "kind"), "approval"),
                since_us=at_us,
                prompt=payloads.wait_prompt(payload),
                deadline_us=_moment(payload, "deadline"),
                on_expiry=_ON_EXPIRY.get(text_of(payload, "on_expiry")),
                seq=seq,
                lane=payloads.lane_of(payload),
            )
        )

    def answer(self, wait_id: str | None, *, at_us: int) -> None:
        """Close the wait of this id, or the oldest where none is named."""
        oldest = self.waits[0] if self.waits else None
        self.close(
            lambda wait: wait is oldest if wait_id is None else wait.id == wait_id, at_us=at_us
        )

    def close(self, closes: Callable[[WaitRow], bool], *, at_us: int) -> None:
        """Close every wait that ``closes`` says."""
        kept = [wait for wait in self.waits if not closes(wait)]
        if len(kept) == len(self.waits):
            return
        until_us = kept[0].since_us if kept else at_us
        self.waited_us += max(0, until_us - self.waits[0].since_us)
        self.waits = kept
        self.changed = True


def _moment(payload: Payload, name: str) -> int | None:
    text = text_of(payload, name)
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None
