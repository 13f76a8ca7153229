"""Where each agent writes its transcripts, and which session a path belongs to; reads no files.

Source: `agent-formats`, sections 1.5, 2.5, 3.5 and 4.5.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
MOST_ID_CHARS: Final = 100
LANE_CHARS: Final = 7
ROLLOUT: Final = re.compile(
    r"rollout-.*?-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.jsonl"
)

SHORT_ID_CHARS: Final = 8
GEMINI_NAME: Final = re.compile(r"session-.*-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A directory one agent writes below; ``deepest`` counts the folders down to its files."""

    agent_type: str
    path: Path
    deepest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a file is: a session's own transcript, or one of its sub-agents' (``lane`` is set).

    Args:
        session: The session's name within its agent; fits an id of the contract.
    """

    agent_type: str
    session: str
    lane: str = ""

    @property
    def external_id(self) -> str:
        return f"{self.agent_type}:{self.session}"


def find_roots(home: Path, environment: Mapping[str, str]) -> list[Root]:
    """The four agents' directories, whether they exist or not."""

    def under(variable: str, default: str) -> Path:
        told = environment.get(variable, "")
        return Path(told) if Path(told).is_absolute() else home / default

    gemini = environment.get("GEMINI_CLI_HOME", "")
    gemini_home = Path(gemini) / ".gemini" if Path(gemini).is_absolute() else home / ".gemini"
    return [
        Root(
            agent_type="claude-code",
            path=under("CLAUDE_CONFIG_DIR", ".claude") / "projects",
            deepest=3,
        ),
        Root(agent_type="openai-codex", path=under("CODEX_HOME", ".codex") / "sessions", deepest=3),
        Root(agent_type="gemini-cli", path=gemini_home / "tmp", deepest=3),
        Root(agent_type="qwen-code", path=under("QWEN_HOME", ".qwen") / "projects", deepest=2),
    ]


def place_of(root: Root, path: Path) -> Place | None:
    """What a file below a root is; ``None`` for one that is no transcript."""
    parts = path.relative_to(root.path).parts
    return _PLACES[root.agent_type](parts)


def is_older_subagent(root: Root, path: Path) -> bool:
    """Whether a file is a sub-agent's as Claude Code kept them before 2.1: beside its session."""
    parts = path.relative_to(root.path).parts
    named = path.name.startswith("agent-") and path.suffix == ".jsonl"
    return root.agent_type == "claude-code" and len(parts) == 2 and named


def subagent_place(session: str, stem: str) -> Place | None:
    """The place of a sub-agent of a session of Claude Code."""
    return _place("claude-code", session, lane=_lane(stem))


def may_hold(root: Root, folder: Path) -> bool:
    """Whether transcripts may lie in or below a folder."""
    parts = folder.relative_to(root.path).parts
    if len(parts) > root.deepest:
        return False
    if root.agent_type == "claude-code" and len(parts) == root.deepest:
        return parts[-1] == "subagents"
    if root.agent_type in {"gemini-cli", "qwen-code"} and len(parts) > 1:
        return parts[1] == "chats"
    return True


def _claude(parts: tuple[str, ...]) -> Place | None:
    name = parts[-1]
    if not name.endswith(".jsonl"):
        return None
    stem = name.removesuffix(".jsonl")
    if len(parts) == 2 and not stem.startswith("agent-"):
        return _place("claude-code", stem)
    if len(parts) == 4 and parts[2] == "subagents" and stem.startswith("agent-"):
        return subagent_place(parts[1], stem)
    return None


def _codex(parts: tuple[str, ...]) -> Place | None:
    found = ROLLOUT.fullmatch(parts[-1])
    return _place("openai-codex", found[1]) if found else None


def _gemini(parts: tuple[str, ...]) -> Place | None:
    name = parts[-1]
    if len(parts) < 3 or parts[1] != "chats" or not name.endswith((".json", ".jsonl")):
        return None
    stem, project = name.rpartition(".")[0], parts[0][:40]
    if len(parts) == 3:
        found = GEMINI_NAME.fullmatch(stem)
        return _place("gemini-cli", f"{project}.{found[1] if found else stem}")
    # A sub-agent lies in a folder with its parent's whole id, the parent's name has a part of it.
    return _place("gemini-cli", f"{project}.{parts[2][:SHORT_ID_CHARS]}", lane=_lane(stem))


def _qwen(parts: tuple[str, ...]) -> Place | None:
    name = parts[-1]
    if len(parts) != 3 or parts[1] != "chats" or not name.endswith(".jsonl"):
        return None
    return _place("qwen-code", name.removesuffix(".jsonl"))


def _place(agent_type: str, session: str, *, lane: str = "") -> Place | None:
    fit = UNFIT.sub("-", session).strip("-.")[-MOST_ID_CHARS:]
    return Place(agent_type=agent_type, session=fit, lane=lane) if fit else None


def _lane(stem: str) -> str:
    name = UNFIT.sub("-", stem.removeprefix("agent-"))[:LANE_CHARS]
    return f"agent-{name}"


_PLACES: Final = {
    "claude-code": _claude,
    "openai-codex": _codex,
    "gemini-cli": _gemini,
    "qwen-code": _qwen,
}
