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
    """What the settings say, else what lies in the data directory as a server leaves it there.

    Beyond loopback those files count only together and over TLS: then none but the server they
    came from can get to see the token.

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
    elif parts.scheme == "https" and (folder / "tls" / "ca.pem").is_file():
        ca = folder / "tls" / "ca.pem"
    own_token = loopback or (not settings.ca and ca is not None)
    return Access(
        url=settings.server.rstrip("/"),
        ca=ca,
        token=_find_token(settings, folder if own_token else None),
        loopback=loopback,
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _find_token(settings: NodeSettings, folder: Path | None) -> str | None:
    if settings.token_file:
        path = Path(settings.token_file).expanduser()
        try:
            return path.read_text("utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"token_file: cannot read {path}") from error
    if settings.token:
        return settings.token
    if folder is None:
        return None
    try:
        return (folder / "node-token").read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
