"""What goes through a relay: the container's output in an engine's frames, and its input."""

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Final

FRAME_HEADER_BYTES: Final = 8
READ_BYTES: Final = 256 * 1024
GOODBYE_S: Final = 5.0


def frames(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The pieces of output an engine sends: 1 for standard output, 2 for standard error.

    Format: Docker's Engine API, "Attach to a container": stream (1 byte), 3 zeros, size (4 bytes,
    big-endian), data. Ends where the connection does.
    """
    held = bytearray()
    while True:
        try:
            chunk = connection.recv(READ_BYTES)
        except OSError:
            return
        if not chunk:
            return
        held += chunk
        while len(held) >= FRAME_HEADER_BYTES:
            end = FRAME_HEADER_BYTES + int.from_bytes(held[4:8], "big")
            if len(held) < end:
                break
            yield held[0], bytes(held[FRAME_HEADER_BYTES:end])
            del held[:end]


def pump(connection: socket.socket, *, gap: bool = False) -> int:
    """Copy output until the connection ends; the bytes copied.

    Args:
        gap: An earlier connection broke: what was printed meanwhile is lost, and that is said.
    """
    copied = 0
    with connection:
        for stream, data in frames(connection):
            if gap and copied == 0:
                say("the connection to the container engine broke; output may be missing here")
            _write(2 if stream == 2 else 1, data)
            copied += len(data)
    return copied


def feed(connection: socket.socket, data: bytes) -> None:
    """Give the container its input and its end; one that does not read it all is no error."""
    with contextlib.suppress(OSError), connection:
        connection.sendall(data)
        if isinstance(connection, ssl.SSLSocket):
            # TLS knows no half-closed connection; nothing is read from this one.
            connection.settimeout(GOODBYE_S)
            connection.unwrap()
        else:
            connection.shutdown(socket.SHUT_WR)


def give(connection: socket.socket, data: bytes) -> None:
    """The same where output comes over the same connection: it is not ended here."""
    with contextlib.suppress(OSError):
        connection.sendall(data)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def say(sentence: str) -> None:
    """To the run's own standard error: whoever looks at the run sees it."""
    with contextlib.suppress(OSError):
        _write(2, f"runwatch: {sentence}\n".encode())
