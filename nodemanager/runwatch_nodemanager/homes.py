"""The home an account has on this node: where its agents and its login commands keep what they
know of it. One folder an account, of this user alone; what is in it is the agent's own.
"""

import re
from pathlib import Path
from typing import Final

from runwatch_nodemanager.identity import NodeFolder
from runwatch_shared.errors import RunwatchError

ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
"""Contract 13: ``<agent_type>_<name>`` with what may not stand in an id as ``_``."""
ACCOUNT_HOME: Final = "/home/agent"
"""Where a container of an account has its home, as ``HOME`` says there."""


class HomeError(RunwatchError):
    """There can be no home for what is no account's id."""


def account_home(folder: NodeFolder, account_id: str) -> Path:
    """The account's home on this node, whether it is there or not; ``HOME`` of what is its own.

    Raises:
        HomeError: The id is none an account can have.
    """
    if not ACCOUNT_ID.fullmatch(account_id):
        raise HomeError("the account's id is no safe folder name")
    return folder.path / "accounts" / account_id / "home"


def make_account_home(folder: NodeFolder, account_id: str) -> Path:
    """The same, made if it was not there.

    Raises:
        HomeError: See above.
        OSError: It cannot be made.
    """
    home = account_home(folder, account_id)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home
