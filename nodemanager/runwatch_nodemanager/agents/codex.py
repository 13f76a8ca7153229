"""OpenAI Codex: its command line and where it is found; its output is read in `codex_stream`."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager.agents.carried import codex_carried, codex_home
from runwatch_nodemanager.agents.codex_stream import CodexAdapter
from runwatch_nodemanager.agents.json_values import text_at
from runwatch_nodemanager.agents.programs import (
    arguments_of,
    find_program,
    flags_of,
    prompt_of,
    usable_argument,
)
from runwatch_nodemanager.agents.protocol import AgentError, Json, Launch
from runwatch_nodemanager.agents.vendor import VendorAgent
from runwatch_shared.models import Snapshot

FLAG_OF_PARAMETER: Final[dict[str, str]] = {
    "sandbox": "--sandbox",
    "profile": "--profile",
    "add_dir": "--add-dir",
    "config": "--config",
    "enable": "--enable",
    "disable": "--disable",
    "image": "--image",
    "output_schema": "--output-schema",
    "ephemeral": "--ephemeral",
    "ignore_user_config": "--ignore-user-config",
    "approve_for_me": "--approve-for-me",
    "dangerously_bypass_approvals_and_sandbox": "--dangerously-bypass-approvals-and-sandbox",
}
"""Parameters of the agent that become flags; others have no effect here."""
REPEATED: Final = frozenset({"add_dir", "config", "enable", "disable", "image"})
NEWEST: Final = ("last", True)
"""Values of the parameter ``resume`` that mean the newest session."""
MAX_CONFIG_BYTES: Final = 1024 * 1024


class CodexAgent(VendorAgent):
    """``codex exec --json --skip-git-repo-check … -``, the prompt on standard input."""

    type = "openai-codex"
    program = "codex"

    def launch(self, snapshot: Snapshot, *, cwd: Path, env: Mapping[str, str]) -> Launch:
        parameters = snapshot.agent.parameters
        argv = [find_program(self._program, env), "exec", "--json", "--skip-git-repo-check"]
        if snapshot.agent.model:
            argv.append(f"--model={snapshot.agent.model}")
        argv += flags_of(_with_effort(parameters), FLAG_OF_PARAMETER, repeated=REPEATED)
        argv += arguments_of(parameters)
        resume = parameters.get("resume")
        memory: Json = {"model": snapshot.agent.model or _configured_model(env)}
        if resume in NEWEST:
            argv += ["resume", "--last"]
        elif resume:
            argv += ["resume", _session(resume)]
            memory["carried"] = codex_carried(env, str(resume))
        return Launch(
            argv=(*argv, "-"),
            cwd=str(cwd),
            env=dict(env),
            stdin=prompt_of(snapshot),
            memory=memory,
        )

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> CodexAdapter:
        memory = {"model": snapshot.agent.model} if saved is None else saved
        resumed = bool(snapshot.agent.parameters.get("resume"))
        return CodexAdapter(memory, resumed=resumed, prices=self._prices)


def _session(resume: Any) -> str:
    if not isinstance(resume, str) or resume.startswith("-"):
        raise AgentError("start_failed", "agent.parameters.resume is no session id")
    return usable_argument("resume", resume)


def _with_effort(parameters: Json) -> Json:
    """``config`` as a list of ``key=value``, ``effort`` among it."""
    pairs = [*_pairs(parameters.get("config"))]
    if isinstance(effort := parameters.get("effort"), str):
        pairs.append(f"model_reasoning_effort={json.dumps(effort)}")
    return {**parameters, "config": pairs} if pairs else parameters


def _pairs(config: Any) -> Iterator[Any]:
    match config:
        case dict():
            # A JSON string, number or truth value is one of TOML too.
            yield from (f"{key}={json.dumps(value)}" for key, value in config.items())
        case list():
            yield from config
        case None:
            return
        case _:
            yield config


def _configured_model(env: Mapping[str, str]) -> str | None:
    """The stream names no model: what Codex's own settings say, as it would read them."""
    path = codex_home(env) / "config.toml"
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return text_at(tomllib.loads(file.read(MAX_CONFIG_BYTES).decode()), "model")
    except (OSError, ValueError):
        return None
