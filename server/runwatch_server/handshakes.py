"""What TLS handshakes are answered with: the certificate of now, changed without a closed socket.

The server's own is renewed in time (`certificates`); files of the operator's are looked at and
taken when they change. What cannot be used is not taken, and the one before goes on.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runwatch_server.certificates import end_of
from runwatch_shared.errors import SettingsError
from runwatch_shared.logs import log
from runwatch_shared.tls import fingerprint

logger: Final = logging.getLogger(__name__)

LOOK_S: Final = 2.0

State = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A certificate with its key, read and found to belong together."""

    context: ssl.SSLContext
    cert: Path
    ends: datetime
    fingerprint: str
    state: State
    """Of the files when they were read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Files to serve with, PEM."""

    cert: Path
    key: Path


def served_of(pair: Pair) -> Served:
    """Read a certificate and its key.

    Raises:
        SettingsError: One cannot be read, is none, or they do not belong together.
    """
    for name, path in (("tls_cert", pair.cert), ("tls_key", pair.key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise SettingsError(f"{name}: cannot read {path}: {error.strerror}") from error
    state = _state(pair)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(pair.cert, pair.key, password=_no_password)
        pem = pair.cert.read_text(encoding="ascii")
        mark, ends = fingerprint(pem), end_of(pem)
    except ssl.SSLError as error:
        words = "tls_key does not belong to it" if "MISMATCH" in str(error) else str(error.reason)
        raise SettingsError(f"tls_cert: {pair.cert} cannot be served: {words}") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"tls_cert: {pair.cert} cannot be served: {error}") from error
    return Served(context=context, cert=pair.cert, ends=ends, fingerprint=mark, state=state)


class Handshakes:
    """One listener's certificate. Used in the event loop only.

    Args:
        pair: The files of now; makes or renews the server's own. Called in a thread.
        told: Hears when a certificate ends, each time one is taken.
    """

    def __init__(self, pair: Callable[[], Pair], told: Callable[[float], None]) -> None:
        self._pair = pair
        self._told = told
        self._served: Served | None = None
        self._refusal = ""

    def take(self, served: Served) -> None:
        """Answer handshakes with this from now on; whoever is connected notices nothing."""
        self._served = served
        self._told(served.ends.timestamp())
        log(
            logger,
            logging.INFO,
            "tls",
            "A certificate is served",
            event="served",
            fingerprint=served.fingerprint,
            path=str(served.cert),
        )
        if served.ends <= datetime.now(UTC):
            log(logger, logging.WARNING, "tls", "The certificate has ended", path=str(served.cert))

    def read(self) -> Served:
        """The files of now. Raises: as `served_of`."""
        return served_of(self._pair())

    def attach(self, context: ssl.SSLContext) -> None:
        """Have a listener's handshakes answered from here: each takes the context of its moment."""
        context.sni_callback = self._chosen

    async def look(self) -> None:
        """A step that takes the files where they changed, or their renewal is due."""
        await asyncio.sleep(LOOK_S)
        try:
            pair = await asyncio.to_thread(self._pair)
            state = await asyncio.to_thread(_state, pair)
            if self._served is not None and state == self._served.state:
                return
            self.take(await asyncio.to_thread(served_of, pair))
        except (SettingsError, OSError) as error:
            self._refuse(str(error))
        else:
            self._refusal = ""

    def _refuse(self, why: str) -> None:
        """Say it once, however often it is tried."""
        if why != self._refusal:
            self._refusal = why
            log(
                logger,
                logging.ERROR,
                "tls",
                "A changed certificate is not taken, that before stays",
                event="refused",
                error=why,
            )

    def _chosen(
        self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        if self._served is not None:
            handshake.context = self._served.context


def _state(pair: Pair) -> State:
    found = []
    for path in (pair.cert, pair.key):
        try:
            known = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((known.st_mtime_ns, known.st_size, known.st_ino))
    return tuple(found)


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError("its key is encrypted; take the password off, or give it by LoadCredential")
