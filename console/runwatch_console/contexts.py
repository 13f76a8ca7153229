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
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from runwatch_console.feeditems import Target
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ConsoleSettings, default_config_dir

DEFAULT_URL: Final = "https://127.0.0.1:8080"
URL_FILE: Final = "server.url"
TOKEN_FILE: Final = "token"
CA_FILE: Final = "tls/ca.pem"
KNOWN_HOSTS_FILE: Final = "known_hosts"
LONGEST_FILE_BYTES: Final = 4096
"""An address or a token; whatever is longer is neither."""


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

    def access(self) -> Access:
        """What to connect with now. A missing file is no error: its part is None or the default."""
        url = self.given_url or self._local_url()
        loopback = is_loopback(urlsplit(url).hostname or "")
        ca_file = self._ca(loopback)
        decided = self.given_ca is not None or (ca_file is not None and not self.given_url)
        access = Access(
            url=url,
            token=self._token(loopback),
            ca_file=ca_file,
            known_hosts=None if decided else self.known_hosts,
        )
        return self._without_found_token(access)

    def target(self) -> Target:
        """Names for the screen; never the secret."""
        access = self.access()
        return Target(
            context="local" if access.loopback else access.host,
            server_url=access.url,
            credential=self._credential(access),
        )

    def exposures(self) -> tuple[tuple[str, str], ...]:
        """What weakens the secret, as (locale id, what it concerns): said, no reason to stop."""
        access = self.access()
        found: list[tuple[str, str]] = []
        path = self._token_path(access.loopback)
        if access.token and path is not None and _open_to_others(path):
            found.append(("headless.token_readable", str(path)))
        if access.token and not access.secure and not access.loopback:
            found.append(("headless.token_in_clear", access.url))
        return tuple(found)

    def _without_found_token(self, access: Access) -> Access:
        """A tunnel's end is loopback too: the token found here is not for a server that a person
        decided about.
        """
        path = self._token_path(access.loopback)
        found = path is not None and path != self.token_file
        if not (found and access.token and access.secure and access.known_hosts is not None):
            return access
        from runwatch_console.known_hosts import KnownHosts, KnownHostsError

        try:
            known = KnownHosts(access.known_hosts).find(access.host, access.port)
        except KnownHostsError:
            return replace(access, token=None)
        return access if known is None else replace(access, token=None)

    def _local_url(self) -> str:
        text = _read_line(self.data_dir / URL_FILE)
        if text is None:
            return DEFAULT_URL
        try:
            return parse_url(text)
        except SettingsError:
            return DEFAULT_URL

    def _token_path(self, loopback: bool) -> Path | None:
        if self.given_token:
            return None
        if self.token_file is not None:
            return self.token_file
        # The local administrator's token is for the local server alone.
        return self.data_dir / TOKEN_FILE if loopback else None

    def _token(self, loopback: bool) -> str | None:
        path = self._token_path(loopback)
        return self.given_token or (None if path is None else _read_line(path))

    def _ca(self, loopback: bool) -> Path | None:
        if self.given_ca is not None:
            return self.given_ca
        own = self.data_dir / CA_FILE
        return own if loopback and own.is_file() else None

    def _credential(self, access: Access) -> str:
        if access.token is None:
            return "none"
        path = self._token_path(access.loopback)
        return "RUNWATCH_TOKEN" if path is None else f"token file {_short(path)}"


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
    token = "" if typed.get("token_file") else settings.token.strip()
    token_file = Path(settings.token_file).expanduser() if settings.token_file else None
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
    )


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
