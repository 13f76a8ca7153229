"""Ends the console when its terminal is gone: nothing can be shown any more, and nobody types.

A hang-up signal comes only to whom the terminal belongs. Without one Textual's writer dies with the
terminal, and everything then waits for it while its reader spins.
"""

import os
import select
import threading
from typing import Final

EXIT_HUNG_UP: Final = 129
"""As a shell tells SIGHUP."""


def watch_terminal(descriptor: int) -> None:
    """End the process when the terminal behind a descriptor hangs up; returns at once."""
    threading.Thread(
        target=_end_with, args=(descriptor,), name="terminal-watch", daemon=True
    ).start()


def _end_with(descriptor: int) -> None:
    poller = select.poll()
    # Only what is always told: hang-up, error, closed.
    poller.register(descriptor, 0)
    poller.poll()
    os._exit(EXIT_HUNG_UP)
