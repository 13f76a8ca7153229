"""Qwen Code: its command line and where it is found; its output is read in `qwen_stream`."""

from typing import Final

from runwatch_nodemanager.agents.protocol import Json
from runwatch_nodemanager.agents.qwen_stream import QwenAdapter
from runwatch_nodemanager.agents.vendor import StreamJsonAgent
from runwatch_shared.models import Snapshot

FLAG_OF_PARAMETER: Final[dict[str, str]] = {
    "approval_mode": "--approval-mode",
    "yolo": "--yolo",
    "auth_type": "--auth-type",
    "openai_base_url": "--openai-base-url",
    "max_session_turns": "--max-session-turns",
    "max_wall_time": "--max-wall-time",
    "max_tool_calls": "--max-tool-calls",
    "resume": "--resume",
    "continue": "--continue",
    "session_id": "--session-id",
    "fork_session": "--fork-session",
    "system_prompt": "--system-prompt",
    "append_system_prompt": "--append-system-prompt",
    "fallback_model": "--fallback-model",
    "include_directories": "--include-directories",
    "include_partial_messages": "--include-partial-messages",
    "allowed_tools": "--allowed-tools",
    "exclude_tools": "--exclude-tools",
    "sandbox": "--sandbox",
    "bare": "--bare",
}
"""Parameters of the agent that become flags; others have no effect here. A key has none: everybody
on a machine can read its command lines."""
REPEATED: Final = frozenset({"include_directories", "allowed_tools", "exclude_tools"})
RESUMING: Final = ("resume", "continue")
ENVIRONMENT: Final = {"QWEN_CODE_SUPPRESS_YOLO_WARNING": "1"}
"""Set unless the run or the node sets it itself."""


class QwenAgent(StreamJsonAgent):
    """``qwen --output-format=stream-json``, the prompt on standard input."""

    type = "qwen-code"
    program = "qwen"
    flags = FLAG_OF_PARAMETER
    repeated = REPEATED
    environment = ENVIRONMENT

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> QwenAdapter:
        resumed = any(snapshot.agent.parameters.get(name) for name in RESUMING)
        return QwenAdapter(saved, resumed=resumed, prices=self._prices)
