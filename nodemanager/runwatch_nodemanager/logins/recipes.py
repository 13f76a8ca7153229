"""The logins that are known by themselves, by agent type and method; words of the real programs
(`agent-formats` 1.4, 2.4, 3.4, 4.4), and where each keeps what it knows of an account.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runwatch_shared.settings import LoginRecipe

HOME_MARK: Final = "{home}"
"""Stands for the account's home in the values of variables."""
OAUTH: Final = "oauth"
DEVICE_CODE: Final = "device_code"
API_KEY: Final = "api_key"
SETUP_TOKEN: Final = "setup_token"
"""Claude Code's other login by a page: a token for a year, in place of one that is renewed."""

_CLAUDE_URL: Final = r"https://[^\s\"'<>]+/oauth/authorize\?[^\s\"'<>]+"
_GEMINI_SETTINGS: Final = {
    "security": {"auth": {"selectedType": "oauth-personal"}, "folderTrust": {"enabled": False}},
    "ui": {"theme": "Default", "hideBanner": True, "hideTips": True},
    "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
}
"""Without these it asks for trust, theme and method on its first screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an agent type keeps an account.

    Args:
        variables: Make the agent use an account's home; values may hold `HOME_MARK`.
        others: Variables of this machine that would log it in as somebody else.
        auth_dir: Within a home, what belongs to the login and moves with it.
        files: Within a home, what a login by a page or a code leaves, the credential first.
    """

    variables: Mapping[str, str]
    others: frozenset[str]
    auth_dir: str
    files: tuple[str, ...]


PLACES: Final[Mapping[str, Place]] = {
    "claude-code": Place(
        variables={"CLAUDE_CONFIG_DIR": "{home}/.claude"},
        others=frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"}),
        auth_dir=".claude",
        files=(".claude/.credentials.json", ".claude/.claude.json"),
    ),
    "openai-codex": Place(
        variables={"CODEX_HOME": "{home}/.codex"},
        others=frozenset({"OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN"}),
        auth_dir=".codex",
        files=(".codex/auth.json",),
    ),
    "gemini-cli": Place(
        variables={"GEMINI_CLI_HOME": HOME_MARK},
        others=frozenset(
            {"GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"}
            | {"GOOGLE_GENAI_USE_GCA"}
        ),
        auth_dir=".gemini",
        files=(".gemini/oauth_creds.json", ".gemini/google_accounts.json"),
    ),
    "qwen-code": Place(
        variables={"QWEN_HOME": "{home}/.qwen"},
        others=frozenset(
            {"OPENAI_API_KEY", "BAILIAN_CODING_PLAN_API_KEY", "BAILIAN_TOKEN_PLAN_API_KEY"}
            | {"OPENROUTER_API_KEY", "DASHSCOPE_API_KEY"}
        ),
        auth_dir=".qwen",
        files=(".qwen/oauth_creds.json",),
    ),
}

RECIPES: Final[Mapping[str, Mapping[str, LoginRecipe]]] = {
    "claude-code": {
        OAUTH: LoginRecipe(
            command=["claude", "auth", "login", "--claudeai"],
            url=_CLAUDE_URL,
            prompt=r"Paste code here if prompted\s*>\s*\Z",
            success=r"Login successful",
            failure=r"Couldn't log in: (.+)|unknown command '?auth",
            status=["claude", "auth", "status"],
        ),
        SETUP_TOKEN: LoginRecipe(
            command=["claude", "setup-token"],
            url=_CLAUDE_URL,
            prompt=r"Paste code here if prompted",
            answers={r"Press Enter to retry": "\r"},
            refused=r"OAuth error: (.+)",
            token=r"(?m)^\s*(sk-ant-oat\S+)\s*$",
            success=r"authentication token created",
            status=["claude", "auth", "status"],
        ),
    },
    "openai-codex": {
        DEVICE_CODE: LoginRecipe(
            command=["codex", "login", "--device-auth"],
            url=r"https?://\S+/device\S*",
            code=r"(?m)^\s*([A-Z0-9]{4,6}-[A-Z0-9]{4,6})\s*$",
            lifetime=r"expires in (\d+) minutes",
            success=r"Successfully logged in",
            failure=r"Error logging in: (.+)|device code login is not enabled.*",
            status=["codex", "login", "status"],
        ),
    },
    "gemini-cli": {
        OAUTH: LoginRecipe(
            command=["gemini"],
            variables={"NO_BROWSER": "true", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
            files={".gemini/settings.json": json.dumps(_GEMINI_SETTINGS)},
            url=r"https://\S+/oauth2/\S+",
            prompt=r"Enter the authorization code:\s*\Z",
            refused=r"Failed to authenticate with authorization code:\s*(.+)",
            failure=r"(?m)^(Failed to authenticate with user code\.(?! Retrying).*)$",
            credential=".gemini/oauth_creds.json",
            exits=False,
        ),
    },
    "qwen-code": {
        OAUTH: LoginRecipe(
            command=["qwen", "--auth-type", "qwen-oauth"],
            variables={"NO_BROWSER": "true", "QWEN_CODE_SUPPRESS_YOLO_WARNING": "1"},
            url=r"https://\S+/authorize\?\S+",
            code=r"user_code=([A-Za-z0-9-]+)",
            failure=r"((?:Qwen )?OAuth free tier was discontinued[^.]*)"
            r"|(?:Qwen OAuth|[Aa]uthentication) (?:failed|timed out).*",
            credential=".qwen/oauth_creds.json",
            exits=False,
        ),
    },
}
