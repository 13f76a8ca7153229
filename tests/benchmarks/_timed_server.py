"""`monitor-server` itself with a stopwatch at its store: `… -m tests.benchmarks._timed_server
TIMES serve …` writes to TIMES when each revision was committed, in microseconds since 1970.
"""

import sys
import time
from pathlib import Path
from typing import Any

from runwatch_server.cli import main as monitor_server
from runwatch_server.storage.sqlite.store import SqliteStore


def main() -> None:
    with Path(sys.argv.pop(1)).open("w", buffering=1) as times:
        write_group = SqliteStore.write_group

        def timed(self: SqliteStore, *given: Any) -> Any:
            answer = write_group(self, *given)
            if answer[1] is not None:
                times.write(f"{answer[1].revision} {time.time_ns() // 1000}\n")
            return answer

        SqliteStore.write_group = timed  # type: ignore[method-assign,assignment]
        monitor_server()


if __name__ == "__main__":
    main()
