"""Gemini CLI: its command line and where it is found; its output is read in `gemini_stream`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runwatch_nodemanager.agents.gemini_stream import GeminiAdapter
from runwatch_nodemanager.agents.prices import NO_PRICES, Prices
from runwatch_nodemanager.agents.programs import (
    arguments_of,
    find_program,
    flags_of,
    offer_of,
    prompt_of,
)
from runwatch_nodemanager.agents.protocol import Json, Launch
from runwatch_shared.models import AgentOffer, Snapshot

FLAG_OF_PARAMETER: Final[dict[str, str]] = {
    "approval_mode": "--approval-mode",
    "yolo": "--yolo",
    "sandbox": "--sandbox",
    "resume": "--resume",
    "session_id": "--session-id",
    "include_directories": "--include-directories",
    "policy": "--policy",
    "extensions": "--extensions",
    "allowed_tools": "--allowed-tools",
    "allowed_mcp_server_names": "--allowed-mcp-server-names",
}
"""Parameters of the agent that become flags; others have no effect here."""
REPEATED: Final = frozenset(
    {"include_directories", "policy", "extensions", "allowed_tools", "allowed_mcp_server_names"}
)
ENVIRONMENT: Final = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
"""Set unless the run or the node sets it itself: the workspace is the one the task names, and in
one that is not trusted nothing runs (`agent-formats` 3.1)."""


class GeminiAgent:
    """``gemini --output-format=stream-json``, the prompt on standard input.

    Args:
        program: Its name on the PATH, or its path.
    """

    type = "gemini-cli"
    program = "gemini"

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

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> GeminiAdapter:
        return GeminiAdapter(saved, prices=self._prices)
