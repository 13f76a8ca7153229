"""Where a page's commands are run: a fresh home, and programs that do not keep the shell waiting.

Programs that serve until they are stopped are started behind the shell and waited for until they
are ready; the console, which asks for a terminal, is given one, looked at, and ended.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from tests.packaging.pages import ROOT
from tests.processes import free_port

BIN: Final = Path(sys.executable).parent
LIMIT_S: Final = 150
LASTING: Final = {
    "monitor-server": "serve",
    "nodemanager": "run watch-sessions",
}
SHIM: Final = """#!/usr/bin/env bash
# Starts what lasts behind the shell, until it is ready; anything else is the program itself.
for lasting in {lasting}; do
    if [ "${{1:-}}" = "$lasting" ] && ! [[ " $* " =~ " --list " || " $* " =~ " --help " ]]; then
        "{program}" "$@" {extra} >>"$STAGE/{name}.log" 2>&1 &
        echo $! >>"$STAGE/pids"
        for _ in $(seq 600); do
            {ready} && exit 0
            kill -0 $! 2>/dev/null || {{ cat "$STAGE/{name}.log" >&2; exit 1; }}
            sleep 0.1
        done
        echo "{name} $1 was not ready in time" >&2
        exit 1
    fi
done
exec "{program}" "$@"
"""
STOP: Final = """#!/usr/bin/env bash
# Ends what was started, and waits for it.
for pid in $(cat "$STAGE/pids"); do
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
done
"""
SHOWN: Final = """#!/usr/bin/env bash
# Without a command the console needs a terminal: it is given one and left again.
case "${{1:-}}" in
""|--demo|--serve|--server|--context|--lang|replay)
    tmux -L "stage$$" new-session -d -x 120 -y 40 "\\"{program}\\" $*; sleep 30"
    for _ in $(seq 300); do
        tmux -L "stage$$" capture-pane -p | grep -q "[?] help" && break
        sleep 0.1
    done
    shown=$(tmux -L "stage$$" capture-pane -p)
    tmux -L "stage$$" kill-server
    grep -q "[?] help" <<<"$shown" || {{ echo "the console did not show: $shown" >&2; exit 1; }}
    exit 0
esac
exec "{program}" "$@"
"""


class Stage:
    """A directory of its own in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.data = folder / "data"
        self.environment = {
            "HOME": str(folder / "home"),
            "PATH": f"{folder / 'bin'}:{BIN}:{os.environ['PATH']}",
            "STAGE": str(folder),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "RUNWATCH_DATA_DIR": str(self.data),
            "RUNWATCH_PORT": str(self.port),
            "RUNWATCH_METRICS_PORT": "0",
            "RUNWATCH_NODE_ID": "n1",
            "RUNWATCH_DRAIN_S": "0",
            "RUNWATCH_SERVER": f"https://127.0.0.1:{self.port}",
        }

    def __enter__(self) -> Self:
        for name in ("home", "bin", "data", "work"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for path in ROOT.iterdir():
            # Pages speak of a clone: its files are there, its history is not.
            if path.name not in {".git", "work"}:
                (self.folder / "work" / path.name).symlink_to(path)
        ready = {
            "monitor-server": 'test -s "$STAGE/ready"',
            "nodemanager": f'grep -q "Node manager started" "{self.folder}/nodemanager.log"',
        }
        extra = {"monitor-server": '--ready-file "$STAGE/ready"', "nodemanager": ""}
        for name, lasting in LASTING.items():
            self._shim(
                name,
                SHIM.format(
                    name=name,
                    program=BIN / name,
                    lasting=lasting,
                    ready=ready[name],
                    extra=extra[name],
                ),
            )
        self._shim("stage-stop", STOP)
        self._shim("monitor-tui", SHOWN.format(program=BIN / "monitor-tui"))
        return self

    def __exit__(self, *_: object) -> None:
        pids = self.folder / "pids"
        started = [int(line) for line in pids.read_text().split()] if pids.exists() else []
        for pid in reversed(started):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in started:
            _gone(pid)
        subprocess.run(
            [str(BIN / "nodemanager"), "stop", "--agents"],
            env=self.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run commands in one shell that ends at the first that fails, and says which."""
        traced = f"trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\nset -eEuo pipefail\n{script}"
        return subprocess.run(
            ["bash", "-c", traced],
            cwd=self.folder / "work",
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def _shim(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _gone(pid: int) -> None:
    for _ in range(300):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        subprocess.run(["sleep", "0.1"], check=True)
    os.kill(pid, signal.SIGKILL)
