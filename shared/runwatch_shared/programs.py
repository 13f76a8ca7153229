"""The entries of the three programs: an install of another tier alone is told in a sentence."""

import importlib
import sys
from typing import Final

EXIT_CONFIG: Final = 78


def monitor_server() -> None:
    _run("runwatch_server.cli", "monitor-server", "server")


def monitor_tui() -> None:
    _run("runwatch_console.cli", "monitor-tui", "console")


def nodemanager() -> None:
    _run("runwatch_nodemanager.cli", "nodemanager", "nodemanager")


def _run(module: str, program: str, extra: str) -> None:
    try:
        importlib.import_module(module).main()
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("runwatch"):
            raise
        missing = error.name.partition(".")[0]
        sys.stderr.write(
            f"{program}: {missing} is missing; this install has another part of Runwatch: "
            f"pipx install --force 'runwatch[{extra}]'\n"
        )
        sys.exit(EXIT_CONFIG)
