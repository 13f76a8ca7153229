"""A console in a browser ends when the program that serves it is gone, however that ended.

Told by its parent alone: it would notice by itself only when it next has something to draw.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 0.5


def end_with_parent(end: Callable[[int], object] = os._exit) -> threading.Thread:
    """Watch, in a thread, and end this process at once when its parent is another one."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_S)
        end(1)

    thread = threading.Thread(target=watch, name="parent", daemon=True)
    thread.start()
    return thread
