"""What a service tells its manager over ``NOTIFY_SOCKET``: ready, reloading, stopping, alive.

The protocol is that of sd_notify(3): datagrams of ``NAME=value`` lines. Without a manager nothing
is sent. The watchdog is fed from the event loop, so that a loop that stands still is restarted.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final, Self

from runwatch_shared.tasks import TaskOwner

USEC: Final = 1_000_000
LEAST_WATCHDOG_S: Final = 0.01


class Notifier:
    """One service manager, or none.

    Args:
        address: Of the socket; empty: there is nobody to tell. ``@`` begins an abstract one.
        watchdog_s: The manager restarts who is silent for so long; 0: it does not watch.
    """

    def __init__(self, address: str = "", *, watchdog_s: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def taken(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """The manager of this process; its variables are removed, programs we start have others."""
        address = environment.pop("NOTIFY_SOCKET", "")
        span, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        watched = span.isdigit() and pid in {"", str(os.getpid())}
        return cls(address, watchdog_s=int(span) / USEC if watched else 0.0)

    def tell(self, **facts: str | int) -> None:
        """Send a datagram; a manager that is gone or does not read is no reason to stop."""
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in facts.items())
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)

    def ready(self, status: str) -> None:
        """It works; after a reload: it works again."""
        self.tell(READY=1, STATUS=status)

    def reloading(self) -> None:
        self.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000, STATUS="reloading")

    def stopping(self, status: str) -> None:
        self.tell(STOPPING=1, STATUS=status)

    def start(self, owner: TaskOwner) -> None:
        """Feed the watchdog twice in its time, from the event loop, until the owner ends it."""
        if self._address and self.watchdog_s >= LEAST_WATCHDOG_S:
            owner.spawn(self._feed(self.watchdog_s / 2), name="watchdog")

    async def _feed(self, every_s: float) -> None:
        while True:
            self.tell(WATCHDOG=1)
            await asyncio.sleep(every_s)
