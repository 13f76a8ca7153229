"""The terminal event of a run, by the rules that hold for every agent."""

import signal
from typing import Final

from runwatch_nodemanager.agents.protocol import Draft, End, Json

INTERRUPTING: Final = frozenset({"lease", "node_stopped", "supervisor_signalled"})
"""Reasons that nobody asked of this run: it was cut off."""
MAX_ERROR_CHARS: Final = 2000


def ending(end: End, *, error: str | None, error_code: str | None) -> Draft:
    """The terminal event.

    Args:
        error: What went wrong by the agent's own account; ``None`` for a success.
        error_code: Its code, where the agent's account gives a better one than the exit status.
    """
    facts: Json = {}
    if end.exit_code is not None:
        facts["exit_code"] = end.exit_code
    if end.duration_ms is not None:
        facts["duration_ms"] = end.duration_ms
    if end.error_code is not None:
        return _failed(end.error or "the agent could not run", end.error_code, facts)
    if end.reason in INTERRUPTING:
        return _failed(f"interrupted: {end.reason}", "interrupted", facts)
    if end.reason is not None:
        status = "timeout" if end.reason == "timeout" else "cancelled"
        return Draft("run_completed", {"status": status, "reason": end.reason, **facts})
    if error is None and end.exit_code == 0:
        return Draft("run_completed", {"status": "done", **facts})
    return _failed(error or describe_exit(end), error_code or "exit_nonzero", facts)


def describe_exit(end: End) -> str:
    """For a person: ``exited with code 3``, ``killed by SIGKILL``."""
    if end.signal is not None:
        try:
            name = signal.Signals(end.signal).name
        except ValueError:
            name = f"signal {end.signal}"
        return f"killed by {name}"
    return f"exited with code {end.code}"


def _failed(error: str, error_code: str, facts: Json) -> Draft:
    return Draft(
        "run_failed", {"error": error[:MAX_ERROR_CHARS], "error_code": error_code, **facts}
    )
