"""The process between a supervisor and a container: makes it, copies its output, passes signals.

How it is started is in `relaying`, a run in a container that is there already in `inner_relay`.
"""

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from typing import Any, Final

from runwatch_nodemanager.runtimes.container_processes import signal_container
from runwatch_nodemanager.runtimes.engine import Engine, NotThereError, State
from runwatch_nodemanager.runtimes.engine_address import (
    EngineAddress,
    EngineError,
    EngineUnreachableError,
)
from runwatch_nodemanager.runtimes.relay_streams import feed, pump, say

NO_EXIT: Final = 125
KILLED: Final = 128 + signal.SIGKILL
ENGINE_PATIENCE_S: Final = 60.0
"""How long an engine may be away that is started again; its containers go on meanwhile."""
LOOK_S: Final = 0.02
SLOW_LOOK_S: Final = 0.25
SIGNAL_S: Final = 3.0
"""How long after the end of a container a signal may still be on its way to it."""
SETTLE_S: Final = 1.0
"""How long after the end of its output a container may take to end."""
MISSING: Final = re.compile(r"executable file not found|exec: .*no such file", re.IGNORECASE)
"""How OCI runtimes say that there is no such program in the image."""


class ProgramMissingError(EngineError):
    """The image lacks what is to be run."""


class Relay:
    """One container, from its making to its removal.

    Args:
        order: ``address`` and ``cert_path`` of the engine, ``body`` and ``name`` of the container,
            ``stdin``, ``programs`` that the image must have, and what is told of it: ``image``,
            ``runtime``.
    """

    def __init__(self, order: dict[str, Any], *, control: int, report: int) -> None:
        self._order = order
        self._address = EngineAddress(url=order["address"], cert_path=order["cert_path"])
        self._control = control
        self._report = report
        self._container = ""
        self._first_pid = 0
        self._version: str | None = None
        self._abandoned = False
        self._killed = False
        """Whether it was told to."""
        self._under_way: set[int] = set()
        """Numbers of signals that are being sent; the same one is not sent twice at once."""
        self._lock = threading.Lock()

    def run(self) -> int:
        threading.Thread(target=self._obey, name="control", daemon=True).start()
        try:
            engine = Engine(self._address)
            self._version = engine.version
            output = self._begin(engine)
        except EngineError as error:
            self._remove()
            reason = "agent_missing" if self._program_missing(error) else "start_failed"
            self._tell({"error": str(error), "error_code": reason})
            return NO_EXIT
        try:
            code = self._follow(engine, output)
        except OSError:
            # The supervisor reads no more: it is gone.
            code = NO_EXIT
        self._finish_signals()
        self._remove()
        return code

    def _begin(self, engine: Engine) -> socket.socket:
        self._container = engine.create(self._order["body"], name=self._order["name"])
        if self._abandoned:
            self._abandon()
        self._look_for_programs(engine)
        stdin = self._order["stdin"]
        output = engine.attach(self._container, stdin=False)
        source = Engine(self._address, version=self._version) if stdin is not None else None
        into = source.attach(self._container, stdin=True, output=False) if source else None
        engine.start(self._container)
        if into is not None:
            data = stdin.encode("utf-8", "surrogateescape")
            threading.Thread(target=feed, args=(into, data), name="stdin", daemon=True).start()
        self._first_pid = engine.state(self._container).pid
        self._tell(
            {
                "container": self._container[:12],
                "pid": self._first_pid,
                "image": self._order["image"],
                "runtime": self._order["runtime"],
            }
        )
        return output

    def _look_for_programs(self, engine: Engine) -> None:
        """An init would start, and only then not find what it is to run."""
        folders = engine.search_path(self._container)
        for program in self._order["programs"]:
            places = [program] if program.startswith("/") else [f"{f}/{program}" for f in folders]
            if not any(engine.has_file(self._container, place) for place in places):
                raise ProgramMissingError(f"{self._order['image']} has no {program}")

    def _program_missing(self, error: EngineError) -> bool:
        # An init was asked for its program before; what is missing then is the init itself.
        told = not self._order["body"]["HostConfig"]["Init"] and MISSING.search(str(error))
        return isinstance(error, ProgramMissingError) or bool(told)

    def _tell(self, facts: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            os.write(self._report, json.dumps(facts).encode() + b"\n")
            os.close(self._report)

    def _follow(self, engine: Engine, output: socket.socket) -> int:
        """Copy the output and wait for the end, over breaks of the connection."""
        pump(output)
        state = self._state(engine, SETTLE_S)
        while state is not None and not state.ended:
            began_at = time.monotonic()
            try:
                copied = pump(engine.attach(self._container, stdin=False), gap=True)
            except EngineError:
                copied = 0
            if copied == 0 and time.monotonic() - began_at < SETTLE_S:
                # Not the connection ended but the output: the program has closed it.
                state = self._state(engine, None)
            else:
                state = self._state(engine, SETTLE_S)
        if state is None:
            return NO_EXIT
        if state.out_of_memory:
            say("the container was out of memory")
        elif state.exit_code == KILLED and not self._killed:
            say("the container was killed, as happens to one that needs more memory than it has")
        return state.exit_code & 0xFF

    def _state(self, engine: Engine, wait_s: float | None) -> State | None:
        """How the container is once it has ended or ``wait_s`` are over (``None``: never).

        Nothing if that cannot be told any more.
        """
        began_at = answered_at = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                state = engine.state(self._container)
                answered_at = now
            except EngineUnreachableError as error:
                if now - answered_at > ENGINE_PATIENCE_S:
                    say(str(error))
                    return None
                state = None
            except (NotThereError, EngineError) as error:
                say(f"the container is gone: {error}")
                return None
            if state is not None and state.ended:
                return state
            if state is not None and wait_s is not None and now - began_at > wait_s:
                return state
            time.sleep(LOOK_S if now - began_at < SETTLE_S else SLOW_LOOK_S)

    def _obey(self) -> None:
        held = b""
        while chunk := os.read(self._control, 4096):
            *lines, held = (held + chunk).split(b"\n")
            for number in {int(line) for line in lines}:
                with self._lock:
                    if number in self._under_way:
                        continue
                    self._under_way.add(number)
                threading.Thread(target=self._signal, args=(number,), daemon=True).start()
        self._abandon()

    def _signal(self, number: int) -> None:
        try:
            with contextlib.suppress(EngineError):
                engine = Engine(self._address, version=self._version)
                self._killed = self._killed or number == signal.SIGKILL
                if number == signal.SIGKILL or self._first_must_be_told(engine, number):
                    engine.signal(self._container, number)
        finally:
            with self._lock:
                self._under_way.discard(number)

    def _first_must_be_told(self, engine: Engine, number: int) -> bool:
        """Tell all processes but the first; an init, if that is one, only passes signals on."""
        told = self._address.socket is not None and signal_container(
            self._container, self._first_pid, number
        )
        if not told:
            with contextlib.suppress(EngineError):
                told = engine.signal_others(self._container, number)
        return not told or not self._order["body"]["HostConfig"]["Init"]

    def _finish_signals(self) -> None:
        """An engine whose caller leaves in the middle of a call may keep what it began for it."""
        deadline = time.monotonic() + SIGNAL_S
        while self._under_way and time.monotonic() < deadline:
            time.sleep(LOOK_S)

    def _abandon(self) -> None:
        """Without a supervisor nothing may run; a container that is just being made goes next."""
        self._abandoned = True
        if self._container:
            self._remove()
            os._exit(NO_EXIT)

    def _remove(self) -> None:
        """What this does not get done the node manager does: the container bears our labels."""
        if self._container:
            with contextlib.suppress(EngineError):
                Engine(self._address, version=self._version).remove(self._container)
