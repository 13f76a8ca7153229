"""A login's program in a container, from within a terminal: makes it, joins the two, removes it.

Started by a login's own process in its terminal as ``python -I -m
runwatch_nodemanager.logins.contained ORDER``, a file of JSON that holds no secret. Ends with the
container's exit code, or 125 where there is none; whatever ends it, the container goes.
"""

import contextlib
import json
import os
import select
import signal
import sys
import termios
import tty
from pathlib import Path
from types import FrameType
from typing import Any, Final

from runwatch_nodemanager.logins.terminal import COLUMNS, ROWS
from runwatch_nodemanager.runtimes.engine import Engine
from runwatch_nodemanager.runtimes.engine_address import EngineAddress, EngineError

NO_EXIT: Final = 125
READ_BYTES: Final = 64 * 1024
LOOK_S: Final = 1.0


class Ended(Exception):  # noqa: N818 - no error: a wish
    """This process was asked to end."""


def main() -> int:
    order: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    address = EngineAddress(url=order["address"], cert_path=order["cert_path"])
    container = ""
    code = NO_EXIT
    try:
        engine = Engine(address)
        container = engine.create(order["body"], name=order["name"])
        code = _join(engine, address, container, order)
    except (Ended, OSError):
        code = NO_EXIT
    except EngineError as error:
        _say(str(error))
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if container:
            with contextlib.suppress(EngineError):
                Engine(address).remove(container)
    return code


def _join(engine: Engine, address: EngineAddress, container: str, order: dict[str, Any]) -> int:
    program = order["program"]
    folders = engine.search_path(container)
    places = [program] if program.startswith("/") else [f"{f}/{program}" for f in folders]
    if not any(engine.has_file(container, place) for place in places):
        _say(f"the login's program is missing: {order['image']} has no {program}")
        return NO_EXIT
    connection = engine.attach(container, stdin=True)
    other = Engine(address, version=engine.version)
    other.start(container)
    with contextlib.suppress(EngineError):
        other.resize(container, rows=ROWS, columns=COLUMNS)
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        with connection:
            while True:
                readable, _, _ = select.select([connection.fileno(), 0], [], [], LOOK_S)
                if connection.fileno() in readable:
                    data = connection.recv(READ_BYTES)
                    if not data:
                        break
                    _write(1, data)
                if 0 in readable:
                    typed = os.read(0, READ_BYTES)
                    if not typed:
                        raise Ended
                    connection.sendall(typed)
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSANOW, before)
    for _ in range(50):
        state = other.state(container)
        if state.ended:
            return state.exit_code & 0xFF
        select.select([], [], [], 0.1)
    return NO_EXIT


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):
        _write(1, f"\r\n{sentence}\r\n".encode())


if __name__ == "__main__":
    sys.exit(main())
