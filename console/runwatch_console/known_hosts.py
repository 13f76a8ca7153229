"""The file of certificates people said yes to, one line a server, as SSH keeps its hosts; no
network.

A line is `HOST:PORT ca|cert BASE64 COMMENT`, where BASE64 is the certificate (DER) and the comment
its fingerprint, for people: nothing reads it. Lines that begin with `#` are kept.
"""

import base64
import binascii
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runwatch_console.pins import LONGEST_CERTIFICATE_BYTES, Pin, PinKind, server_name
from runwatch_shared.errors import RunwatchError

LONGEST_FILE_BYTES: Final = 4 * 1024 * 1024
HEADER: Final = "# Certificates trusted by monitor-tui: HOST:PORT ca|cert CERTIFICATE\n"


class KnownHostsError(RunwatchError):
    """The file cannot be read, written or understood: nobody is trusted by it then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownHost:
    """The pin of one server and where it stands."""

    pin: Pin
    line: int
    """From 1."""


class KnownHosts:
    """Every call reads the file anew: another console may have written it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, host: str, port: int) -> KnownHost | None:
        """What is remembered of a server; None for one never seen.

        Raises:
            KnownHostsError: The file cannot be trusted, or the server's line is damaged.
        """
        name = server_name(host, port)
        for number, line in enumerate(self._lines(), start=1):
            fields = line.split()
            if fields and fields[0].casefold() == name:
                return KnownHost(pin=self._pin(fields, number), line=number)
        return None

    def add(self, host: str, port: int, pin: Pin) -> None:
        """Remember a pin. To add the same again changes nothing.

        Raises:
            KnownHostsError: Another one is remembered of this server, or the file cannot be used.
        """
        with self._alone():
            known = self.find(host, port)
            if known is not None and known.pin == pin:
                return
            if known is not None:
                raise KnownHostsError(
                    f"{self.path}:{known.line} knows another certificate of this server"
                )
            lines = self._lines() or [HEADER]
            if not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            encoded = base64.b64encode(pin.certificate).decode()
            name = server_name(host, port)
            self._write([*lines, f"{name} {pin.kind} {encoded} {pin.fingerprint}\n"])

    def remove(self, host: str, port: int) -> bool:
        """Forget a server; whether it was known. All other lines stay as they are.

        Raises:
            KnownHostsError: The file cannot be read or written.
        """
        name = server_name(host, port)
        with self._alone():
            lines = self._lines()
            kept = [line for line in lines if (line.split() or [""])[0].casefold() != name]
            if len(kept) == len(lines):
                return False
            self._write(kept)
            return True

    def _lines(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(LONGEST_FILE_BYTES + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KnownHostsError(f"{self.path}: {error.strerror or error}") from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise KnownHostsError(f"{self.path} can be written by others: chmod 600 {self.path}")
        if len(content) > LONGEST_FILE_BYTES:
            raise KnownHostsError(f"{self.path} is longer than {LONGEST_FILE_BYTES} bytes")
        return content.decode(errors="surrogateescape").splitlines(keepends=True)

    def _pin(self, fields: list[str], number: int) -> Pin:
        damaged = KnownHostsError(f"{self.path}:{number} is damaged; remove that line")
        try:
            kind = PinKind(fields[1])
            certificate = base64.b64decode(fields[2], validate=True)
        except (IndexError, ValueError, binascii.Error) as error:
            raise damaged from error
        if not 0 < len(certificate) <= LONGEST_CERTIFICATE_BYTES:
            raise damaged
        return Pin(kind=kind, certificate=certificate)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two consoles that add at once must not lose each other's line."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            guard = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KnownHostsError(f"{self.path}: {error.strerror or error}") from error
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield
        finally:
            os.close(guard)

    def _write(self, lines: list[str]) -> None:
        """Beside it first, then in its place at once; a link stays one."""
        target = self.path.resolve()
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            draft.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(draft, flags, 0o600), "wb") as output:
                output.write("".join(lines).encode(errors="surrogateescape"))
                output.flush()
                os.fsync(output.fileno())
            draft.replace(target)
        except OSError as error:
            raise KnownHostsError(f"{self.path}: {error.strerror or error}") from error
