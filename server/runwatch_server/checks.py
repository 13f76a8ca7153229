"""What a task or run may carry: lengths, ranges and forms, each refusal naming its field.

Source: contract 1.1 and 1.3 for limits, 8.1 for tasks. Nothing is stored here.
"""

from collections.abc import Mapping
from typing import Final

from runwatch_server.ids import is_id
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import Agent, Constraints, Prompt, Workspace
from runwatch_shared.settings import Limits
from runwatch_shared.states import AGENT_TYPE_ALIASES
from runwatch_shared.text import clean, has_control
from runwatch_shared.wire import AgentRequest

NAME_CHARS: Final = 200
TIMEOUT_RANGE_S: Final = (1, 604_800)
PRIORITY_RANGE: Final = (-100, 100)
AGENT_TYPE_CHARS: Final = 64
ENV_ENTRIES: Final = 256
KEY_CHARS: Final = 64


def as_prompt(prompt: str | Prompt) -> Prompt:
    """A prompt in its long form."""
    return Prompt(content=prompt) if isinstance(prompt, str) else prompt


def canonical_type(agent_type: str) -> str:
    """An agent type without its aliases (contract 8.1)."""
    return AGENT_TYPE_ALIASES.get(agent_type, agent_type)


def agent_of(asked: AgentRequest, other_type: str) -> Agent:
    """The agent that is asked for, under its canonical type; without one of ``other_type``."""
    return Agent(
        type=canonical_type(other_type if asked.type is None else asked.type),
        model=asked.model,
        parameters=asked.parameters or {},
        instance_id=asked.instance_id,
        account_id=asked.account_id,
    )


def entry(field: str, key: str) -> str:
    """The dotted path of a map's entry; the key is outside text, so it is cleaned and cut."""
    shown = clean(key, limit=KEY_CHARS, fold=True, marks=False)
    return f"{field}.{shown}" if shown else field


def check_agent(agent: Agent) -> None:
    """400 unless the type can be one and a command has its argument list."""
    if not is_id(agent.type) or len(agent.type) > AGENT_TYPE_CHARS:
        raise RefusedError("invalid_field", "agent.type is no agent type", field="agent.type")
    if agent.type != "command":
        return
    argv = agent.parameters.get("argv")
    field = "agent.parameters.argv"
    if argv is None:
        raise RefusedError("missing_field", f"{field} is required for command", field=field)
    if not isinstance(argv, list) or not argv:
        raise RefusedError("invalid_field", f"{field} must be a list of texts", field=field)
    for index, part in enumerate(argv):
        if not isinstance(part, str) or "\0" in part or not (index or part):
            place = f"{field}[{index}]"
            raise RefusedError("invalid_field", f"{place} must be a usable text", field=place)


def check_prompt(prompt: Prompt, limits: Limits) -> None:
    """400 for a prompt over its limit."""
    if len(prompt.content.encode()) > limits.prompt_bytes:
        raise RefusedError(
            "invalid_field",
            "prompt is too long",
            field="prompt",
            details={"max": limits.prompt_bytes},
        )


def check_text(text: str, field: str, most_chars: int) -> None:
    """400 for a name that is empty, too long, or holds a control or bidi character."""
    if not text.strip():
        raise RefusedError("invalid_field", f"{field} must not be empty", field=field)
    if len(text) > most_chars:
        raise RefusedError(
            "invalid_field", f"{field} is too long", field=field, details={"max": most_chars}
        )
    if has_control(text):
        raise RefusedError("invalid_field", f"{field} has a control character", field=field)


def check_labels(labels: Mapping[str, str | None], limits: Limits, field: str = "labels") -> None:
    """400 for too many labels, or one whose key or value does not fit (contract 1.3)."""
    if len(labels) > limits.labels:
        raise RefusedError(
            "invalid_field", "too many labels", field=field, details={"max": limits.labels}
        )
    for key, value in labels.items():
        if not key or len(key) > limits.label_key_chars or has_control(key) or ":" in key:
            raise RefusedError(
                "invalid_field", "a label's key does not fit", field=entry(field, key)
            )
        if value is not None and (len(value) > limits.label_value_chars or has_control(value)):
            raise RefusedError(
                "invalid_field", "a label's value does not fit", field=entry(field, key)
            )


def check_timeout(timeout_s: int | None) -> None:
    """400 outside 1 s to 7 days."""
    low, high = TIMEOUT_RANGE_S
    if timeout_s is not None and not low <= timeout_s <= high:
        raise RefusedError(
            "invalid_field",
            f"timeout_s must be {low} to {high}",
            field="timeout_s",
            details={"min": low, "max": high},
        )


def check_priority(priority: int) -> None:
    """400 outside -100 to 100."""
    low, high = PRIORITY_RANGE
    if not low <= priority <= high:
        raise RefusedError(
            "invalid_field",
            f"priority must be {low} to {high}",
            field="priority",
            details={"min": low, "max": high},
        )


def check_constraints(constraints: Constraints | None, limits: Limits) -> None:
    """400 for a node that can be none, or labels that do not fit."""
    if constraints is None:
        return
    if constraints.node_id is not None and not is_id(constraints.node_id):
        raise RefusedError(
            "invalid_field", "constraints.node_id is no id", field="constraints.node_id"
        )
    check_labels(constraints.node_labels or {}, limits, "constraints.node_labels")


def check_description(description: str | None, limits: Limits) -> None:
    if description is not None and len(description.encode()) > limits.description_bytes:
        raise RefusedError(
            "invalid_field",
            "description is too long",
            field="description",
            details={"max": limits.description_bytes},
        )


def check_workspace(workspace: Workspace | None) -> None:
    if workspace is None:
        return
    source = getattr(workspace, workspace.type)
    if source is None:
        field = f"workspace.{workspace.type}"
        raise RefusedError("missing_field", f"{field} is required", field=field)


def check_env(env: dict[str, str] | None, field: str = "env") -> None:
    """400 for a variable that cannot be set, or too many."""
    for name, value in (env or {}).items():
        if not name or "=" in name or "\0" in name or "\0" in value or has_control(name):
            raise RefusedError(
                "invalid_field",
                f"{field} has an entry that cannot be set",
                field=entry(field, name),
            )
    if env is not None and len(env) > ENV_ENTRIES:
        raise RefusedError("invalid_field", f"{field} is too long", field=field)
