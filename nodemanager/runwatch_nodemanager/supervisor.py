"""One small process per run that owns its agent: pipes, log, end. It outlives the node manager.

Started as ``python -I -m runwatch_nodemanager.supervisor FOLDER LOCK`` in a session of its own,
with the descriptor of the run's lock (`guarding.hold_lock`) as LOCK and the launch as JSON on
standard input; writes ``ready`` to standard output once the log says whether the agent runs. It
knows nothing of servers, events or agents. Standard library only, but for what finds secrets.
"""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.boot_clock import boot_seconds
from runwatch_nodemanager.container_tree import ContainerTree
from runwatch_nodemanager.guarding import signals_as_input
from runwatch_nodemanager.output_stream import OutputStream
from runwatch_nodemanager.process_tree import NO_LIMITS, ProcessTree, adopt_orphans
from runwatch_nodemanager.processes import read_process
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.run_folder import RunFolder, write_atomically
from runwatch_nodemanager.run_log import BLOCKED_S, RunLog

F_SETPIPE_SZ: Final = 1031
READ_BYTES: Final = 256 * 1024
PIPE_BYTES: Final = 1024 * 1024
SYNC_S: Final = 0.1
QUIET_S: Final = 1.0
LEFTOVER_S: Final = 1.0
"""How long what an ended agent left running may go on before it is stopped."""
LEFTOVER_GRACE_S: Final = 2.0
DRAIN_S: Final = 10.0
"""How long after the end of all processes a pipe may stay open before it is given up."""


class Supervisor:
    """Runs one agent from start to its EXITED record. ``launch`` is `Launch` as JSON."""

    def __init__(self, folder: RunFolder, launch: dict[str, Any]) -> None:
        self._folder = folder
        self._launch = launch
        self._rules = Rules(launch["log"]["secrets"], launch["log"]["expressions"])
        self._log = RunLog(
            folder,
            wake=os.open(folder.wake, os.O_RDWR | os.O_NONBLOCK),
            limit_bytes=int(launch["log_limit_bytes"]),
            drops=launch["log"]["when_full"] == "drop",
            clock=boot_seconds,
        )
        self._selector = selectors.DefaultSelector()
        self._control = os.open(folder.control, os.O_RDWR | os.O_NONBLOCK)
        self._orders = b""
        self._streams: dict[int, OutputStream] = {}
        self._reading = False
        self._synced_at = 0.0
        self._output_at: float | None = None
        container = launch.get("container")
        self._tree = (
            ContainerTree(container)
            if container
            else ProcessTree(launch.get("limits") or NO_LIMITS)
        )
        self._started_at = boot_seconds()
        self._ended_at = 0.0
        self._reason: str | None = None
        self._kill_at: float | None = None
        self._forced = False
        self._leftovers = 0
        self._trusted_until: float | None = launch.get("trusted_until")
        self.started: dict[str, Any] = {}
        """Of what was started: ``pid`` and ``runtime``, with a container that and ``image``."""

    def start(self) -> bool:
        """Start the agent and log it, or log why it cannot be started and return False."""
        if self._trusted_until is not None and boot_seconds() >= self._trusted_until:
            self._log.fact(kinds.REFUSED, {"reason": "lease"})
            return False
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        for pipe in (out_read, err_read):
            os.set_blocking(pipe, False)
            with contextlib.suppress(OSError):  # a lower limit for this user is no error
                fcntl.fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self._tree.start(
                self._launch["argv"],
                cwd=self._launch["cwd"],
                env=self._launch["env"],
                stdin=self._launch["stdin"],
                out=out_write,
                err=err_write,
            )
        except OSError as error:
            code = "agent_missing" if self._program_missing(error) else "start_failed"
            text = f"could not start {self._launch['argv'][0]}: {error.strerror or error}"
            self._log.fact(kinds.REFUSED, {"error": self._rules.text(text), "error_code": code})
            return False
        finally:
            os.close(out_write)
            os.close(err_write)
        self._streams = {
            out_read: OutputStream(self._rules, kinds.LINE, kinds.PART),
            err_read: OutputStream(self._rules, kinds.ERROR_LINE, kinds.ERROR_PART),
        }
        me = read_process(os.getpid())
        identity = {"pid": os.getpid(), "started_ticks": me.started_ticks if me else 0}
        write_atomically(self._folder.supervisor, json.dumps(identity).encode())
        argv0 = self._rules.text(self._launch["argv"][0])
        self._started_at = boot_seconds()
        self.started = {"pid": self._tree.pid, **self._tree.facts}
        self._log.fact(kinds.STARTED, {"argv0": argv0, **self.started})
        return True

    def supervise(self, wakeup: int) -> None:
        """Until the agent has ended, its output is read and the log says how it ended.

        Args:
            wakeup: Where signals arrive as bytes (`signals_as_input`).
        """
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(wakeup, selectors.EVENT_READ)
        while not self._finished():
            self._watch_pipes()
            for key, _ in self._selector.select(self._patience()):
                if key.fd == wakeup:
                    self._take_signals(wakeup)
                elif key.fd == self._control:
                    self._take_orders()
                else:
                    self._read(key.fd)
            if self._tree.reap():
                self._ended_at = boot_seconds()
            self._tick()
        self._log_exit()

    def close(self) -> None:
        self._log.close()

    def _program_missing(self, error: OSError) -> bool:
        if not isinstance(error, FileNotFoundError):
            return False
        return str(error.filename) != str(self._launch["cwd"])

    def _watch_pipes(self) -> None:
        reading = not self._log.full(ended=self._tree.status is not None)
        if reading != self._reading:
            for pipe in self._streams:
                if reading:
                    self._selector.register(pipe, selectors.EVENT_READ)
                else:
                    self._selector.unregister(pipe)
            self._reading = reading

    def _patience(self) -> float:
        """Seconds until something is due although nothing happens."""
        if self._kill_at is not None or self._tree.status is not None or self._log.dirty:
            return SYNC_S
        if not self._reading or self._output_at is not None:
            return BLOCKED_S
        if self._trusted_until is not None:
            return min(1.0, max(0.0, self._trusted_until - boot_seconds()))
        return 1.0

    def _read(self, pipe: int) -> None:
        stream = self._streams.get(pipe)
        if stream is None or self._log.full(ended=self._tree.status is not None):
            return
        try:
            chunk = os.read(pipe, READ_BYTES)
        except BlockingIOError:
            return
        if chunk:
            self._output_at = boot_seconds()
            self._log.output(stream.feed(chunk))
            return
        self._selector.unregister(pipe)
        os.close(pipe)
        del self._streams[pipe]
        self._log.output(stream.end())

    def _take_signals(self, wakeup: int) -> None:
        numbers = os.read(wakeup, 4096)
        if any(number != signal.SIGCHLD for number in numbers):
            self._stop("supervisor_signalled", LEFTOVER_GRACE_S)

    def _take_orders(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._orders += os.read(self._control, 65536)
        *lines, self._orders = self._orders.split(b"\n")
        for line in lines:
            # What is no order has no effect: the agent must not pay for a defect of the sender.
            with contextlib.suppress(ValueError, TypeError, KeyError):
                self._obey(json.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        match order["do"]:
            case "stop":
                self._stop(str(order["reason"]), float(order["grace_s"]))
            case "signal":
                self._tree.signal(signal.Signals(order["number"]))
            case "trust":
                self._trusted_until = float(order["until"])

    def _stop(self, reason: str, grace_s: float) -> None:
        kill_at = boot_seconds() + grace_s
        self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)
        if self._reason is None and self._tree.status is None:
            self._reason = reason
            self._log.fact(kinds.STOPPING, {"reason": reason})
            self._tree.signal(signal.SIGTERM)

    def _tick(self) -> None:
        now = boot_seconds()
        self._hand_over_held(now)
        if self._log.dirty and now - self._synced_at >= SYNC_S:
            self._synced_at = now
            self._log.sync()
        if self._trusted_until is not None and now >= self._trusted_until:
            self._trusted_until = None
            self._stop("lease", LEFTOVER_GRACE_S)
        ended = self._tree.status is not None
        if ended and self._kill_at is None and now - self._ended_at > LEFTOVER_S:
            self._stop_leftovers(now)
        if self._kill_at is not None and now >= self._kill_at and self._tree.alive():
            self._forced = True
            self._tree.signal(signal.SIGKILL)

    def _stop_leftovers(self, now: float) -> None:
        left = self._tree.alive()
        if left:
            self._leftovers = len(left)
            self._kill_at = now + LEFTOVER_GRACE_S
            self._tree.signal(signal.SIGTERM)

    def _hand_over_held(self, now: float) -> None:
        """A line begun and not ended for a while, as a prompt is, becomes a piece."""
        if self._output_at is None or now - self._output_at < QUIET_S:
            return
        if not self._reading or self._log.pending:
            # The rest of the line may long be waiting in the pipe.
            self._output_at = now
            return
        self._output_at = None
        for stream in self._streams.values():
            self._log.output(stream.hand_over())

    def _finished(self) -> bool:
        if self._tree.status is None or self._log.pending:
            return False
        if not self._streams and not self._tree.alive():
            return True
        last_step_at = max(self._ended_at + LEFTOVER_S, self._kill_at or 0.0)
        return boot_seconds() - last_step_at > DRAIN_S

    def _log_exit(self) -> None:
        status = self._tree.status or 0
        for stream in self._streams.values():
            self._log.output(stream.end())
        exit_facts = {
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "reason": self._reason,
            "forced": self._forced,
            "leftovers": self._leftovers,
            "duration_ms": round((self._ended_at - self._started_at) * 1000),
        }
        self._log.fact(kinds.EXITED, exit_facts)
        while self._log.pending:
            time.sleep(BLOCKED_S)
            self._log.write_pending()
        self._log.sync()


def main() -> int:
    folder = RunFolder(Path(sys.argv[1]))
    launch = json.load(sys.stdin)
    lock = int(sys.argv[2])
    os.set_inheritable(lock, False)
    adopt_orphans()
    supervisor = Supervisor(folder, launch)
    try:
        with signals_as_input() as wakeup:
            started = supervisor.start()
            # The node manager may be gone already; the agent is none the worse for it.
            with contextlib.suppress(BrokenPipeError):
                os.write(1, b"ready " + json.dumps(supervisor.started).encode() + b"\n")
            if started:
                supervisor.supervise(wakeup)
    finally:
        supervisor.close()
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
