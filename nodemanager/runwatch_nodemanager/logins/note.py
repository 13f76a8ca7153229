"""What the node manager notes of a login, so that the next one can go on with it."""

from pathlib import Path
from typing import Final

import msgspec

from runwatch_nodemanager.logins.step import LoginFolder
from runwatch_nodemanager.run_folder import write_atomically

STAGING: Final = "home"
"""In a login's folder: the home it is carried out in. What succeeded goes from there to the
account's own, so a login that fails leaves the account as it was."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Of one login.

    Args:
        told: The number of the last step that the server has.
        installed: The account has it; only the server may not know yet.
    """

    action_id: str
    operation_id: str
    account_id: str
    agent_type: str
    method: str
    expires_at_us: int
    began_at_us: int
    contained: bool = False
    image: str | None = None
    told: int = 0
    installed: bool = False


def save_note(folder: LoginFolder, note: Note) -> None:
    write_atomically(folder.known, msgspec.json.encode(note))


def load_note(folder: LoginFolder) -> Note | None:
    """``None`` if it was never written."""
    try:
        return msgspec.json.decode(folder.known.read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError):
        return None


def staging(folder: LoginFolder) -> Path:
    return folder.path / STAGING
