"""Seconds since boot, which node manager and supervisors measure leases by.

Standard library only, as the supervisor imports it.
"""

import time


def boot_seconds() -> float:
    """Seconds since boot, suspend included, so that a lease does not survive a night asleep; the
    same for every process of this machine.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
