"""Making, changing and removing proxies. Domain, over a transaction. Source: contract 14 and 17."""

from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import UNSET

from runwatch_server import checks
from runwatch_server.ids import new_id
from runwatch_server.proxies.rows import ProxyRow
from runwatch_server.proxies.sealing import sealed
from runwatch_server.storage.kept import KeptReads, KeptWrites
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.vault import Vault
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.proxies import (
    HIDDEN,
    HOST_CHARS,
    LOGIN_CHARS,
    NAME_CHARS,
    NO_PROXY_CHARS,
    ProxyInput,
    ProxyType,
)
from runwatch_shared.reaching.addresses import host_name
from runwatch_shared.text import has_control

MOST_PROXIES: Final = 1000
USUAL_PORTS: Final[dict[ProxyType, int]] = {"http": 80, "https": 443, "socks5": 1080}
SCHEMES: Final[dict[str, ProxyType]] = {
    "http": "http",
    "https": "https",
    "socks5": "socks5",
    "socks5h": "socks5",
}


def stored(proxies: KeptReads[ProxyRow], proxy_id: str) -> ProxyRow:
    """The proxy, or the 404."""
    row = proxies.get(proxy_id)
    if row is None:
        raise not_found("proxy")
    return row


def every(proxies: KeptReads[ProxyRow]) -> list[ProxyRow]:
    """All of them, oldest first."""
    return proxies.find(limit=MOST_PROXIES)


def default(proxies: KeptReads[ProxyRow]) -> ProxyRow | None:
    """The one that runs have which name none, nor their node; only while it is active."""
    found = proxies.find(status=("active",), limit=MOST_PROXIES)
    return next((row for row in found if row.is_default), None)


def create(tx: WriteTx, request: ProxyInput, *, vault: Vault) -> ProxyRow:
    """A new proxy.

    Raises:
        RefusedError: 400 naming the field.
    """
    proxies = tx.kept(ProxyRow)
    if len(every(proxies)) >= MOST_PROXIES:
        raise RefusedError("invalid_field", f"there are {MOST_PROXIES} proxies already")
    changes = _changes(request)
    for field in ("name", "host"):
        if field not in changes:
            raise RefusedError("missing_field", f"{field} is required", field=field)
    kind: ProxyType = changes.setdefault("type", "http")
    changes.setdefault("port", USUAL_PORTS[kind])
    row = ProxyRow(
        id=new_id("proxy"),
        created_us=tx.now_us,
        updated_us=tx.now_us,
        **(changes | {"password": None}),
    )
    return _save(proxies, row, changes, vault)


def change(tx: WriteTx, proxy_id: str, request: ProxyInput, *, vault: Vault) -> ProxyRow:
    """What is given of a proxy, the rest as it is.

    Raises:
        RefusedError: 400 naming the field, 404.
    """
    proxies = tx.kept(ProxyRow)
    row = stored(proxies, proxy_id)
    changes = _changes(request)
    after = msgspec.structs.replace(
        row, updated_us=tx.now_us, **{name: changes[name] for name in changes if name != "password"}
    )
    return _save(proxies, after, changes, vault)


def delete(tx: WriteTx, proxy_id: str) -> ProxyRow:
    """Remove it. A run that names it and has not begun fails when its node claims it.

    Raises:
        RefusedError: 404.
    """
    proxies = tx.kept(ProxyRow)
    row = stored(proxies, proxy_id)
    proxies.delete(proxy_id)
    return row


def checked_host(host: str, field: str) -> str:
    """The host as a resolver gets it; 400 for one that can be none."""
    try:
        if len(host) > HOST_CHARS:
            raise ValueError
        return host_name(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise RefusedError("invalid_field", f"{field} is no host", field=field) from None


def check_login(text: str | None, field: str) -> None:
    """400 for a user name or password that no proxy could be told."""
    if text is None:
        return
    if not text or len(text.encode()) > LOGIN_CHARS or "\0" in text or has_control(text):
        raise RefusedError("invalid_field", f"{field} does not fit", field=field)


def check_no_proxy(text: str | None, field: str) -> None:
    """400 for exceptions that are no line of text."""
    if text is not None and (len(text) > NO_PROXY_CHARS or has_control(text)):
        raise RefusedError("invalid_field", f"{field} does not fit", field=field)


def _save(
    proxies: KeptWrites[ProxyRow], row: ProxyRow, changes: dict[str, Any], vault: Vault
) -> ProxyRow:
    password = changes.get("password", HIDDEN)
    if password != HIDDEN:
        row = msgspec.structs.replace(row, password=sealed(vault, row.id, password))
    if row.username is None and row.password is not None:
        row = msgspec.structs.replace(row, password=None)
    if row.is_default:
        for other in every(proxies):
            if other.is_default and other.id != row.id:
                proxies.save(msgspec.structs.replace(other, is_default=False))
    return proxies.save(row)


def _changes(request: ProxyInput) -> dict[str, Any]:
    """What a request sets, checked, its URL taken apart."""
    given = {
        name: value
        for name in ProxyInput.__struct_fields__
        if (value := getattr(request, name)) is not UNSET
    }
    url, protocol = given.pop("url", None), given.pop("protocol", None)
    changes = {**(_of_url(url) if url is not None else {}), **given}
    if protocol is not None and "type" not in given:
        changes["type"] = protocol
    if url is not None and "port" not in changes:
        changes["port"] = USUAL_PORTS[changes["type"]]
    if "name" in changes:
        checks.check_text(changes["name"], "name", NAME_CHARS)
    if "host" in changes:
        changes["host"] = checked_host(changes["host"], "url" if url is not None else "host")
    check_login(changes.get("username"), "username")
    check_login(changes.get("password"), "password")
    check_no_proxy(changes.get("no_proxy"), "no_proxy")
    return changes


def _of_url(url: str) -> dict[str, Any]:
    """``http://user:password@proxy.example:3128`` or ``proxy.example:3128``, taken apart."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        kind = SCHEMES[parts.scheme.lower()]
        host, port = parts.hostname, parts.port
        if not host or port == 0 or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError
    except (ValueError, KeyError):
        raise RefusedError("invalid_field", "url is no proxy's URL", field="url") from None
    found: dict[str, Any] = {"type": kind, "host": host}
    if port is not None:
        found["port"] = port
    if parts.username is not None:
        found["username"] = unquote(parts.username)
        found["password"] = unquote(parts.password) if parts.password else None
    return found
