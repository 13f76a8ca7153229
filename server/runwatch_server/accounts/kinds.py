"""Kinds of agents and how one logs in to them: those built in, and those of the settings.

Files and commands are what each program has (agent formats 1.4, 2.4, 3.4, 4.4); a node runs them.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from runwatch_shared.errors import RefusedError, SettingsError
from runwatch_shared.logins import AgentType, OperationType
from runwatch_shared.settings import AgentTypeSettings
from runwatch_shared.states import AGENT_TYPE_ALIASES

ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _aliases(agent_type: str) -> list[str]:
    return [alias for alias, known in AGENT_TYPE_ALIASES.items() if known == agent_type]


_BUILT_IN: Final = (
    AgentType(
        id="claude-code",
        name="Claude Code",
        description="Anthropic's coding agent",
        image="runwatch/claude-code",
        auth_dir=".claude",
        auth_file=".credentials.json",
        login_cmd=["claude", "auth", "login"],
        login_methods=["oauth", "api_key"],
        needs_login=True,
        aliases=_aliases("claude-code"),
    ),
    AgentType(
        id="openai-codex",
        name="Codex",
        description="OpenAI's coding agent",
        image="runwatch/openai-codex",
        auth_dir=".codex",
        auth_file="auth.json",
        login_cmd=["codex", "login", "--device-auth"],
        login_methods=["device_code", "api_key"],
        needs_login=True,
        aliases=_aliases("openai-codex"),
    ),
    AgentType(
        id="gemini-cli",
        name="Gemini CLI",
        description="Google's coding agent",
        image="runwatch/gemini-cli",
        auth_dir=".gemini",
        auth_file="oauth_creds.json",
        login_cmd=["gemini"],
        login_methods=["oauth", "api_key"],
        needs_login=True,
        aliases=_aliases("gemini-cli"),
    ),
    AgentType(
        id="qwen-code",
        name="Qwen Code",
        description="Alibaba's coding agent",
        image="runwatch/qwen-code",
        auth_dir=".qwen",
        auth_file="oauth_creds.json",
        login_cmd=["qwen"],
        login_methods=["oauth", "api_key"],
        needs_login=True,
        aliases=_aliases("qwen-code"),
    ),
    AgentType(
        id="command",
        name="Command",
        description="A program and its arguments, without an agent",
        image="",
        auth_dir="",
        auth_file="",
        login_cmd=[],
        login_methods=[],
        needs_login=False,
        aliases=_aliases("command"),
    ),
)


class AgentTypes:
    """Every kind of agent this server knows, by id.

    Args:
        configured: Further ones, or others in the place of those built in (`[server.agent_types]`).

    Raises:
        SettingsError: An id is none, or two have one name.
    """

    def __init__(self, configured: Mapping[str, AgentTypeSettings]) -> None:
        self._known = {kind.id: kind for kind in _BUILT_IN}
        for type_id, settings in configured.items():
            if ID.fullmatch(type_id) is None:
                raise SettingsError(
                    f"agent_types: {type_id!r} is no name of small letters, digits and -"
                )
            self._known[type_id] = _of_settings(type_id, settings)
        names: dict[str, str] = {}
        for kind in self._known.values():
            for name in (kind.id, *kind.aliases):
                if names.setdefault(name, kind.id) != kind.id:
                    raise SettingsError(f"agent_types: {names[name]} and {kind.id} are both {name}")

    def all(self) -> list[AgentType]:
        return list(self._known.values())

    def get(self, type_id: str) -> AgentType | None:
        """By its id; an alias is none here (contract 13)."""
        return self._known.get(type_id)

    def require(self, type_id: str, field: str) -> AgentType:
        """The kind of an id that was given in a field.

        Raises:
            RefusedError: 400 ``invalid_value``.
        """
        found = self._known.get(type_id)
        if found is None:
            raise RefusedError(
                "invalid_value",
                f"{field} is no agent type",
                field=field,
                details={"allowed": list(self._known)},
            )
        return found


def require_method(kind: AgentType, method: OperationType) -> None:
    """Refuse a way of logging in that an agent does not have.

    Raises:
        RefusedError: 400 ``invalid_value``.
    """
    if method not in kind.login_methods:
        raise RefusedError(
            "invalid_value",
            f"{kind.id} has no login by {method}",
            field="type",
            details={"allowed": list(kind.login_methods)},
        )


def _of_settings(type_id: str, settings: AgentTypeSettings) -> AgentType:
    fields = msgspec.structs.asdict(settings)
    name = fields.pop("name") or type_id
    needs_login = fields.pop("needs_login")
    return AgentType(
        id=type_id,
        name=name,
        needs_login=bool(settings.login_methods) if needs_login is None else needs_login,
        **fields,
    )
