"""What the aggregates of one group share: the view it writes upon, the moment, what changed."""

from runwatch_server.storage.changes import Changes
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import Rules


class WriteContext:
    """Lives as long as a group; `begin` starts a work."""

    def __init__(self, view: View, rules: Rules, revision: int) -> None:
        self.view = view
        self.rules = rules
        self.revision = revision
        """What everything saved in this group gets."""
        self.now_us = 0
        self.changes = Changes()
        self._numbers = 0

    def begin(self, now_us: int) -> Changes:
        """Start a work; what it changes is collected in what is given back."""
        self.now_us = now_us
        self.changes = Changes()
        return self.changes

    def new_number(self, name: str) -> int:
        """The next number of a name, from 1."""
        row = self.view.get("state", name)
        number = 1 if row is None else int(row["value"]) + 1
        self.view.put("state", name, {"value": number})
        return number

    def new_log(self) -> str:
        """A name for a run's events that no other run has or had, not even one of the same id."""
        self._numbers += 1
        return f"{self.view.at + 1:x}.{self._numbers:x}"

    def add_bytes(self, by: int) -> None:
        """Of the events that are kept."""
        row = self.view.get("state", "event_bytes")
        self.view.put("state", "event_bytes", {"value": by + (0 if row is None else row["value"])})
