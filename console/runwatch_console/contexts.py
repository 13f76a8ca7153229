"""Where the console looks and with which credential, from settings and the data directory; no
network.

On loopback three files of the data directory are found by themselves: `server.url` (where the
server listens), `token` (an admin token) and `tls/ca.pem` (its own authority).
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from runwatch_console.feeditems import Target
from runwatch_shared.errors import RunwatchError, SettingsError
from runwatch_shared.places import default_config_dir
from runwatch_shared.settings import ConsoleSettings

if TYPE_CHECKING:
    from runwatch_console.tokens import TokenCommand

DEFAULT_URL: Final = "https://127.0.0.1:8080"
URL_FILE: Final = "server.url"
TOKEN_FILE: Final = "token"
CA_FILE: Final = "tls/ca.pem"
KNOWN_HOSTS_FILE: Final = "known_hosts"
NO_CREDENTIAL: Final = "none"
LONGEST_FILE_BYTES: Final = 4096
"""An address or a token; whatever is longer is neither."""


class TokenError(RunwatchError):
    """There should be a token and there is none that may be used; says why, never the token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What one connection needs, as the files say at this moment."""

    url: str
    """Base address without a slash at its end: `https://127.0.0.1:8080`."""
    token: str | None
    ca_file: Path | None
    """The authority to trust; None: those of the system."""
    known_hosts: Path | None = None
    """Where people's own decisions about certificates are kept; None: the authority is named, or
    is this very server's own, and decides alone."""

    @property
    def host(self) -> str:
        """Host name or address, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, by scheme where the address has none."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def secure(self) -> bool:
        """Whether the connection is TLS."""
        return self.url.startswith("https:")

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine, or seems so (a tunnel)."""
        return is_loopback(self.host)


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """One server to look at. `access` reads the files anew, so a server that came back with another
    port, token or authority is found by the next attempt.
    """

    given_url: str
    """Empty: the local server's."""
    data_dir: Path
    given_token: str
    token_file: Path | None
    """Named by the user; None: on loopback the data directory's."""
    given_ca: Path | None
    known_hosts: Path | None = None
    """Certificates people said yes to; None: there is no such file."""
    name: str = ""
    """As the settings file calls it; empty: it has no name there."""
    token_command: "TokenCommand | None" = None

    def access(self) -> Access:
        """What to connect with now. A missing file is no error: its part is None or the default.

        Raises:
            TokenError: The token's file is open to others, or its program gave none.
        """
        access = self.place()
        return replace(access, token=self._token(access))

    def target(self) -> Target:
        """Names for the screen; never the secret. No program is run for it."""
        access = self.place()
        return Target(
            context=self.name or ("local" if access.loopback else access.host),
            server_url=access.url,
            credential=self._credential(access),
        )

    def exposures(self) -> tuple[tuple[str, str], ...]:
        """What weakens the secret, as (locale id, what it concerns): said, no reason to stop."""
        access = self.place()
        found: list[tuple[str, str]] = []
        path = self._token_path(access)
        if path is not None and _read_line(path) and _open_to_others(path):
            found.append(("headless.token_readable", str(path)))
        if not access.secure and not access.loopback and self._credential(access) != NO_CREDENTIAL:
            found.append(("headless.token_in_clear", access.url))
        return tuple(found)

    def renew_token(self, refused: str | None) -> bool:
        """Whether there is another token than the one that was refused: its program is run again,
        once.

        Raises:
            TokenError: The program gave none.
        """
        return self.token_command is not None and self.token_command.renew(refused or "")

    def begin_again(self) -> None:
        """A person asked for another try: the token's program is run anew for it."""
        if self.token_command is not None:
            self.token_command.forget()

    def signature(self) -> tuple[object, ...]:
        """What changes when a file that `access` reads does; nothing is read for it."""
        files = (
            self.token_file or self.data_dir / TOKEN_FILE,
            self.given_ca or self.data_dir / CA_FILE,
            self.known_hosts,
            self.data_dir / URL_FILE,
        )
        return tuple(None if path is None else _stamp(path) for path in files)

    def place(self) -> Access:
        """Where to, without the token."""
        url = self.given_url or self._local_url()
        loopback = is_loopback(urlsplit(url).hostname or "")
        ca_file = self._ca(loopback)
        decided = self.given_ca is not None or (ca_file is not None and not self.given_url)
        return Access(
            url=url,
            token=None,
            ca_file=ca_file,
            known_hosts=None if decided else self.known_hosts,
        )

    def _local_url(self) -> str:
        text = _read_line(self.data_dir / URL_FILE)
        if text is None:
            return DEFAULT_URL
        try:
            return parse_url(text)
        except SettingsError:
            return DEFAULT_URL

    def _token_path(self, access: Access) -> Path | None:
        if self.given_token or self.token_command is not None:
            return None
        if self.token_file is not None:
            return self.token_file
        # The local administrator's token is for the local server alone.
        return self.data_dir / TOKEN_FILE if self._local(access) else None

    def _token(self, access: Access) -> str | None:
        if self.given_token:
            return self.given_token
        if self.token_command is not None:
            return self.token_command.token()
        path = self._token_path(access)
        if path is None:
            return None
        if not access.loopback and _open_to_others(path):
            raise TokenError(f"{path} can be read by others: chmod 600 {path}")
        return _read_line(path)

    def _local(self, access: Access) -> bool:
        """Whether the server is the local one. A tunnel's end is loopback too: not one that a
        person decided about.
        """
        if not access.loopback or not access.secure or access.known_hosts is None:
            return access.loopback
        if not access.known_hosts.exists():
            return True
        from runwatch_console.known_hosts import KnownHosts, KnownHostsError

        try:
            return KnownHosts(access.known_hosts).find(access.host, access.port) is None
        except KnownHostsError:
            return False

    def _ca(self, loopback: bool) -> Path | None:
        if self.given_ca is not None:
            return self.given_ca
        own = self.data_dir / CA_FILE
        return own if loopback and own.is_file() else None

    def _credential(self, access: Access) -> str:
        if self.given_token:
            return "RUNWATCH_TOKEN"
        if self.token_command is not None:
            return f"token command {self.token_command.program}"
        path = self._token_path(access)
        if path is None or _read_line(path) is None:
            return NO_CREDENTIAL
        return f"token file {_short(path)}"


def resolve_context(
    settings: ConsoleSettings,
    typed: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
) -> Context:
    """The context that settings and the flags typed (`typed`, by setting name) name together.

    Raises:
        SettingsError: The address is none, or a file the user named cannot be read.
    """
    given_url = parse_url(settings.server) if settings.server else ""
    # A flag goes before the environment, whichever of the two settings it names.
    named = bool(typed.get("token_file"))
    token = "" if named else settings.token.strip()
    command = [] if named or token else settings.token_command
    token_file = Path(settings.token_file).expanduser() if settings.token_file else None
    if command and token_file is not None:
        raise SettingsError("token_file and token_command: only one of them may be given")
    if token_file is not None and not token and _read_line(token_file) is None:
        raise SettingsError(f"token_file: {token_file} cannot be read, or holds no token")
    if not token.isascii() or not token.isprintable():
        raise SettingsError("token: what is given is no token")
    ca = Path(settings.ca).expanduser() if settings.ca else None
    if ca is not None and not ca.is_file():
        raise SettingsError(f"ca: {ca} is not a file; the server gives its own at /ca.pem")
    return Context(
        given_url=given_url,
        data_dir=Path(settings.data_dir),
        given_token=token,
        token_file=token_file,
        given_ca=ca,
        known_hosts=default_config_dir(environment) / KNOWN_HOSTS_FILE,
        name=settings.context,
        token_command=_token_command(command),
    )


def _token_command(argv: list[str]) -> "TokenCommand | None":
    if not argv:
        return None
    from runwatch_console.tokens import TokenCommand

    return TokenCommand(argv)


def parse_url(text: str) -> str:
    """A base address from what a person types: `box:8080` is taken as `https://box:8080`.

    Raises:
        SettingsError: It is no HTTP address, or carries a user, a query or a fragment.
    """
    whole = text.strip()
    if "://" not in whole:
        whole = f"https://{whole}"
    problem = SettingsError(f"server: {text!r} is no address like {DEFAULT_URL}")
    try:
        parts = urlsplit(whole)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise problem from error
    if not fits or not _plain(parts):
        raise problem
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name: no look-up is made."""
    parts = host.split(".")
    return host in ("localhost", "::1") or (
        len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)
    )


def _plain(parts: SplitResult) -> bool:
    text = f"{parts.netloc}{parts.path}"
    return (
        "@" not in parts.netloc
        and not parts.query
        and not parts.fragment
        and text.isprintable()
        and not any(character in text for character in " \\<>\"'`{}|^")
    )


def _read_line(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE_BYTES + 1).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    line = text.strip()
    return line if line and line.isprintable() and len(text) <= LONGEST_FILE_BYTES else None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
