"""A token from a program that prints it, kept in memory only; loaded where there is one."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from runwatch_console.contexts import TokenError
from runwatch_shared.text import clean

COMMAND_S: Final = 10.0
LONGEST_TOKEN_BYTES: Final = 4096
LONGEST_OUTPUT_BYTES: Final = 64 * 1024


def read_token(text: str) -> str | None:
    """The first line, if it may be a token."""
    line = text.strip().split("\n", 1)[0].strip()
    whole = len(line) <= LONGEST_TOKEN_BYTES
    return line if line and whole and line.isascii() and line.isprintable() else None


class TokenCommand:
    """Runs a program for the token when one is first needed, and again when it was refused. No
    shell; standard input is empty, and there is no terminal: nothing it asks is drawn over the
    screen. Called from threads.
    """

    def __init__(self, argv: Sequence[str], *, limit_s: float = COMMAND_S) -> None:
        self.argv = tuple(argv)
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refused: str | None = None

    @property
    def program(self) -> str:
        """Its name, for people; arguments may tell where secrets are."""
        return clean(Path(self.argv[0]).name, limit=80, fold=True)

    def token(self) -> str:
        """The token, from the first run.

        Raises:
            TokenError: The program failed, took too long, or printed none.
        """
        with self._lock:
            if self._token is None:
                self._token = self._run()
            return self._token

    def renew(self, refused: str) -> bool:
        """Run it once more for a token that the server refused; whether it gives another.

        Raises:
            TokenError: As for `token`.
        """
        with self._lock:
            if self._token is not None and self._token != refused:
                return True
            if self._refused == refused:
                return False
            self._refused = refused
            self._token = self._run()
            return self._token != refused

    def forget(self) -> None:
        """Run it anew for the next connection: a person asked for another try."""
        with self._lock:
            self._token = self._refused = None

    def _run(self) -> str:
        try:
            process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise TokenError(f"{self.program}: {reason}") from error
        with process:
            try:
                out, err = _output(process, time.monotonic() + self._limit_s)
            except TimeoutError as error:
                raise TokenError(f"{self.program}: no end within {self._limit_s:g} s") from error
            finally:
                _end(process)
        if process.returncode != 0:
            said = clean(err.decode(errors="replace"), limit=200, fold=True)
            raise TokenError(f"{self.program}: exit {process.returncode}: {said}".rstrip(": "))
        token = read_token(out.decode("ascii", errors="replace"))
        if token is None:
            raise TokenError(f"{self.program}: what it printed is no token")
        return token


def _output(process: subprocess.Popen[bytes], end_s: float) -> tuple[bytes, bytes]:
    """Both streams to their ends, each cut; the process has ended then.

    Raises:
        TimeoutError: Not before `end_s`.
    """
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, kept in ((process.stdout, out), (process.stderr, err)):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ, kept)
        while selector.get_map():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            for key, _ in selector.select(left_s):
                stream_: IO[bytes] = key.fileobj  # type: ignore[assignment]  # what was registered
                data = os.read(stream_.fileno(), LONGEST_OUTPUT_BYTES)
                if not data:
                    selector.unregister(stream_)
                key.data.extend(data[: LONGEST_OUTPUT_BYTES - len(key.data)])
    try:
        process.wait(max(0.0, end_s - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    return bytes(out), bytes(err)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It has a session of its own: what it started ends with it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
