"""Qwen Code: its command line and where it is found; its output is read in `qwen_stream`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runwatch_nodemanager.agents.prices import NO_PRICES, Prices
from runwatch_nodemanager.agents.programs import (
    arguments_of,
    find_program,
    flags_of,
    offer_of,
    prompt_of,
)
from runwatch_nodemanager.agents.protocol import Json, Launch
from runwatch_nodemanager.agents.qwen_stream import QwenAdapter
from runwatch_shared.models import AgentOffer, Snapshot

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


class QwenAgent:
    """``qwen --output-format=stream-json``, the prompt on standard input.

    Args:
        program: Its name on the PATH, or its path.
    """

    type = "qwen-code"
    program = "qwen"

    def __init__(self, program: str = program, prices: Prices = NO_PRICES) -> None:
        self._program = program
        self._prices = prices

    def offer(self) -> AgentOffer:
        return offer_of(self.type, self._program)

    def launch(self, snapshot: Snapshot, *, cwd: Path, env: Mapping[str, str]) -> Launch:
        parameters = snapshot.agent.parameters
        argv = [find_program(self._program, env), "--output-format=stream-json"]
        if snapshot.agent.model:
            argv.append(f"--model={snapshot.agent.model}")
        argv += flags_of(parameters, FLAG_OF_PARAMETER, repeated=REPEATED)
        argv += arguments_of(parameters)
        return Launch(
            argv=tuple(argv),
            cwd=str(cwd),
            env={**ENVIRONMENT, **env},
            stdin=prompt_of(snapshot),
        )

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> QwenAdapter:
        resumed = any(snapshot.agent.parameters.get(name) for name in RESUMING)
        return QwenAdapter(saved, resumed=resumed, prices=self._prices)
