"""Sessions that begin with another one's history: what is inherited is the other's to tell.

A fork is a new transcript that repeats its parent's entries (`agent-formats`, 1.5 and 2.5); telling
them again would double messages, tokens and cost.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import dict_at, text_at
from runwatch_nodemanager.sessions.cutting import lines_from, open_file
from runwatch_nodemanager.sessions.formats.entries import objects_of
from runwatch_nodemanager.sessions.head import Head

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a parent: what a child inherits beyond is told again."""
BEGINNING_BYTES: Final = 64 * 1024
KEPT: Final = 10_000
NEUTRAL: Final = frozenset({"session_meta", "turn_context", "world_state"})
"""Codex writes these anew in a fork."""

KeyOf = Callable[[Any], str | None]


class Forks:
    """Finds parents; remembers how each transcript begins, so that each is looked at once.

    Args:
        is_told: Whether the session of the first path was shown before, and not as a fork of the
            second's. Of two that share their beginning and were not, one is taken as the parent.
    """

    def __init__(self, is_told: Callable[[Path, Path], bool]) -> None:
        self._is_told = is_told
        self._first: dict[Path, str] = {}

    def parent_of(self, agent_type: str, path: Path, head: Head) -> Path | None:
        """The transcript that one was forked from, ``None`` for one that was not."""
        match agent_type:
            case "claude-code":
                return self._with_the_same_beginning(path)
            case "openai-codex":
                return _named_rollout(path, head.forked_from)
            case _:
                return None

    def _with_the_same_beginning(self, path: Path) -> Path | None:
        first = self._first_key(path)
        if not first:
            return None
        for sibling in sorted(path.parent.glob("*.jsonl")):
            if sibling == path or self._first_key(sibling) != first:
                continue
            if self._is_told(sibling, path) or _order(sibling) < _order(path):
                return sibling
        return None

    def _first_key(self, path: Path) -> str:
        known = self._first.get(path)
        if known is None:
            known = _first_uuid(path)
            if known:  # one that has only begun is looked at again
                self._first[path] = known
            while len(self._first) > KEPT:
                del self._first[next(iter(self._first))]
        return known


def inherited_bytes(agent_type: str, path: Path, parent: Path) -> int:
    """How much of a transcript's beginning is its parent's."""
    key_of: KeyOf = _codex_key if agent_type == "openai-codex" else _claude_key
    own = 0
    try:
        known = {key for _, keys in _keyed(parent, key_of) for key in keys}
        for end, keys in _keyed(path, key_of):
            if any(key not in known for key in keys):
                break
            if keys:
                own = end
    except OSError:
        return 0
    return own


def _keyed(path: Path, key_of: KeyOf) -> Iterator[tuple[int, list[str]]]:
    """Each line's end, and what its entries are known by."""
    descriptor = open_file(path)
    try:
        for line in lines_from(descriptor, 0):
            if line.end > MOST_BYTES:
                return
            text = (line.content or b"").decode("utf-8", "replace")
            keys = [key for value in objects_of(text) if (key := key_of(value)) is not None]
            yield line.end, keys
    finally:
        os.close(descriptor)


def _claude_key(value: Any) -> str | None:
    return text_at(value, "uuid")


def _codex_key(value: Any) -> str | None:
    if not isinstance(value, dict) or text_at(value, "type") in NEUTRAL:
        return None
    payload = msgspec.json.encode([value.get("type"), dict_at(value, "payload")], order="sorted")
    return hashlib.sha256(payload).hexdigest()[:16]


def _first_uuid(path: Path) -> str:
    try:
        descriptor = open_file(path)
    except OSError:
        return ""
    try:
        beginning = os.pread(descriptor, BEGINNING_BYTES, 0)
    finally:
        os.close(descriptor)
    for line in beginning.split(b"\n")[:-1]:
        for value in objects_of(line.decode("utf-8", "replace")):
            if (key := _claude_key(value)) is not None:
                return key
    return ""


def _named_rollout(path: Path, wanted: str) -> Path | None:
    if not wanted or not wanted.replace("-", "").isalnum():
        return None
    top = next((one for one in path.parents if one.name == "sessions"), path.parent)
    return next((one for one in top.rglob(f"rollout-*-{wanted}.jsonl") if one != path), None)


def _order(path: Path) -> int:
    """Some order that both of two files agree on."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0
