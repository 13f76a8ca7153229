"""Totals that an agent counts over a whole session, told for one run of it (contract 9.3)."""

from typing import Final

import msgspec

from runwatch_nodemanager.agents.protocol import Json

NAMES: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class Totals(msgspec.Struct):
    """What the session has used, and what of that belongs to its earlier runs."""

    known: dict[str, int] = {}
    cost_usd: float | None = None
    before: dict[str, int] = {}
    before_usd: float | None = None

    def add(self, turn: Json) -> None:
        """A turn's own numbers."""
        for name in NAMES:
            if name in turn:
                self.known[name] = self.known.get(name, 0) + int(turn[name])

    def of_run(self, totals: Json, cost_usd: float | None = None) -> Json:
        """The session's ``totals`` as those of this run; a cost only if all of it is known."""
        for name in NAMES:
            if name in totals:
                self.known[name] = int(totals[name])
        self.cost_usd = cost_usd
        own: Json = {
            name: max(0, int(totals[name]) - self.before.get(name, 0))
            for name in NAMES
            if name in totals
        }
        carried = any(self.before.values())
        if cost_usd is not None and (self.before_usd is not None or not carried):
            own["cost_usd"] = max(0.0, cost_usd - (self.before_usd or 0.0))
            own["cost_source"] = "agent"
        return own

    def begin_run(self) -> None:
        self.before = dict(self.known)
        self.before_usd = self.cost_usd
