"""Ends the agents of a node without a node manager: all that supervisors of its folder own.

A node manager that was stopped while it started may not have taken up every run yet; what runs is
told by the folder alone.
"""

import time
from typing import Final

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.protocol import Runtime

REASON: Final = "node_stopped"
MARGIN_S: Final = 5.0
"""Beyond the grace: for SIGKILL to work and the supervisor to write how it ended."""
LOOK_S: Final = 0.05


def end_agents(folder: NodeFolder, runtime: Runtime, *, grace_s: float) -> int:
    """Stop every supervised run, and kill what is left of it after its grace. Blocks.

    Returns:
        How many runs had a supervisor.
    """
    runs = [folder.run(path.name) for path in sorted(folder.runs.glob("*")) if path.is_dir()]
    supervised = [run for run in runs if run.supervised()]
    untold = list(supervised)
    deadline = time.monotonic() + grace_s + MARGIN_S
    while _living(supervised) and time.monotonic() < deadline:
        # A supervisor that has only just begun does not listen yet.
        untold = [run for run in untold if not runtime.stop(run, reason=REASON, grace_s=grace_s)]
        time.sleep(LOOK_S)
    for run in runs:
        runtime.clear(run)
    return len(supervised)


def _living(runs: list[RunFolder]) -> bool:
    return any(run.supervised() for run in runs)
