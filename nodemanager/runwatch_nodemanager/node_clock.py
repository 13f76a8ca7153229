"""The clock of a node manager: one that a suspended machine does not stop."""

from runwatch_nodemanager.boot_clock import boot_seconds
from runwatch_shared.clock import SystemClock


class NodeClock(SystemClock):
    """The machine's clocks; durations count suspend, where a server's do not."""

    def monotonic(self) -> float:
        """`boot_seconds`."""
        return boot_seconds()
