"""Which agents run on this machine right now, by their working directories; reads ``/proc`` alone.

Nothing is asked of a process and none of another user is looked at.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
NAMES: Final = {
    "claude": "claude-code",
    "codex": "openai-codex",
    "gemini": "gemini-cli",
    "qwen": "qwen-code",
}
PACKAGES: Final = {
    "claude-code": "claude-code",
    "@openai/codex": "openai-codex",
    "gemini-cli": "gemini-cli",
    "qwen-code": "qwen-code",
}
"""Parts of the paths of their scripts."""
INTERPRETERS: Final = frozenset({"node", "bun", "deno"})
LOOKED_AT: Final = 6
"""Words of a command line: an interpreter, some options and the program."""
MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Running:
    """Working directories of the processes of each agent type; ``known`` False: cannot be told."""

    known: bool = False
    folders: dict[str, set[str]] = field(default_factory=dict)

    def alive(self, agent_type: str, cwd: str) -> bool | None:
        """Whether a process of a session runs.

        One of the same agent elsewhere may be it all the same, as an agent can be told to work in
        another directory than it was started in.
        """
        if not self.known:
            return None
        folders = self.folders.get(agent_type)
        if not folders:
            return False
        return True if cwd in folders else None


def look_at_processes(proc: Path = PROC) -> Running:
    """The agents of this user that run now. Blocks for some milliseconds."""
    try:
        names = os.listdir(proc)
    except OSError:
        return Running()
    folders: dict[str, set[str]] = {}
    seen = 0
    for name in names:
        if not name.isdigit():
            continue
        seen += 1
        found = _agent_of(proc / name)
        if found is not None:
            folders.setdefault(found[0], set()).add(found[1])
    return Running(known=seen > 0, folders=folders)


def agent_of_words(words: Sequence[str]) -> str | None:
    """The agent type that a command line starts; ``None`` for other programs."""
    program = words[0].rpartition("/")[2] if words else ""
    if program in NAMES:
        return NAMES[program]
    if program not in INTERPRETERS:
        return None
    for word in words[1:LOOKED_AT]:
        for package, agent_type in PACKAGES.items():
            if package in word:
                return agent_type
        name = word.rpartition("/")[2]
        if name in NAMES:
            return NAMES[name]
    return None


def _agent_of(process: Path) -> tuple[str, str] | None:
    try:
        if process.stat().st_uid != os.getuid():
            return None
        descriptor = os.open(process / "cmdline", os.O_RDONLY)
        try:
            content = os.read(descriptor, MOST_BYTES)
        finally:
            os.close(descriptor)
        words = content.decode("utf-8", "replace").split("\0")
        agent_type = agent_of_words(words)
        return None if agent_type is None else (agent_type, os.readlink(process / "cwd"))
    except OSError:
        return None
