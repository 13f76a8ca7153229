"""Claude Code: its command line and where it is found; its output is read in `claude_stream`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runwatch_nodemanager.agents.carried import claude_carried
from runwatch_nodemanager.agents.claude_stream import ClaudeAdapter
from runwatch_nodemanager.agents.programs import (
    MAX_ARGUMENT_BYTES,
    arguments_of,
    find_program,
    flags_of,
    holds_value,
    prompt_of,
)
from runwatch_nodemanager.agents.protocol import Json, Launch
from runwatch_nodemanager.agents.vendor import VendorAgent
from runwatch_shared.models import Snapshot

FLAG_OF_PARAMETER: Final[dict[str, str]] = {
    "max_turns": "--max-turns",
    "max_budget_usd": "--max-budget-usd",
    "permission_mode": "--permission-mode",
    "allowed_tools": "--allowedTools",
    "disallowed_tools": "--disallowedTools",
    "system_prompt": "--system-prompt",
    "append_system_prompt": "--append-system-prompt",
    "fallback_model": "--fallback-model",
    "effort": "--effort",
    "resume": "--resume",
    "session_id": "--session-id",
    "mcp_config": "--mcp-config",
    "add_dir": "--add-dir",
    "settings": "--settings",
    "include_partial_messages": "--include-partial-messages",
    "include_hook_events": "--include-hook-events",
    "dangerously_skip_permissions": "--dangerously-skip-permissions",
}
"""Parameters of the agent that become flags; others have no effect here."""
ENVIRONMENT: Final = {
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
"""Set unless the run or the node sets them itself."""


class ClaudeAgent(VendorAgent):
    """``claude -p PROMPT --output-format stream-json --verbose``."""

    type = "claude-code"
    program = "claude"

    def launch(self, snapshot: Snapshot, *, cwd: Path, env: Mapping[str, str]) -> Launch:
        program = find_program(self._program, env)
        prompt = prompt_of(snapshot)
        parameters = snapshot.agent.parameters
        # One that looks like an option must not become one, and everybody can read arguments.
        as_input = (
            prompt.startswith("-")
            or len(prompt.encode()) > MAX_ARGUMENT_BYTES
            or holds_value(prompt, snapshot)
        )
        argv = [program, "-p"]
        if not as_input:
            argv.append(prompt)
        argv += ["--output-format", "stream-json", "--verbose"]
        if snapshot.agent.model:
            argv.append(f"--model={snapshot.agent.model}")
        argv += flags_of(parameters, FLAG_OF_PARAMETER)
        argv += arguments_of(parameters)
        carried = claude_carried(env, str(parameters.get("resume") or ""))
        return Launch(
            argv=tuple(argv),
            cwd=str(cwd),
            env={**ENVIRONMENT, **env},
            stdin=prompt if as_input else None,
            memory=None if carried is None else {"carried": carried},
        )

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> ClaudeAdapter:
        resumed = "resume" in snapshot.agent.parameters
        return ClaudeAdapter(saved, resumed=resumed, prices=self._prices)
