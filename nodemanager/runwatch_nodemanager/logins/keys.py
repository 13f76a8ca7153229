"""Keys and tokens put where each agent looks for them in an account's home, mode 0600; on no
command line, in no log.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager.logins.home_files import (
    read_file,
    read_json_file,
    remove_file,
    write_file,
)
from runwatch_shared.errors import RunwatchError

LEAST_CHARS: Final = 8
MOST_CHARS: Final = 4096
TOKEN_VARIABLE: Final = "CLAUDE_CODE_OAUTH_TOKEN"
CLAUDE_SETTINGS: Final = ".claude/settings.json"


class KeyRefusedError(RunwatchError):
    """What cannot be a key, or an agent that takes none."""


def usable_key(key: str | None) -> str:
    """The key without blanks around it.

    Raises:
        KeyRefusedError: It cannot be one.
    """
    text = (key or "").strip()
    fits = LEAST_CHARS <= len(text) <= MOST_CHARS and text.isascii() and text.isprintable()
    if not fits or " " in text:
        raise KeyRefusedError("this is no API key: it has another length, or characters none has")
    return text


def keep_key(home: Path, agent_type: str, key: str) -> None:
    """So that the agent uses it from its next start, in place of any other login of the account.

    Raises:
        KeyRefusedError: The agent takes none.
        OSError: It cannot be written.
    """
    keeper = KEEPERS.get(agent_type)
    if keeper is None:
        raise KeyRefusedError(f"{agent_type} takes no API key")
    keeper(home, key)


def keep_variable(home: Path, agent_type: str, token: str) -> None:
    """A token that a login has shown; only Claude Code's is known."""
    if agent_type == "claude-code":
        _claude(home, token, name=TOKEN_VARIABLE)


def has_key(home: Path, agent_type: str) -> bool:
    """Whether one was put there by ``keep_key`` or ``keep_variable``."""
    match agent_type:
        case "claude-code" | "qwen-code":
            folder = ".claude" if agent_type == "claude-code" else ".qwen"
            settings = read_json_file(home, f"{folder}/settings.json")
            names = CLAUDE_NAMES if agent_type == "claude-code" else ("OPENAI_API_KEY",)
            return any(_at(settings, "env", name) for name in names)
        case "openai-codex":
            return bool(_at(read_json_file(home, ".codex/auth.json"), "OPENAI_API_KEY"))
        case "gemini-cli":
            return read_file(home, ".gemini/.env") is not None
        case _:
            return False


def _claude(home: Path, value: str, *, name: str = "ANTHROPIC_API_KEY") -> None:
    settings = _dict(read_json_file(home, CLAUDE_SETTINGS))
    others = {k: v for k, v in _dict(settings.get("env")).items() if k not in CLAUDE_NAMES}
    _write_json(home, CLAUDE_SETTINGS, {**settings, "env": {**others, name: value}})
    remove_file(home, ".claude/.credentials.json")


def _codex(home: Path, key: str) -> None:
    """As ``codex login --with-api-key`` writes it; older versions read the key alone."""
    _write_json(home, ".codex/auth.json", {"auth_mode": "apikey", "OPENAI_API_KEY": key})


def _gemini(home: Path, key: str) -> None:
    write_file(home, ".gemini/.env", f"GEMINI_API_KEY={key}\n".encode())
    _select(home, ".gemini/settings.json", "gemini-api-key")
    remove_file(home, ".gemini/oauth_creds.json")


def _qwen(home: Path, key: str) -> None:
    name = ".qwen/settings.json"
    _select(home, name, "openai")
    settings = _dict(read_json_file(home, name))
    env = {**_dict(settings.get("env")), "OPENAI_API_KEY": key}
    _write_json(home, name, {**settings, "env": env})
    remove_file(home, ".qwen/oauth_creds.json")


def without_key(home: Path, agent_type: str) -> None:
    """Take a key away that would count before a login by a page."""
    match agent_type:
        case "claude-code":
            settings = _dict(read_json_file(home, CLAUDE_SETTINGS))
            env = _dict(settings.get("env"))
            if env.keys() & set(CLAUDE_NAMES):
                kept = {k: v for k, v in env.items() if k not in CLAUDE_NAMES}
                _write_json(home, CLAUDE_SETTINGS, {**settings, "env": kept})
        case "gemini-cli":
            remove_file(home, ".gemini/.env")
            if read_file(home, ".gemini/settings.json") is not None:
                _select(home, ".gemini/settings.json", "oauth-personal")
        case _:
            return


def _select(home: Path, name: str, method: str) -> None:
    settings = _dict(read_json_file(home, name))
    security = _dict(settings.get("security"))
    auth = {**_dict(security.get("auth")), "selectedType": method}
    _write_json(home, name, {**settings, "security": {**security, "auth": auth}})


def _write_json(home: Path, name: str, value: Mapping[str, Any]) -> None:
    write_file(home, name, f"{json.dumps(value, indent=2)}\n".encode())


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


CLAUDE_NAMES: Final = ("ANTHROPIC_API_KEY", TOKEN_VARIABLE)
KEEPERS: Final[Mapping[str, Callable[[Path, str], None]]] = {
    "claude-code": _claude,
    "openai-codex": _codex,
    "gemini-cli": _gemini,
    "qwen-code": _qwen,
}
