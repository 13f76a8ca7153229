"""``python -m tests.server.fuzz [CALLS]``: that many calls at least; status 1 where one failed."""

import sys
import tempfile
import time
from pathlib import Path

from tests.server.fuzz.calls import Fuzz, Report, fuzzed_server

CALLS = 20_000


def main() -> int:
    at_least = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="runwatch-fuzz-") as directory,
        fuzzed_server(Path(directory)) as server,
    ):
        report = Fuzz(server).run(at_least)
        show(report, time.monotonic() - began)
        if log := server.log():
            print(f"The server said:\n{log[-4000:]}")
    return 1 if report.failures else 0


def show(report: Report, took_s: float) -> None:
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items()))
    operations = len(report.by_operation)
    print(f"{report.calls} calls of {operations} operations in {took_s:.0f} s; answers {statuses}")
    for kind, shown in sorted(report.failures.items()):
        print(f"\n{kind}\n{shown}")
    print(f"\n{len(report.failures)} kinds of failures")


if __name__ == "__main__":
    sys.exit(main())
