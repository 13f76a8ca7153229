"""A home directory with transcripts, and a session read out of it batch by batch."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from runwatch_nodemanager.sessions.formats.entries import Moved
from runwatch_nodemanager.sessions.formats.protocol import Tally
from runwatch_nodemanager.sessions.head import Head, read_head
from runwatch_nodemanager.sessions.positions import Told
from runwatch_nodemanager.sessions.reading import SessionReading

ROOT = Path(__file__).parents[3]
SAMPLES = Path(os.environ.get("RUNWATCH_SAMPLES", ROOT.parent / "shared" / "samples"))
AGENT_OF_FOLDER = {
    "claude-transcript": "claude-code",
    "codex-rollout": "openai-codex",
    "gemini-session": "gemini-cli",
    "qwen-session": "qwen-code",
}
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
MOST_ROUNDS = 1000


class Desk:
    """One session's files, read as a follower reads them; all that is told is taken as stored."""

    def __init__(self, agent_type: str, *, first_bytes: int = 0, root: Path | None = None) -> None:
        self.told = Told()
        self.moved: list[Moved] = []
        self.files: dict[str, str] = {}
        self.head = Head()
        self._new_run = True
        self._reading = SessionReading(
            agent_type,
            node_id="n1",
            first_bytes=first_bytes,
            finish=lambda payload: payload,
            root=root,
        )

    def add(self, path: Path, lane: str = "") -> None:
        self.files[str(path)] = lane
        if not lane:
            self.head = read_head(path)

    def begin_run(self) -> None:
        """What comes is of a later run."""
        self.moved.clear()
        self._new_run = True

    def read(self, *, last: bool = False) -> list[Moved]:
        """Everything that is new in the files."""
        new: list[Moved] = []
        for _ in range(MOST_ROUNDS):
            filled = self._reading.fill(
                self.told, self.head, self.files, new_run=self._new_run, last=last
            )
            self.told = filled.after
            self._new_run = self._new_run and not filled.moved
            self.told.next_seq += len(filled.moved)
            new += filled.moved
            if not filled.progressed:
                self.moved += new
                return new
        raise AssertionError("reading does not come to an end")

    @property
    def types(self) -> dict[str, int]:
        return dict(sorted(Counter(draft.type for draft, _ in self.moved).items()))

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        return [draft.payload for draft, _ in self.moved if draft.type == kind]

    def contents(self) -> list[str]:
        return [str(payload.get("content")) for payload in self.payloads("message")]

    def usage(self) -> dict[str, float]:
        """As the server adds it up: turns added, a total in their place."""
        total: Counter[str] = Counter()
        cost = None
        for draft, _ in self.moved:
            usage = draft.payload.get("usage")
            if not isinstance(usage, dict):
                continue
            tokens = {name: int(usage.get(name, 0)) for name in TOKENS}
            cost = usage.get("cost_usd", cost)
            total = Counter(tokens) if usage["scope"] == "total" else total + Counter(tokens)
        used: dict[str, float] = {name: total[name] for name in TOKENS if total[name]}
        return used if cost is None else {**used, "cost_usd": round(cost, 6)}

    def tally(self) -> Tally:
        return self.told.tally()

    def open_calls(self) -> set[str]:
        begun = [payload["id"] for payload in self.payloads("tool_use_start") if "id" in payload]
        ended = [payload["id"] for payload in self.payloads("tool_result") if "id" in payload]
        assert len(set(begun)) == len(begun)
        assert len(set(ended)) == len(ended)
        return set(begun) - set(ended)


def line(**facts: Any) -> str:
    return json.dumps(facts) + "\n"


def spoken(number: int, *, role: str = "user", **facts: Any) -> str:
    """A line of Claude Code's transcript: message ``number``, a second after the one before."""
    content: Any = f"message {number}"
    message: dict[str, Any] = {"role": role, "content": content}
    if role == "assistant":
        message = {
            "id": f"msg_{number}",
            "role": role,
            "model": "claude-x",
            "stop_reason": "end_turn",
            "content": [{"type": "text", "text": content}],
            "usage": {"input_tokens": 10, "output_tokens": number},
        }
    minute, second = divmod(number, 60)
    usual = {
        "type": role,
        "uuid": f"u{number}",
        "sessionId": "s1",
        "cwd": "/home/user/demo",
        "version": "2.1.330",
        "timestamp": f"2026-11-24T10:{minute:02d}:{second:02d}.000Z",
        "message": message,
    }
    return line(**{**usual, **facts})
