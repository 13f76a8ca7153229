"""Any program: each line it prints is an event, its exit status is the result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runwatch_nodemanager.agents.endings import describe_exit, ending
from runwatch_nodemanager.agents.protocol import (
    AgentError,
    Draft,
    End,
    Json,
    Launch,
    Line,
)
from runwatch_shared.models import AgentOffer, Snapshot

CALL_ID: Final = "command"
"""Names the one call of the run, which its exit status closes."""
PROMPT_VARIABLE: Final = "RUNWATCH_PROMPT"
MAX_PROMPT_BYTES: Final = 100 * 1024
"""The kernel takes no environment string above 128 KiB."""
SHOWN_CHARS: Final = 300


class CommandAgent:
    """``agent.parameters.argv`` is what runs: a list, never given to a shell."""

    type = "command"

    def offer(self) -> AgentOffer:
        return AgentOffer(type=self.type, ready=True)

    def launch(self, snapshot: Snapshot, *, cwd: Path, env: Mapping[str, str]) -> Launch:
        argv = snapshot.agent.parameters.get("argv")
        if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
            raise AgentError("start_failed", "agent.parameters.argv must be a list of strings")
        if any("\0" in argument for argument in argv):
            raise AgentError("start_failed", "agent.parameters.argv holds a zero byte")
        variables = dict(env)
        if 0 < len(snapshot.prompt.encode()) <= MAX_PROMPT_BYTES and "\0" not in snapshot.prompt:
            variables.setdefault(PROMPT_VARIABLE, snapshot.prompt)
        return Launch(argv=tuple(argv), cwd=str(cwd), env=variables)

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> "CommandAdapter":
        return CommandAdapter(saved or {})


class CommandAdapter:
    """Lines to ``command_output``; the exit status closes the one call."""

    whole_lines = False

    def __init__(self, saved: Json) -> None:
        self._last_error = str(saved.get("last_error", ""))

    def save(self) -> Json:
        return {"last_error": self._last_error}

    def started(self, argv: list[str], cwd: str) -> list[Draft]:
        return [Draft("command", {"id": CALL_ID, "argv": argv, "cwd": cwd})]

    def line(self, line: Line) -> list[Draft]:
        text = line.text.removesuffix("\r")
        if line.stream == "stderr" and (shown := text[:SHOWN_CHARS].strip()):
            self._last_error = shown
        payload: Json = {line.stream: text}
        if line.piece:
            payload["piece"] = True
        return [Draft("command_output", payload)]

    def end(self, end: End) -> list[Draft]:
        if end.exit_code is None:
            return [ending(end, error=None, error_code=None)]
        error = None
        if end.exit_code != 0:
            error = describe_exit(end)
            if self._last_error:
                error = f"{error}: {self._last_error}"
        closed = Draft("command_output", {"id": CALL_ID, "exit_code": end.exit_code})
        return [closed, ending(end, error=error, error_code=None)]
