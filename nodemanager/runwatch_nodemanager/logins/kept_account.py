"""What this node keeps of each account it is logged in to: a record, a home, what they are worth.

Reads files; starts nothing. A home is the agent's own but for what a login puts into it.
"""

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from runwatch_nodemanager.homes import ACCOUNT_ID, HomeError, account_home, make_account_home
from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.logins.home_files import read_file, read_json_file
from runwatch_nodemanager.logins.keys import has_key
from runwatch_nodemanager.logins.recipes import HOME_MARK, PLACES, Place
from runwatch_nodemanager.logins.step import read_json
from runwatch_nodemanager.run_folder import write_atomically
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

RECORD: Final = "account.json"
VARIABLES: Final = "variables.json"
"""Beside the home: variables that runs of the account get, for agents that read no file."""
EXPIRING_US: Final = 3 * 86400 * MICROSECONDS_PER_SECOND
LEAST_SECRET_CHARS: Final = 12
MOST_SECRETS: Final = 100

CODEX_KEY: Final = "OPENAI_API_KEY"
SHAPES: Final = ("claudeAiOauth", "tokens", CODEX_KEY, "access_token", "expiry_date")
"""Of the agents known here: one of them without a token is no login, whatever else may be one."""

State = Literal["ok", "expiring", "expired", "missing"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Of one account here.

    Args:
        expires_at_us: When the login ends, where no file of the agent's says it.
        refused: The credential's stamp when a vendor did not take it any more.
        files: Within the home, what a configured login leaves.
        variables: Make a configured agent use the home; values may hold `HOME_MARK`.
    """

    id: str
    agent_type: str
    method: str
    logged_in_at_us: int
    expires_at_us: int | None = None
    refused: str | None = None
    files: list[str] = []
    variables: dict[str, str] = {}
    auth_dir: str = ""


class KeptAccount:
    """One account of this node, read from its record when it was made."""

    def __init__(self, folder: NodeFolder, record: Record) -> None:
        self.record = record
        self.home = account_home(folder, record.id)

    @property
    def place(self) -> Place:
        """Where its agent type keeps it."""
        return place_of(self.record.agent_type, self.record)

    def variables(self, home: str) -> dict[str, str]:
        """Make an agent use the account, whose home it sees as ``home``."""
        own = {name: value.replace(HOME_MARK, home) for name, value in self.place.variables.items()}
        kept = read_json(self.home.parent / VARIABLES)
        given = {str(k): str(v) for k, v in kept.items()} if isinstance(kept, dict) else {}
        return {**own, **given}

    @property
    def stamp(self) -> str:
        """Changes whenever the login does."""
        found = []
        for path in (*self._files(), self.home.parent / RECORD):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append(f"{path.name}:{status.st_mtime_ns}:{status.st_size}")
        return " ".join(found)

    def worth(self, now_us: int) -> tuple[State, int | None]:
        """How the login is, and when it ends if that is known."""
        record = self.record
        ends_at_us = record.expires_at_us
        if not has_key(self.home, record.agent_type) and not self._given():
            known, of_file = self._credential()
            if not known:
                return "missing", None
            ends_at_us = of_file or ends_at_us
        if record.refused is not None and record.refused == self.credential_stamp:
            return "expired", ends_at_us
        if ends_at_us is None:
            return "ok", None
        if ends_at_us <= now_us:
            return "expired", ends_at_us
        return ("expiring" if ends_at_us - now_us < EXPIRING_US else "ok"), ends_at_us

    @property
    def credential_stamp(self) -> str:
        """Of the credential alone."""
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                continue
            return f"{status.st_mtime_ns}:{status.st_size}"
        return ""

    def secrets(self) -> list[str]:
        """What must not be seen in the output of its runs."""
        found: list[str] = []
        for name in self._names():
            found += _secrets_in(read_json_file(self.home, name))
        found += _secrets_in(read_json(self.home.parent / VARIABLES))
        env = (
            read_file(self.home, ".gemini/.env") if self.record.agent_type == "gemini-cli" else None
        )
        lines = (env or b"").decode(errors="replace").splitlines()
        found += [line.partition("=")[2] for line in lines]
        return sorted({text for text in found if len(text) >= LEAST_SECRET_CHARS})[:MOST_SECRETS]

    def _files(self) -> list[Path]:
        return [self.home / name for name in self._names()]

    def _names(self) -> list[str]:
        named = list(self.place.files)
        match self.record.agent_type:
            case "claude-code":
                return [*named[:1], ".claude/settings.json"]
            case "gemini-cli":
                return [*named[:1], ".gemini/.env"]
            case "qwen-code":
                return [*named[:1], ".qwen/settings.json"]
            case _:
                return named

    def _given(self) -> bool:
        return (self.home.parent / VARIABLES).is_file()

    def _credential(self) -> tuple[bool, int | None]:
        files = self.place.files
        if not files:
            return self.home.is_dir(), None
        data = read_file(self.home, files[0])
        return _state_of(read_json_file(self.home, files[0]), bool(data))


class Accounts:
    """All of one node."""

    def __init__(self, folder: NodeFolder) -> None:
        self._folder = folder

    def get(self, account_id: str) -> KeptAccount | None:
        """``None`` if this node does not have it."""
        try:
            path = account_home(self._folder, account_id).parent / RECORD
            record = msgspec.json.decode(path.read_bytes(), type=Record)
        except (HomeError, OSError, msgspec.MsgspecError):
            return None
        # One that came in an archive may be made by anybody who was a node.
        return KeptAccount(self._folder, record) if record.id == account_id else None

    def all(self) -> Iterator[KeptAccount]:
        base = self._folder.path / "accounts"
        for path in sorted(base.iterdir()) if base.is_dir() else []:
            found = self.get(path.name) if ACCOUNT_ID.fullmatch(path.name) else None
            if found is not None:
                yield found

    def keep(self, record: Record) -> KeptAccount:
        """From now on this node has the account.

        Raises:
            HomeError: Its id is none.
            OSError: It cannot be written.
        """
        home = make_account_home(self._folder, record.id)
        write_atomically(home.parent / RECORD, msgspec.json.encode(record))
        return KeptAccount(self._folder, record)

    def give(self, account: KeptAccount, variables: Mapping[str, str]) -> None:
        """Let runs of the account have these variables."""
        write_atomically(account.home.parent / VARIABLES, json.dumps(dict(variables)).encode())

    def refuse(self, account_id: str) -> None:
        """A vendor does not take the account's login any more, until it changes."""
        account = self.get(account_id)
        if account is not None:
            stamp = account.credential_stamp
            self.keep(msgspec.structs.replace(account.record, refused=stamp))

    def forget(self, account_id: str) -> bool:
        """Remove the login from this node."""
        try:
            place = account_home(self._folder, account_id).parent
        except HomeError:
            return False
        known = place.is_dir()
        shutil.rmtree(place, ignore_errors=True)
        return known


def place_of(agent_type: str, record: Record | None = None) -> Place:
    """Where an agent type keeps an account; one that is only configured, as the record says."""
    known = PLACES.get(agent_type)
    if known is not None:
        return known
    return Place(
        variables=(record.variables if record else {}) or {"HOME": HOME_MARK},
        others=frozenset(),
        auth_dir=record.auth_dir if record else "",
        files=tuple(record.files) if record else (),
    )


def credential_state(path: Path) -> tuple[bool, int | None]:
    """Whether a login is kept there, and when it ends, if it is not renewed by itself.

    Shapes (`agent-formats` 1.4, 2.4, 3.4): Claude Code ``claudeAiOauth`` with milliseconds, also of
    the token that renews; Gemini CLI and Qwen Code ``expiry_date`` in milliseconds; Codex
    ``tokens`` with JWTs.
    """
    return _state_of(read_json(path), path.is_file() and path.stat().st_size > 0)


def _state_of(value: Any, there: bool) -> tuple[bool, int | None]:
    if not isinstance(value, dict):
        return there, None
    inner = next(
        (value[name] for name in ("claudeAiOauth", "tokens") if isinstance(value.get(name), dict)),
        value,
    )
    if until := _milliseconds(inner.get("refreshTokenExpiresAt")):
        return True, until
    if inner.get("refreshToken") or inner.get("refresh_token"):
        return True, None
    access = inner.get("accessToken") or inner.get("access_token")
    if not access:
        return not any(name in value for name in SHAPES) or bool(value.get(CODEX_KEY)), None
    ends = _milliseconds(inner.get("expiresAt") or inner.get("expiry_date"))
    return True, ends or _end_of_jwt(str(access))


def _milliseconds(value: Any) -> int | None:
    return int(value * 1000) if isinstance(value, int | float) and value > 0 else None


def _end_of_jwt(token: str) -> int | None:
    """The ``exp`` of a JSON Web Token (RFC 7519), which is not verified: it is only shown."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    ends = claims.get("exp") if isinstance(claims, dict) else None
    return int(ends * MICROSECONDS_PER_SECOND) if isinstance(ends, int | float) else None


_PUBLIC: Final = frozenset({"scope", "scopes", "token_type", "auth_mode", "email", "issuer"})


def _secrets_in(value: Any, name: str = "") -> list[str]:
    """Texts of a credential that may be secret: those whose name says so, and keys of variables."""
    match value:
        case dict():
            return [text for key, inner in value.items() for text in _secrets_in(inner, str(key))]
        case list():
            return [text for inner in value for text in _secrets_in(inner, name)]
        case str() if name not in _PUBLIC and any(
            word in name.lower() for word in ("token", "key", "secret", "password")
        ):
            return [value]
        case _:
            return []
