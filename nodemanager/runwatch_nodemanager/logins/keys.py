"""Keys and tokens put where each agent looks for them in an account's home, mode 0600; on no
command line, in no log.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager.logins.step import read_json
from runwatch_nodemanager.run_folder import write_atomically
from runwatch_shared.errors import RunwatchError

LEAST_CHARS: Final = 8
MOST_CHARS: Final = 4096
TOKEN_VARIABLE: Final = "CLAUDE_CODE_OAUTH_TOKEN"


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
            settings = read_json(home / folder / "settings.json")
            names = CLAUDE_NAMES if agent_type == "claude-code" else ("OPENAI_API_KEY",)
            return any(_at(settings, "env", name) for name in names)
        case "openai-codex":
            return bool(_at(read_json(home / ".codex" / "auth.json"), "OPENAI_API_KEY"))
        case "gemini-cli":
            return (home / ".gemini" / ".env").is_file()
        case _:
            return False


def _claude(home: Path, value: str, *, name: str = "ANTHROPIC_API_KEY") -> None:
    path = home / ".claude" / "settings.json"
    settings = _dict(read_json(path))
    others = {k: v for k, v in _dict(settings.get("env")).items() if k not in CLAUDE_NAMES}
    _write_json(path, {**settings, "env": {**others, name: value}})
    (home / ".claude" / ".credentials.json").unlink(missing_ok=True)


def _codex(home: Path, key: str) -> None:
    """As ``codex login --with-api-key`` writes it; older versions read the key alone."""
    _write_json(home / ".codex" / "auth.json", {"auth_mode": "apikey", "OPENAI_API_KEY": key})


def _gemini(home: Path, key: str) -> None:
    _write(home / ".gemini" / ".env", f"GEMINI_API_KEY={key}\n")
    _select(home / ".gemini" / "settings.json", "gemini-api-key")
    (home / ".gemini" / "oauth_creds.json").unlink(missing_ok=True)


def _qwen(home: Path, key: str) -> None:
    path = home / ".qwen" / "settings.json"
    _select(path, "openai")
    settings = _dict(read_json(path))
    _write_json(path, {**settings, "env": {**_dict(settings.get("env")), "OPENAI_API_KEY": key}})
    (home / ".qwen" / "oauth_creds.json").unlink(missing_ok=True)


def without_key(home: Path, agent_type: str) -> None:
    """Take a key away that would count before a login by a page."""
    match agent_type:
        case "claude-code":
            path = home / ".claude" / "settings.json"
            settings = _dict(read_json(path))
            env = _dict(settings.get("env"))
            if env.keys() & set(CLAUDE_NAMES):
                kept = {k: v for k, v in env.items() if k not in CLAUDE_NAMES}
                _write_json(path, {**settings, "env": kept})
        case "gemini-cli":
            (home / ".gemini" / ".env").unlink(missing_ok=True)
            if (home / ".gemini" / "settings.json").exists():
                _select(home / ".gemini" / "settings.json", "oauth-personal")
        case _:
            return


def _select(path: Path, method: str) -> None:
    settings = _dict(read_json(path))
    security = _dict(settings.get("security"))
    auth = {**_dict(security.get("auth")), "selectedType": method}
    _write_json(path, {**settings, "security": {**security, "auth": auth}})


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    _write(path, json.dumps(value, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, text.encode())


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
