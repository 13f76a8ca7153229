"""Events that are alike for all agents: plans, calls of a shell, files that tools touch."""

import shlex
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from runwatch_nodemanager.agents.protocol import Draft, Json

SHELLS: Final = frozenset({"bash", "dash", "sh", "zsh"})
COMMAND_FLAGS: Final = frozenset({"-c", "-lc", "-ic", "-lic"})


def plan(items: Sequence[tuple[str, bool]], now: str | None = None) -> Draft | None:
    """The agent's plan as progress; ``None`` for an empty one.

    Args:
        items: Text, and whether it is done.
        now: What it says it is at; else the first that is not done.
    """
    if not items:
        return None
    done = sum(1 for _, finished in items if finished)
    payload: Json = {
        "progress": done / len(items),
        "items": [{"text": text, "done": finished} for text, finished in items],
    }
    message = now or next((text for text, finished in items if not finished), None)
    return Draft("progress", payload if message is None else {**payload, "message": message})


def denied(tool: str, call_id: str | None, reason: str) -> Draft:
    """A call that was not permitted: nobody was there to ask."""
    facts = {"code": "permission_denied", "message": f"{tool}: {reason}", "tool": tool}
    return Draft("warning", facts if call_id is None else {**facts, "id": call_id})


def inner_command(line: str) -> str:
    """What a shell was given to run: ``ls`` of ``/bin/bash -lc ls``; anything else as it is."""
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    if len(words) != 3 or words[1] not in COMMAND_FLAGS:
        return line
    return words[2] if PurePath(words[0]).name in SHELLS else line
