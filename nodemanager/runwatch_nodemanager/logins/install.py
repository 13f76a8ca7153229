"""What a login left is put into its account's home; files only, the account stays as it was if it
fails.
"""

from pathlib import Path
from typing import Final

import msgspec

from runwatch_nodemanager.agents.registry import agent_type as canonical
from runwatch_nodemanager.logins.home_files import read_file, read_json_file, write_file
from runwatch_nodemanager.logins.kept_account import Accounts, KeptAccount, Record, place_of
from runwatch_nodemanager.logins.keys import (
    CLAUDE_SETTINGS,
    KEEPERS,
    TOKEN_VARIABLE,
    KeyRefusedError,
    keep_key,
    keep_variable,
    without_key,
)
from runwatch_nodemanager.logins.recipes import API_KEY
from runwatch_shared.settings import NodeSettings
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

TOKEN_LIVES_US: Final = 365 * 86400 * MICROSECONDS_PER_SECOND
"""Of ``claude setup-token``, as it says itself."""
KEY_MARK: Final = "{key}"
"""Stands for the key in the variables of a configured login by key."""


def install(accounts: Accounts, record: Record, staged: Path, *, now_us: int) -> KeptAccount:
    """Take a login over from the home it was carried out in. Again is without effect.

    Raises:
        OSError: It cannot be written.
    """
    settings = read_json_file(staged, CLAUDE_SETTINGS)
    env = settings.get("env") if isinstance(settings, dict) else None
    token = env.get(TOKEN_VARIABLE) if isinstance(env, dict) else None
    if record.agent_type == "claude-code" and isinstance(token, str):
        record = msgspec.structs.replace(record, expires_at_us=now_us + TOKEN_LIVES_US)
    account = accounts.keep(record)
    for name in place_of(record.agent_type, record).files:
        data = read_file(staged, name)
        if data is not None:
            write_file(account.home, name, data)
    without_key(account.home, record.agent_type)
    if record.agent_type == "claude-code" and isinstance(token, str):
        keep_variable(account.home, record.agent_type, token)
    return account


def store_key(accounts: Accounts, record: Record, settings: NodeSettings, key: str) -> None:
    """Let the account be that of a key.

    Raises:
        KeyRefusedError: Its agent takes none.
        OSError: It cannot be written.
    """
    variables = next(
        (
            recipes[API_KEY].variables
            for name, recipes in settings.logins.items()
            if canonical(name) == record.agent_type and API_KEY in recipes
        ),
        None,
    )
    if variables is None and record.agent_type not in KEEPERS:
        raise KeyRefusedError(f"{record.agent_type} takes no API key on this node")
    account = accounts.keep(msgspec.structs.replace(record, files=[], variables={}))
    if variables is not None:
        given = {name: text.replace(KEY_MARK, key) for name, text in variables.items()}
        accounts.give(account, given)
        return
    keep_key(account.home, record.agent_type, key)
