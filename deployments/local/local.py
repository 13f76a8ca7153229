"""The make targets around local processes: run, stop, demo, and start, stop, watch of one part; the
databases and the monitoring beside them.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final

import local_databases
import local_monitoring
import local_process
from local_api import refusal
from local_demo import run_demo
from local_stack import (
    LocalError,
    Place,
    has_terminal,
    log_tail,
    open_place,
    program,
    start_node,
    start_server,
    stop,
    wait_for_node,
)
from local_watch import watch as watch_source
from runwatch_shared.errors import RunwatchError
from runwatch_shared.layers import load_settings
from runwatch_shared.settings import NodeSettings


def run(environment: Mapping[str, str]) -> int:
    """Server and node in the background, the console in front; they stay when it is left."""
    place = open_place(environment)
    url = start_server(place)
    start_node(place)
    online = wait_for_node(place, url)
    note = sessions_note(place.environment)
    if note is not None:
        print(note, flush=True)
    if has_terminal():
        os.execve(program("monitor-tui"), ["monitor-tui", "--server", url], dict(environment))
    _print_places(place, url)
    if not online:
        print(f"The node is not online yet:\n{log_tail(place, 'node')}")
    sys.stdout.flush()
    command = [program("monitor-tui"), "stats", "--server", url]
    return subprocess.run(command, env=dict(environment), check=False).returncode


def sessions_note(environment: Mapping[str, str]) -> str | None:
    """What a person must know whose agents are shown; ``None`` where they are not."""
    if not load_settings(NodeSettings, "node", environment=environment).sessions:
        return None
    return (
        "Shown as runs: the sessions that Claude Code, Codex, Gemini CLI and Qwen Code keep on "
        "this machine.\nRUNWATCH_SESSIONS=false before make run switches it off (docs/sessions.md)."
    )


def _print_places(place: Place, url: str) -> None:
    node = load_settings(NodeSettings, "node", environment=place.environment)
    lines = {
        "Server": f"{url}  (metrics at {url}/metrics)",
        "Node": f"metrics at http://{node.metrics_host}:{node.metrics_port}/metrics",
        "Data": str(place.data_dir),
        "Logs": str(place.folder),
        "Console": "monitor-tui, or make run in a terminal; make stop ends server and node",
    }
    for name, value in lines.items():
        print(f"{name:8} {value}")


def stop_all(environment: Mapping[str, str]) -> int:
    """The node first: it still tells the server that it goes."""
    status = max(_stop("node", environment), _stop("server", environment))
    if count := _held_runs(environment):
        print(
            f"Agents that go on under their supervisors: {count}. The next make run takes them up; "
            "to end agents too, cancel their runs before make stop."
        )
    return status


def _held_runs(environment: Mapping[str, str]) -> int:
    """Agents that outlive the node manager, as they would an upgrade of it."""
    command = [program("nodemanager"), "runs"]
    listed = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=False
    )
    return sum(line.split("\t")[1:2] == ["running"] for line in listed.stdout.splitlines())


def run_api(environment: Mapping[str, str]) -> int:
    """The server alone, in the background."""
    place = open_place(environment)
    print(f"The server listens at {start_server(place)}; its log is {place.log_file('server')}")
    return 0


def run_nodemanager(environment: Mapping[str, str]) -> int:
    """The node alone, in the background; it waits for its server."""
    place = open_place(environment)
    start_node(place)
    identity = local_process.running(place.pid_file("node"))
    if identity is None:
        raise LocalError(f"The node did not start:\n{log_tail(place, 'node')}")
    print(f"The node runs (pid {identity.pid}); its log is {place.log_file('node')}")
    return 0


def watch(name: str) -> Callable[[Mapping[str, str]], int]:
    """A target that restarts on a change of source."""

    def target(environment: Mapping[str, str]) -> int:
        watch_source(open_place(environment), name)
        return 0

    return target


def _stop(name: str, environment: Mapping[str, str]) -> int:
    ending = stop(open_place(environment), name)
    print(f"The {name} {WORDS[ending]}.")
    return 0


WORDS: Final = {
    "not running": "was not running",
    "stopped": "has stopped",
    "killed": "did not stop in time and was killed",
}
TARGETS: Final[dict[str, Callable[[Mapping[str, str]], int]]] = {
    "run": run,
    "stop": stop_all,
    "demo": run_demo,
    "run-api": run_api,
    "stop-api": lambda environment: _stop("server", environment),
    "watch-api": watch("server"),
    "run-nodemanager": run_nodemanager,
    "stop-nodemanager": lambda environment: _stop("node", environment),
    "watch-nodemanager": watch("node"),
    "dev-up": local_databases.up,
    "dev-down": local_databases.down,
    "monitoring-up": local_monitoring.up,
    "monitoring-down": local_monitoring.down,
}


def main() -> int:
    """The exit status of the named target."""
    if len(sys.argv) != 2 or sys.argv[1] not in TARGETS:
        print(f"usage: {sys.argv[0]} {'|'.join(TARGETS)}", file=sys.stderr)
        return 2
    try:
        return TARGETS[sys.argv[1]](os.environ)
    except (LocalError, RunwatchError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"Could not {sys.argv[1]}: {refusal(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
