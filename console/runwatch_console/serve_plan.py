"""What `--serve` was asked to do, and who may come in: address, token, Host and Origin; no network.

The console in a browser acts with the credential of who started it. So nobody comes in without the
token of this start, on loopback neither: other users of the machine reach its ports too.
"""

import hmac
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runwatch_console.contexts import is_loopback
from runwatch_console.flags import FLAGS, SERVE
from runwatch_shared.errors import SettingsError

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8090
MOST_PORT: Final = 65_535
TOKEN_VARIABLE: Final = "RUNWATCH_SERVE_TOKEN"
SHORTEST_TOKEN: Final = 16
TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{16,}")
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ServePlan:
    """One start of `--serve`."""

    host: str
    port: int
    token: str
    command: tuple[str, ...]
    """The program and arguments of each browser's console; never read by a shell."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def known_host(self, host: str | None) -> bool:
        """Whether a request may name this host.

        On loopback only its names: a site that points a name of its own at 127.0.0.1 (DNS
        rebinding) is refused whatever it knows. The port is not looked at, a tunnel has another.
        Beyond loopback there are names we cannot know, and the token decides.
        """
        return not self.loopback or _host_of(host) in LOOPBACK_NAMES | {self.host}

    def known_token(self, given: str | None) -> bool:
        """Whether the token is right; takes the same time however much of it is."""
        return given is not None and hmac.compare_digest(given.encode(), self.token.encode())


def same_origin(origin: str | None, host: str | None) -> bool:
    """Whether the page that opens a socket came from here. Browsers always say where from."""
    if not origin or not host:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc == host


def serve_plan(
    *,
    host: str,
    port: int,
    allow_writes: bool,
    token_file: str,
    typed: Mapping[str, str | bool],
    environment: Mapping[str, str],
) -> ServePlan:
    """The plan from what was asked; `typed`: the common flags, by setting name.

    Raises:
        SettingsError: Beyond loopback without a token of the user's own, or that token is none.
    """
    token = _given_token(token_file, environment)
    if not is_loopback(host) and not token:
        raise SettingsError(
            f"--host {host}: others can reach this address; give a token of at least "
            f"{SHORTEST_TOKEN} characters in {TOKEN_VARIABLE} or with --serve-token-file"
        )
    return ServePlan(
        host=host,
        port=port,
        token=token or secrets.token_urlsafe(24),
        command=_command(typed, allow_writes=allow_writes),
    )


def _command(typed: Mapping[str, str | bool], *, allow_writes: bool) -> tuple[str, ...]:
    """The same console, with what was typed for it, and read-only unless told otherwise."""
    command = [sys.executable, "-m", "runwatch_console.cli"]
    for flag in FLAGS:
        if flag.setting not in typed or flag.setting in (SERVE, "plain"):
            continue
        command.append(f"{flag.name}={typed[flag.setting]}" if flag.value else flag.name)
    if not allow_writes and "--read-only" not in command:
        command.append("--read-only")
    return tuple(command)


def _given_token(token_file: str, environment: Mapping[str, str]) -> str:
    token = environment.get(TOKEN_VARIABLE, "").strip()
    if token_file:
        try:
            token = Path(token_file).expanduser().read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--serve-token-file {token_file} cannot be read") from error
    if (token or token_file) and not TOKEN.fullmatch(token):
        raise SettingsError(
            f"the token of --serve: at least {SHORTEST_TOKEN} letters, digits and - . _ ~"
        )
    return token


def _host_of(host: str | None) -> str:
    try:
        return urlsplit(f"//{host or ''}").hostname or ""
    except ValueError:
        return ""
