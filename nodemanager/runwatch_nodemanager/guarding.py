"""What makes a process a run's supervisor: its lock on the run, and signals that do not end it."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from typing import Final

from runwatch_nodemanager.run_folder import RunFolder

LOCK_TRIES: Final = 50
LOCK_PAUSE_S: Final = 0.02


@contextlib.contextmanager
def signals_as_input() -> Iterator[int]:
    """SIGCHLD and the usual wishes to end arrive as bytes on the file descriptor this yields."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        yield readable
    finally:
        signal.set_wakeup_fd(-1)
        os.close(readable)
        os.close(writable)


def hold_lock(folder: RunFolder) -> int:
    """Lock the run for as long as this descriptor or one that a process inherited is open.

    Who starts a supervisor locks and hands it down: from then on the run counts as supervised, also
    if the one who started it is killed before the other has begun. Others look only for a moment.

    Raises:
        BlockingIOError: Another supervisor has the run.
    """
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    for attempt in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == LOCK_TRIES - 1:
                raise
            time.sleep(LOCK_PAUSE_S)
        else:
            break
    return descriptor
