"""``monitor-server`` with a wall clock that is off by as many seconds as a file says.

Usage: jumping_server.py FILE ARGUMENTS. What the machine's own clock says, its database and the
node beside it keep to.
"""

import sys
import time
from pathlib import Path

from runwatch_server import cli
from runwatch_shared.clock import SystemClock


def main() -> None:
    file = Path(sys.argv.pop(1))

    def now_us(self: SystemClock) -> int:
        return time.time_ns() // 1000 + int(file.read_text()) * 1_000_000

    SystemClock.now_us = now_us  # type: ignore[method-assign]  # the double this file is for
    cli.main()


if __name__ == "__main__":
    main()
