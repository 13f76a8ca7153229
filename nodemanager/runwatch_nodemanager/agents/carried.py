"""What a session had used before this run resumed it, from the files its agent keeps of it.

Their totals go on from there (`agent-formats`, trap 6), so a run must subtract it. Read once, when
the run is started; a session not found here leaves it unknown.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import Json, dict_at, int_at, number_at
from runwatch_nodemanager.agents.programs import HERE, RUNTIME_VARIABLE

SESSION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{7,63}")
BLOCK_BYTES: Final = 1024 * 1024
MOST_BYTES: Final = 16 * BLOCK_BYTES
"""How far back a file is searched: its totals stand near its end."""
CLAUDE_TOKENS: Final = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_write_tokens": "cacheCreationInputTokens",
    "reasoning_tokens": "thinkingTokens",
}


def claude_carried(env: Mapping[str, str], session_id: str) -> Json | None:
    """Of a Claude Code session: tokens by our names and ``cost_usd``, as its ``cost-state`` says.

    Written since 2.1.330 (`agent-formats` 1.5); ``None`` where there is none.
    """
    base = _home(env, "CLAUDE_CONFIG_DIR", ".claude")
    for path in _files(base / "projects", f"*/{session_id}.jsonl", session_id):
        for value in _lines_backwards(path, b'"cost-state"'):
            cost = number_at(value, "totalCostUSD")
            if value.get("type") == "cost-state" and cost is not None:
                models = dict_at(value, "modelUsage").values()
                tokens = {
                    ours: sum(int_at(model, theirs) or 0 for model in models)
                    for ours, theirs in CLAUDE_TOKENS.items()
                }
                return {**tokens, "cost_usd": cost}
    return None


def codex_carried(env: Mapping[str, str], thread_id: str) -> Json | None:
    """Of a Codex thread: its total usage by Codex's own names, from its rollout (2.5 there)."""
    base = codex_home(env)
    for folder, pattern in (("sessions", "*/*/*/"), ("archived_sessions", "")):
        name = f"{pattern}rollout-*-{thread_id}.jsonl"
        for path in _files(base / folder, name, thread_id):
            for value in _lines_backwards(path, b'"total_token_usage"'):
                usage = dict_at(value, "payload", "info", "total_token_usage")
                if usage:
                    return {key: n for key in usage if (n := int_at(usage, key)) is not None}
            return {}
    return None


def codex_home(env: Mapping[str, str]) -> Path:
    """Where Codex keeps settings and sessions, by the environment it would be started with."""
    return _home(env, "CODEX_HOME", ".codex")


def _home(env: Mapping[str, str], variable: str, folder: str) -> Path:
    if env.get(RUNTIME_VARIABLE, HERE) != HERE:
        # Those are folders of the container, where no file of this machine stands.
        return Path(os.devnull)
    named = env.get(variable)
    return Path(named) if named else Path(env.get("HOME") or os.devnull) / folder


def _files(base: Path, pattern: str, session_id: str) -> list[Path]:
    """Files of this session, the newest first; none where the id is not one."""
    if SESSION_ID.fullmatch(session_id) is None:
        return []
    try:
        # Nothing else is opened: a pipe of that name would never be read to its end.
        found = [path for path in base.glob(pattern) if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []


def _lines_backwards(path: Path, mark: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of the file's lines that hold the mark, the last first."""
    try:
        with path.open("rb") as file:
            at = file.seek(0, os.SEEK_END)
            least = max(0, at - MOST_BYTES)
            rest = b""
            while at > least:
                begin = max(least, at - BLOCK_BYTES)
                file.seek(begin)
                first, *lines = (file.read(at - begin) + rest).split(b"\n")
                if begin == 0:
                    lines.insert(0, first)
                for line in reversed(lines):
                    if mark in line:
                        yield from _decoded(line)
                at, rest = begin, first
    except OSError:
        return


def _decoded(line: bytes) -> Iterator[dict[str, Any]]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return
    if isinstance(value, dict):
        yield value
