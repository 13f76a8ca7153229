"""Making ids for what the server creates, and telling which ids from outside can be one."""

import re
import secrets
from typing import Final, Literal

Prefix = Literal["task", "run", "op", "act", "proxy", "term", "agent", "user", "sess", "alert"]

_GIVEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def new_id(prefix: Prefix) -> str:
    """``<prefix>-<12 hex>`` (contract 1.1)."""
    return f"{prefix}-{secrets.token_hex(6)}"


def is_id(text: str) -> bool:
    """Whether a text fits the form of an id given by a client; anything else in a path is a 404."""
    return _GIVEN.fullmatch(text) is not None
