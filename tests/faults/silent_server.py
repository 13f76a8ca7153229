"""``monitor-server`` that notifies no other server of what it commits, as long as a file is there.

Usage: silent_server.py FILE ARGUMENTS. A notification that is lost leaves exactly this.
"""

import sys
from pathlib import Path

from runwatch_server import cli
from runwatch_server.storage.postgres import writer


class Silenced:
    """The statement that notifies, or nothing."""

    def __init__(self, file: Path, statement: str) -> None:
        self._file = file
        self._statement = statement

    def format(self, **values: object) -> str:
        return "" if self._file.exists() else self._statement.format(**values)


def main() -> None:
    file = Path(sys.argv.pop(1))
    writer.TELL = Silenced(file, writer.TELL)  # type: ignore[misc, assignment]  # the double
    cli.main()


if __name__ == "__main__":
    main()
