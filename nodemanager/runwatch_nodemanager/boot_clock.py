"""Time on a node: durations count what the machine slept, so that no lease outlasts a night."""

import time

from runwatch_shared.clock import SystemClock


def boot_seconds() -> float:
    """Seconds since boot, suspend included; the same for every process of this machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class BootClock(SystemClock):
    """The machine's clocks, where a server's `SystemClock` stands still during suspend."""

    def monotonic(self) -> float:
        """`boot_seconds`."""
        return boot_seconds()
