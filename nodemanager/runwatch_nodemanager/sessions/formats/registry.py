"""The reader of each agent's transcripts, by agent type."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from runwatch_nodemanager.sessions.formats.claude import ClaudeReader
from runwatch_nodemanager.sessions.formats.codex import CodexReader
from runwatch_nodemanager.sessions.formats.gemini import GeminiReader
from runwatch_nodemanager.sessions.formats.protocol import EntryReader
from runwatch_nodemanager.sessions.formats.qwen import QwenReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How one agent's transcripts are read.

    Args:
        short: The agent's name in ``x_<short>_…``.
        open: A fresh reader (``None``), or one that goes on from what another one saved.
    """

    short: str
    open: Callable[[Any], EntryReader]


FORMATS: Final[dict[str, Format]] = {
    "claude-code": Format(short="claude", open=ClaudeReader),
    "openai-codex": Format(short="codex", open=CodexReader),
    "gemini-cli": Format(short="gemini", open=GeminiReader),
    "qwen-code": Format(short="qwen", open=QwenReader),
}
