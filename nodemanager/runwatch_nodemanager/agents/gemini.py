"""Gemini CLI: its command line and where it is found; its output is read in `gemini_stream`."""

from typing import Final

from runwatch_nodemanager.agents.gemini_stream import GeminiAdapter
from runwatch_nodemanager.agents.protocol import Json
from runwatch_nodemanager.agents.vendor import StreamJsonAgent
from runwatch_shared.models import Snapshot

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


class GeminiAgent(StreamJsonAgent):
    """``gemini --output-format=stream-json``, the prompt on standard input."""

    type = "gemini-cli"
    program = "gemini"
    flags = FLAG_OF_PARAMETER
    repeated = REPEATED
    environment = ENVIRONMENT

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> GeminiAdapter:
        return GeminiAdapter(saved, prices=self._prices)
