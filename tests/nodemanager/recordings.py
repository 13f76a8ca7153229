"""Where the recorded sessions of agents lie, how they are read, and what they tell themselves."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.agents.claude_stream import ClaudeAdapter
from runwatch_nodemanager.agents.codex_stream import CodexAdapter
from runwatch_nodemanager.agents.gemini_stream import GeminiAdapter
from runwatch_nodemanager.agents.json_stream import JsonStream
from runwatch_nodemanager.agents.protocol import Draft, Line
from runwatch_nodemanager.agents.qwen_stream import QwenAdapter

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(os.environ.get("RUNWATCH_SAMPLES", ROOT.parent / "shared" / "samples"))

READERS: dict[str, Callable[[Any], JsonStream[Any]]] = {
    "claude-stream": ClaudeAdapter,
    "codex-exec": CodexAdapter,
    "gemini-stream": GeminiAdapter,
    "qwen-stream": QwenAdapter,
}
"""The reader of each folder of recordings."""
AGENTS = {
    "claude-stream": "claude",
    "codex-exec": "codex",
    "gemini-stream": "gemini",
    "qwen-stream": "qwen",
}
FIELDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
ENDINGS = {
    "ok": ("run_completed", 0),
    "subagent": ("run_completed", 0),
    "hooks": ("run_completed", 0),
    "partial": ("run_completed", 0),
    "400": ("run_failed", 1),
    "401": ("run_failed", 1),
    "badmodel": ("run_failed", 1),
    "budget": ("run_failed", 1),
    "maxturns": ("run_failed", 1),
    "sigint": ("run_failed", 0),
    "sigterm": ("run_failed", 143),
}
"""Last event and exit status of our own recordings, by case (SOURCES.md beside them)."""


def recording_paths(kind: str) -> list[object]:
    """Parameters for a test; one that says what is absent where there are no recordings."""
    found = sorted((SAMPLES / kind).glob("*.jsonl"))
    if found:
        return list(found)
    skip = pytest.mark.skip(reason=f"no recordings under {SAMPLES / kind}")
    return [pytest.param(Path("absent.jsonl"), marks=skip)]


def read_lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def exit_codes(kind: str) -> dict[str, int]:
    """Exit status of each recording whose description names one; the others ended with 0."""
    told = (SAMPLES / "SOURCES.md").read_text("utf-8")
    section = told.partition(f"## {kind}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\S+\.jsonl) \|.*\| exit code (\d+)[^|]*\|$", section, re.MULTILINE)
    return {name: int(code) for name, code in rows}


def play(lines: list[str], adapter: JsonStream[Any] | None = None) -> list[list[Draft]]:
    """The events of each line; lines come a millisecond apart."""
    reader = adapter or ClaudeAdapter(None)
    return [
        reader.line(Line(stream="stdout", text=line, moment_us=1_700_000_000_000_000 + n * 1000))
        for n, line in enumerate(lines)
    ]


def fold_usage(drafts: list[Draft]) -> dict[str, Any]:
    """The run's usage by contract 9.3: turns add, a total replaces what its session had."""
    sessions: dict[str, dict[str, Any]] = {}
    for draft in drafts:
        usage = draft.payload.get("usage")
        if usage is None:
            continue
        sums = sessions.setdefault(usage.get("session_id", ""), {})
        scope = usage.get("scope", "total" if draft.type == "result" else "turn")
        for name in (*FIELDS, "cost_usd"):
            if name in usage:
                before = sums.get(name, 0) if scope == "turn" else 0
                sums[name] = before + usage[name]
    total: dict[str, Any] = {}
    for sums in sessions.values():
        for name, count in sums.items():
            total[name] = total.get(name, 0) + count
    return total


def told_by_result(lines: list[str]) -> dict[str, Any] | None:
    results = [value for line in lines if (value := json.loads(line)).get("type") == "result"]
    if not results:
        return None
    last = results[-1]
    models = (last.get("modelUsage") or {}).values()
    keys = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    own = (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    )
    if models:
        told = {ours: sum(m[k] for m in models) for ours, k in zip(FIELDS, keys, strict=True)}
    else:
        told = {ours: last["usage"][k] for ours, k in zip(FIELDS, own, strict=True)}
    return {**told, "cost_usd": last["total_cost_usd"]}
