"""Where the server is and how it is proven: address, authority and token, found or given."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import NodeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach the server now. ``ca`` is the only authority trusted; ``None``: the system's."""

    url: str
    ca: Path | None
    token: str | None
    loopback: bool


def find_access(settings: NodeSettings) -> Access:
    """What the settings say, and on loopback what the server left in the data directory.

    Raises:
        SettingsError: The address is no address, or a file that was named cannot be read.
    """
    parts = urlsplit(settings.server)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not parts.hostname:
        raise SettingsError(f"server must be an http or https address, not {settings.server!r}")
    loopback = is_loopback(parts.hostname)
    folder = Path(settings.data_dir)
    ca: Path | None = None
    if settings.ca:
        ca = Path(settings.ca).expanduser()
        if not ca.is_file():
            raise SettingsError(f"ca: cannot read {ca}")
    elif loopback and (folder / "tls" / "ca.pem").is_file():
        ca = folder / "tls" / "ca.pem"
    return Access(
        url=settings.server.rstrip("/"),
        ca=ca,
        token=_find_token(settings, folder, loopback=loopback),
        loopback=loopback,
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _find_token(settings: NodeSettings, folder: Path, *, loopback: bool) -> str | None:
    if settings.token_file:
        path = Path(settings.token_file).expanduser()
        try:
            return path.read_text("utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"token_file: cannot read {path}") from error
    if settings.token:
        return settings.token
    if not loopback:
        return None
    try:
        return (folder / "node-token").read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
