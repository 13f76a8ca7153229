"""Joining a server: its authority is held against a fingerprint, then a token is traded for one.

What is sent goes only to a server that authority vouches for. The authority and the node's token
are left in the data directory, where `credentials` finds them.
"""

import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runwatch_nodemanager.credentials import Access, is_loopback
from runwatch_nodemanager.identity import new_process_id
from runwatch_nodemanager.link import AnswerError, Link
from runwatch_nodemanager.node_clock import NodeClock
from runwatch_shared.errors import SettingsError, UnreachableError
from runwatch_shared.offered import is_root, offered_chain
from runwatch_shared.text import clean
from runwatch_shared.tls import fingerprint_of

PORT: Final = 443
PREFIX: Final = "SHA256:"


async def join(
    url: str, *, token: str, authority: str | None, node_id: str, data_dir: Path
) -> Path:
    """Make this machine a node of the server; gives the file with its token.

    Args:
        authority: Fingerprint of the server's own authority, as `monitor-server node join-token`
            prints it; None where an authority the system trusts vouches for the server.

    Raises:
        SettingsError: The address or the fingerprint is none, the server shows another authority,
            or refuses, or the directory is that of another server; nothing was sent where the
            authority or the directory is another's. What was in the directory stays then.
        OSError: The files cannot be written.
    """
    scheme, host, port = _address(url)
    kept = data_dir / "tls" / "ca.pem"
    ca: Path | None = None
    if authority is not None:
        if scheme != "https":
            raise SettingsError("--authority goes with an https address")
        pem = await _matching(host, port, authority)
        _refuse_anothers(kept, pem)
        ca = kept.with_name("joining.pem")
        _write(ca, pem, mode=0o644)
    elif scheme == "https":
        _refuse_anothers(kept, None)
    access = Access(url=url.rstrip("/"), ca=ca, token=None, loopback=is_loopback(host))
    link = Link(lambda: access, node_id=node_id, process_id=new_process_id(), clock=NodeClock())
    try:
        async with link:
            answer = await link.join(token)
        if ca is not None:
            ca.replace(kept)
        elif scheme == "https":
            # Of a server this machine was a node of before: no other would be trusted.
            kept.unlink(missing_ok=True)
    except AnswerError as error:
        reason = error.details.get("reason")
        why = f"{error} ({reason})" if reason else str(error)
        raise SettingsError(f"the server refused: {clean(why, limit=300)}") from error
    except UnreachableError as error:
        raise SettingsError(f"cannot reach {url}: {error}") from error
    finally:
        if ca is not None:
            ca.unlink(missing_ok=True)
    file = data_dir / "node-token"
    _write(file, answer.token + "\n", mode=0o600)
    return file


def _address(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address a token may be sent to."""
    parts = urlsplit(url)
    try:
        port = parts.port or PORT
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        raise SettingsError(f"{clean(url, limit=200)!r} is no http or https address")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError("a token is sent over https only, but on this machine itself")
    return parts.scheme, parts.hostname, port


def _refuse_anothers(kept: Path, pem: str | None) -> None:
    """A server that lives in the directory would not start again under another's authority."""
    if not kept.with_name("ca-key.pem").exists():
        return
    with suppress(OSError, ValueError):
        own = ssl.PEM_cert_to_DER_cert(kept.read_text(encoding="ascii").strip())
        if pem is not None and own == ssl.PEM_cert_to_DER_cert(pem.strip()):
            return
    raise SettingsError(
        f"{kept.parent.parent} is the data directory of another server; give the node its own with "
        "--data-dir; nothing was sent"
    )


async def _matching(host: str, port: int, authority: str) -> str:
    """The authority of that fingerprint among what the server shows, as PEM."""
    wanted = authority.strip().upper().removeprefix(PREFIX)
    if len(wanted.replace(":", "")) != 64:
        raise SettingsError("--authority must be a fingerprint such as SHA256:AB:CD:…")
    chain = await offered_chain(host, port)
    if not chain:
        raise SettingsError(f"{host}:{port} shows no certificate: is it the right address?")
    roots = [each for each in chain if is_root(each)]
    for root in roots:
        if fingerprint_of(root).replace(":", "") == wanted.replace(":", ""):
            return ssl.DER_cert_to_PEM_cert(root)
    shown = ", ".join(f"{PREFIX}{fingerprint_of(root)}" for root in roots) or "none of its own"
    raise SettingsError(
        f"{host}:{port} shows another authority ({shown}): it is another server, or somebody "
        "stands between; nothing was sent"
    )


def _write(file: Path, text: str, *, mode: int) -> None:
    """The whole file or none; never readable by others for a moment where ``mode`` forbids it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
