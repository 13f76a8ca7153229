"""The server or the node in the foreground, started anew whenever its source changes."""

import os
import shlex
from pathlib import Path
from typing import Final

from watchfiles import Change, DefaultFilter, run_process

import local_process
from local_stack import LocalError, Place, node_command, server_command

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = {
    "server": ("shared/runwatch_shared", "server/runwatch_server"),
    "node": ("shared/runwatch_shared", "nodemanager/runwatch_nodemanager"),
}
STOP_S: Final = 15


def watch(place: Place, name: str) -> None:
    """Runs until Ctrl-C, or until the matching stop target ends it.

    Raises:
        LocalError: One is running in the background already.
    """
    pid_file = place.pid_file(name)
    with place.locked():
        if (other := local_process.running(pid_file)) is not None:
            target = {"server": "stop-api", "node": "stop-nodemanager"}[name]
            raise LocalError(f"The {name} is running already (pid {other.pid}): make {target}")
        own = local_process.identity_of(os.getpid())
        if own is not None:
            local_process.write(pid_file, own)
    command = server_command(place) if name == "server" else node_command(place)
    os.environ.update(place.environment)
    try:
        run_process(
            *(ROOT / source for source in SOURCES[name]),
            target=shlex.join(command),
            target_type="command",
            watch_filter=DefaultFilter(),
            sigint_timeout=STOP_S,
            callback=lambda changes: print(
                f"Changed: {_words(changes)}; starting anew", flush=True
            ),
        )
    finally:
        pid_file.unlink(missing_ok=True)


def _words(changes: set[tuple[Change, str]]) -> str:
    return ", ".join(sorted(os.path.relpath(path, ROOT) for _, path in changes))
