"""Login sessions as JSON Web Tokens: signing and reading them; whether one still lives is the
store's matter.

Source: contract 2.1: HS256, claims ``sub iat exp email role type sid``.
"""

import os
import secrets
from pathlib import Path
from typing import Any, Final, Literal

import jwt
import msgspec

from runwatch_server.rows import SessionRow, UserRow
from runwatch_shared.errors import SettingsError

ALGORITHM: Final = "HS256"
ACCESS_S: Final = 15 * 60
REFRESH_S: Final = 168 * 3600
KEY_BYTES: Final = 32
SHORTEST_KEY: Final = 32
_SECOND_US: Final = 1_000_000

Kind = Literal["access", "refresh"]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's token says; times in seconds since the epoch."""

    sub: str
    iat: int
    exp: int
    email: str
    role: Literal["admin", "user"]
    type: Kind
    sid: str


class Signer:
    """Makes and reads the tokens of sessions with one key."""

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def key(self) -> str:
        """What every server of a store shares; other keys are derived from it."""
        return self._key

    def sign(self, user: UserRow, session: SessionRow, kind: Kind, now_us: int) -> str:
        """A token of this kind; it ends no later than its session."""
        now = now_us // _SECOND_US
        life = ACCESS_S if kind == "access" else REFRESH_S
        claims = Claims(
            sub=user.id,
            iat=now,
            exp=min(now + life, session.expires_us // _SECOND_US),
            email=user.email,
            role=user.role,
            type=kind,
            sid=session.id,
        )
        return jwt.encode(msgspec.to_builtins(claims), self._key, algorithm=ALGORITHM)

    def read(self, text: str) -> Claims | None:
        """The claims of a token this key signed, ended or not; None for anything else."""
        try:
            # The end is judged by the server's own clock, which a test can move.
            found: dict[str, Any] = jwt.decode(
                text,
                self._key,
                algorithms=[ALGORITHM],
                options={"verify_exp": False, "verify_iat": False},
            )
            return msgspec.convert(found, Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            return None


def load_key(data_dir: Path, given: str) -> str:
    """The signing key: the one set, else that of the data directory, made on first start.

    Raises:
        SettingsError: The key that was set is too short to be safe.
        OSError: The file cannot be read or made.
    """
    if given:
        if len(given) < SHORTEST_KEY:
            raise SettingsError(f"jwt_secret must have at least {SHORTEST_KEY} characters")
        return given
    file = data_dir / "jwt-secret"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    key = secrets.token_hex(KEY_BYTES)
    with open(descriptor, "w") as output:
        output.write(f"{key}\n")
    return key
