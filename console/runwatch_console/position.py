"""How far a feed has come: what to resume from, and whether a frame follows the one before; pure.

Source: contract 1.6 and 7.2.
"""

from runwatch_console.ports import FleetFrame
from runwatch_shared.wire import (
    ChangeFrame,
    HeartbeatFrame,
    HelloFrame,
    ResyncFrame,
    SnapshotFrame,
)


class Position:
    """The revision up to which every change was seen, and the store it belongs to."""

    def __init__(self) -> None:
        self.since: int | None = None
        """Resume from here; None: only a snapshot helps."""
        self.store: str | None = None
        self._newest: int | None = None
        self._resuming = False

    def forget(self) -> None:
        """The rows are no longer those of the subscription; a snapshot must come."""
        self.since = self._newest = None
        self._resuming = False

    def query(self) -> dict[str, str]:
        """What to add to the address so that the feed goes on where it was."""
        if self.since is None or self.store is None:
            return {}
        return {"since": str(self.since), "store": self.store}

    def greet(self, hello: HelloFrame) -> None:
        """Begin a connection."""
        self.store = hello.store
        if hello.resumed:
            self._newest = self.since
            self._resuming = True
        else:
            self.forget()

    def follow(self, frame: FleetFrame) -> bool:
        """Move on by a frame; False if something is missing before it."""
        match frame:
            case SnapshotFrame():
                # Until the last part is here there is nothing to resume from.
                self.since = self._newest = frame.revision if frame.last else None
                self._resuming = False
            case ChangeFrame():
                return self._change(frame)
            case HeartbeatFrame():
                self._heartbeat(frame)
            case ResyncFrame():
                self.forget()
            case _:
                pass
        return True

    def _change(self, frame: ChangeFrame) -> bool:
        if self._newest is None or frame.previous != self._newest:
            return False
        self._newest = frame.revision
        # What a resume has to give may come in parts, the last with `total`; were the connection
        # lost between two parts, the later ones would be missed by resuming from the first.
        if not self._resuming or frame.total is not None:
            self._resuming = False
            self.since = frame.revision
        return True

    def _heartbeat(self, frame: HeartbeatFrame) -> None:
        if self._newest is not None and frame.revision >= self._newest:
            self.since = self._newest = frame.revision
            self._resuming = False
