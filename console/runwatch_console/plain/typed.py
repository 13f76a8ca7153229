"""Lines that a person types, read in a thread: from a terminal, a pipe or a file.

The thread reads the descriptor itself: one that waits in `sys.stdin` would hold its lock while the
interpreter ends.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Final

LONGEST_LINE_BYTES: Final = 4096
READ_AHEAD: Final = 100


async def typed_lines(descriptor: int) -> AsyncGenerator[str, None]:
    """Each line without its end, until the input ends. A line too long is cut."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue(READ_AHEAD + 1)
    room = threading.Semaphore(READ_AHEAD)

    def give(line: str | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lines.put_nowait, line)

    def read() -> None:
        for line in _lines(descriptor):
            room.acquire()
            give(line)
        give(None)

    threading.Thread(target=read, name="typed lines", daemon=True).start()
    while (line := await lines.get()) is not None:
        room.release()
        yield line


def _lines(descriptor: int) -> Iterator[str]:
    held = b""
    while data := _read(descriptor):
        *whole, held = (held + data).split(b"\n")
        yield from map(_text, whole)
        held = held[:LONGEST_LINE_BYTES]
    if held:
        yield _text(held)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, LONGEST_LINE_BYTES)
    except OSError:
        # A terminal that is gone is the end of the input.
        return b""


def _text(line: bytes) -> str:
    return line[:LONGEST_LINE_BYTES].decode("utf-8", "replace").strip()
