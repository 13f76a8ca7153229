"""Claude Code: its command line and where it is found; its output is read in `claude_stream`."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager.agents.claude_stream import ClaudeAdapter
from runwatch_nodemanager.agents.protocol import AgentError, Json, Launch
from runwatch_shared.models import AgentOffer, Snapshot

PROGRAM: Final = "claude"
MAX_ARGUMENT_BYTES: Final = 100 * 1024
"""The kernel takes no argument above 128 KiB; a longer prompt goes to standard input."""
VERSION_TIMEOUT_S: Final = 10.0
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


class ClaudeAgent:
    """``claude -p PROMPT --output-format stream-json --verbose``."""

    type = "claude-code"

    def offer(self) -> AgentOffer:
        program = shutil.which(PROGRAM)
        if program is None:
            return AgentOffer(type=self.type, ready=False, reason=f"{PROGRAM} is not on the PATH")
        return AgentOffer(type=self.type, ready=True, version=_version(program))

    def launch(self, snapshot: Snapshot, *, cwd: Path, env: Mapping[str, str]) -> Launch:
        program = shutil.which(PROGRAM, path=env.get("PATH", os.defpath))
        if program is None:
            raise AgentError("agent_missing", f"{PROGRAM} is not on the PATH of this node")
        prompt = snapshot.prompt
        if "\0" in prompt:
            raise AgentError("start_failed", "the prompt holds a zero byte")
        # A prompt that looks like an option must not become one.
        as_input = prompt.startswith("-") or len(prompt.encode()) > MAX_ARGUMENT_BYTES
        argv = [program, "-p"]
        if not as_input:
            argv.append(prompt)
        argv += ["--output-format", "stream-json", "--verbose"]
        if snapshot.agent.model:
            argv.append(f"--model={snapshot.agent.model}")
        for name, value in snapshot.agent.parameters.items():
            argv += _flag(name, value)
        return Launch(
            argv=tuple(argv),
            cwd=str(cwd),
            env={**ENVIRONMENT, **env},
            stdin=prompt if as_input else None,
        )

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> ClaudeAdapter:
        return ClaudeAdapter(saved, resumed="resume" in snapshot.agent.parameters)


def _flag(name: str, value: Any) -> list[str]:
    flag = FLAG_OF_PARAMETER.get(name)
    match value:
        case _ if flag is None:
            return []
        case None | False:
            return []
        case True:
            return [flag]
        case list():
            text = ",".join(str(part) for part in value)
        case str() | int() | float():
            text = str(value)
        case _:
            raise AgentError("start_failed", f"agent.parameters.{name} has no such form")
    if "\0" in text or len(text.encode()) > MAX_ARGUMENT_BYTES:
        raise AgentError(
            "start_failed", f"agent.parameters.{name} is too long or holds a zero byte"
        )
    return [f"{flag}={text}"]


def _version(program: str) -> str | None:
    """The first word of what ``--version`` prints."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = answer.stdout.decode("utf-8", "replace").split()
    return words[0][:40] if words and answer.returncode == 0 else None
