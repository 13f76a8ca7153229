"""What the beginning of a transcript tells of its session: a bounded look, made once."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import dict_at, joined_text, list_at, text_at
from runwatch_nodemanager.agents.protocol import Json
from runwatch_nodemanager.sessions.cutting import MOST_DOCUMENT_BYTES, open_file, whole_file
from runwatch_nodemanager.sessions.formats.entries import moment_of, objects_of

HEAD_BYTES: Final = 256 * 1024
MOST_ENTRIES: Final = 200
PROMPT_CHARS: Final = 120
OWN_WORDS: Final = ("<", "# AGENTS.md", "Caveat:", "This is the Gemini CLI", "[Request")
"""How texts begin that a program gives to its model as the user's."""
WORKSPACE: Final = re.compile(r"\*\*Workspace Directories:\*\*\s*\n\s*- (/[^\n]+)")
PROGRAM_ENTRIES: Final = ("sdk", "exec", "codex_exec")
"""Beginnings of how a session was started when no person sits before it."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a session; ``""`` and 0 where the transcript does not tell."""

    session_id: str = ""
    cwd: str = ""
    model: str = ""
    version: str = ""
    prompt: str = ""
    started_us: int = 0
    entrypoint: str = ""
    forked_from: str = ""

    @property
    def interactive(self) -> bool:
        """Whether a person may sit before it."""
        return not self.entrypoint.startswith(PROGRAM_ENTRIES)


def read_head(path: Path, *, root: Path | None = None) -> Head:
    """
    Args:
        root: Below what the file must lie; see `open_file`.

    Raises:
        OSError: The file cannot be read.
    """
    descriptor = open_file(path, root=root)
    try:
        if path.suffix == ".json":
            content = whole_file(descriptor) or b""
            entries: Iterator[Any] = _of_document(content[:MOST_DOCUMENT_BYTES])
        else:
            entries = _of_lines(os.pread(descriptor, HEAD_BYTES, 0))
        written_us = os.fstat(descriptor).st_mtime_ns // 1000
        return _gathered(entries, written_us)
    finally:
        os.close(descriptor)


def _of_document(content: bytes) -> Iterator[Any]:
    for value in objects_of(content.decode("utf-8", "replace")):
        if isinstance(value, dict):
            yield value
            yield from list_at(value, "messages")


def _of_lines(content: bytes) -> Iterator[Any]:
    for line in content.split(b"\n"):
        if line.strip():
            yield from objects_of(line.decode("utf-8", "replace"))


def _gathered(entries: Iterator[Any], written_us: int) -> Head:
    """The facts; a session that tells no time began when its file was written."""
    facts: dict[str, Any] = {}
    for number, value in enumerate(entries):
        if number >= MOST_ENTRIES or facts.keys() >= {"cwd", "model", "prompt", "session_id"}:
            break
        if not isinstance(value, dict):
            continue
        for name, fact in _facts(value).items():
            if fact:
                facts.setdefault(name, fact)
    return Head(**{"started_us": written_us, **facts})


def _facts(value: Json) -> dict[str, Any]:
    """What one entry of any of the four formats tells."""
    payload, message = dict_at(value, "payload"), dict_at(value, "message")
    meta = payload if text_at(value, "type") == "session_meta" else {}
    return {
        "session_id": text_at(value, "sessionId") or text_at(meta, "id"),
        "cwd": text_at(value, "cwd") or text_at(payload, "cwd") or _workspace(value),
        "model": _model(value, payload, message),
        "version": text_at(value, "version") or text_at(meta, "cli_version"),
        "prompt": _prompt(value, payload, message),
        "started_us": moment_of(value),
        "entrypoint": text_at(value, "entrypoint") or text_at(meta, "originator"),
        "forked_from": text_at(meta, "forked_from_id"),
    }


def _workspace(value: Json) -> str | None:
    """Gemini's working directory stands in what it tells its model first."""
    for message in list_at(value, "$set", "messages")[:1]:
        found = WORKSPACE.search(joined_text(dict_at({"m": message}, "m").get("content")))
        if found is not None:
            return found[1].strip()
    return None


def _model(value: Json, payload: Json, message: Json) -> str | None:
    model = text_at(value, "model") or text_at(payload, "model") or text_at(message, "model")
    return None if model is None or model.startswith("<") else model


def _prompt(value: Json, payload: Json, message: Json) -> str | None:
    """What the person asked first."""
    if value.get("isMeta") or value.get("isSidechain"):
        return None
    of_user = "user" in {text_at(value, "type"), text_at(message, "role"), text_at(payload, "role")}
    if not of_user and text_at(payload, "type") != "user_message":
        return None
    parts = message.get("content") or message.get("parts") or value.get("content")
    text = joined_text(parts or payload.get("content")) or text_at(payload, "message") or ""
    text = text.strip()
    if not text or text.startswith(OWN_WORDS):
        return None
    return text[: PROMPT_CHARS * 4]
