"""The relay of a run that is carried out in an instance: starts it there, copies its output, and
leaves the container as it was.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from typing import Any, Final

from runwatch_nodemanager.runtimes.engine import Call, Engine, Inner, NotThereError
from runwatch_nodemanager.runtimes.engine_address import EngineError, EngineUnreachableError
from runwatch_nodemanager.runtimes.inner_processes import InnerProcesses
from runwatch_nodemanager.runtimes.relay import (
    ENGINE_PATIENCE_S,
    LOOK_S,
    NO_EXIT,
    SETTLE_S,
    SLOW_LOOK_S,
    ProgramMissingError,
    Relay,
)
from runwatch_nodemanager.runtimes.relay_streams import give, pump, say

LEFTOVER_S: Final = 1.0
"""How long what an ended agent left running may go on before it is stopped."""
LEFTOVER_GRACE_S: Final = 2.0
TREE_LOOK_S: Final = 0.5
"""How often is looked who descends from whom, before a parent is gone."""
UNTOLD_S: Final = 5.0
"""How long after its process is gone an engine may say that it runs."""


class InnerRelay(Relay):
    """See `Relay`. The order has ``inner``: ``run_id`` and the fields of `engine.Call`; ``name`` is
    the instance's container.
    """

    def __init__(self, order: dict[str, Any], *, control: int, report: int) -> None:
        super().__init__(order, control=control, report=report)
        inner = order["inner"]
        self._run_id = str(inner["run_id"])
        self._call = Call(
            argv=inner["argv"], env=inner["env"], workdir=inner["workdir"], user=inner["user"]
        )
        self._call_id = ""
        self._processes: InnerProcesses | None = None
        self._left: threading.Event = threading.Event()
        """The agent has ended and what it left running, too."""

    def _program_missing(self, error: EngineError) -> bool:
        return isinstance(error, ProgramMissingError)

    def _begin(self, engine: Engine) -> socket.socket:
        state = engine.state(self._order["name"])
        found = engine.called(self._order["name"])
        if found is None or state.ended or not state.pid:
            raise EngineError(f"the instance's container {self._order['name']} does not run")
        self._container = found.id
        self._processes = InnerProcesses(found.id, state.pid, self._run_id)
        self._look_for_programs(engine)
        self._call_id, connection = engine.enter(found.id, self._call)
        if self._abandoned:
            self._abandon()
        pid = self._first(engine)
        self._processes.adopt(pid)
        data = self._order["stdin"].encode("utf-8", "surrogateescape")
        threading.Thread(target=give, args=(connection, data), name="stdin", daemon=True).start()
        threading.Thread(target=self._watch, args=(connection, pid), daemon=True).start()
        self._tell(
            {
                "container": self._container[:12],
                "pid": pid,
                "image": self._order["image"],
                "runtime": self._order["runtime"],
            }
        )
        return connection

    def _first(self, engine: Engine) -> int:
        """The process that was started, which an engine may not know at once; 0 if it has ended."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            state = engine.inner(self._call_id)
            if state.pid or not state.running or time.monotonic() > deadline:
                return state.pid
            time.sleep(LOOK_S)

    def _follow(self, engine: Engine, output: socket.socket) -> int:
        pump(output)
        state = self._inner(engine, SETTLE_S)
        if state is not None and state.running:
            say("no more can be read of it: it closed its output, or its engine went away")
            state = self._inner(engine, None)
        self._left.wait(LEFTOVER_S + LEFTOVER_GRACE_S + SETTLE_S)
        return NO_EXIT if state is None else state.exit_code & 0xFF

    def _inner(self, engine: Engine, wait_s: float | None) -> Inner | None:
        """How it is once it has ended or ``wait_s`` are over (``None``: never); nothing if that
        cannot be told any more.
        """
        began_at = answered_at = time.monotonic()
        gone_at: float | None = None
        while True:
            now = time.monotonic()
            try:
                state = engine.inner(self._call_id)
                answered_at = now
                if not state.running or (wait_s is not None and now - began_at > wait_s):
                    return state
                if self._gone(state.pid):
                    gone_at = gone_at or now
                    if now - gone_at > UNTOLD_S:
                        say("how it ended cannot be told: its engine was away")
                        return None
            except EngineUnreachableError as error:
                if now - answered_at > ENGINE_PATIENCE_S:
                    say(str(error))
                    return None
            except (NotThereError, EngineError):
                say("the instance was stopped, or its container ended")
                return None
            time.sleep(LOOK_S if now - began_at < SETTLE_S else SLOW_LOOK_S)

    def _gone(self, pid: int) -> bool:
        processes = self._processes
        seen = processes is not None and processes.visible and pid
        return processes is not None and bool(seen) and pid not in processes.look()

    def _watch(self, connection: socket.socket, pid: int) -> None:
        """Know the run's processes as they come, and end what is left when the first has ended.

        What is left may hold the output open: an engine ends a connection no sooner.
        """
        with contextlib.suppress(EngineError):
            engine = Engine(self._address, version=self._version)
            while self._runs(engine, pid):
                time.sleep(TREE_LOOK_S)
            time.sleep(LEFTOVER_S)
            processes = self._processes
            if processes is not None and processes.signal(engine, signal.SIGTERM):
                deadline = time.monotonic() + LEFTOVER_GRACE_S
                while processes.any(engine) and time.monotonic() < deadline:
                    time.sleep(LOOK_S)
                processes.kill(engine)
        self._left.set()
        time.sleep(SETTLE_S)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _runs(self, engine: Engine, pid: int) -> bool:
        processes = self._processes
        if processes is not None and processes.visible and pid:
            return pid in processes.look()
        try:
            return engine.inner(self._call_id).running
        except EngineUnreachableError:
            return True

    def _signal(self, number: int) -> None:
        try:
            processes = self._processes
            if processes is not None:
                engine = Engine(self._address, version=self._version)
                if number == signal.SIGKILL:
                    processes.kill(engine)
                else:
                    processes.signal(engine, number)
        except EngineError:
            return
        finally:
            with self._lock:
                self._under_way.discard(number)

    def _abandon(self) -> None:
        self._abandoned = True
        if self._call_id:
            self._remove()
            os._exit(NO_EXIT)

    def _remove(self) -> None:
        """What is left of the run goes; the container stays."""
        if self._processes is not None and self._call_id:
            with contextlib.suppress(EngineError):
                self._processes.kill(Engine(self._address, version=self._version))


def end_inside(engine: Engine, container: str, run_id: str) -> bool:
    """Kill what is left of a run in an instance; whether there was anything.

    Raises:
        EngineError: The engine does not tell.
    """
    found = engine.called(container)
    if found is None:
        return False
    state = engine.state(found.id)
    if state.ended or not state.pid:
        return False
    processes = InnerProcesses(found.id, state.pid, run_id)
    some = processes.any(engine)
    if some:
        processes.kill(engine)
    return some
