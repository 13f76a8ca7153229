"""The stacks of a program that answers no more, by SIGQUIT; what one that works is at is told by
`log_signals`.
"""

import faulthandler
import signal
import sys


def dump_on_quit() -> None:
    """SIGQUIT writes the stacks of all threads to standard error, also while the loop is stuck."""
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGQUIT, file=sys.__stderr__)
