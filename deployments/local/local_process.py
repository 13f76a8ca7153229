"""Processes that outlive the command which started them, and are stopped exactly; Linux only.

A pid alone names nobody: numbers are reused. A pid file here also keeps when the process began and
in which boot of the machine, and signals go through a pidfd, so no other process is ever hit.
"""

import json
import os
import select
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

KILL_WAIT_S: Final = 5.0
LOG_LIMIT_BYTES: Final = 10 * 1024 * 1024

Ending = Literal["not running", "stopped", "killed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One process of one boot."""

    pid: int
    start_ticks: int
    """Clock ticks between boot and its start: field 22 of /proc/PID/stat (proc(5))."""
    boot_id: str


def identity_of(pid: int) -> Identity | None:
    """Who has this pid now; None when nobody has, or it has ended and only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets, and may hold blanks and brackets.
    state, *fields = stat.rpartition(")")[2].split()
    if state in {"Z", "X"}:
        return None
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Identity(pid=pid, start_ticks=int(fields[18]), boot_id=boot_id)


def running(pid_file: Path) -> Identity | None:
    """The process this file names, if it is still that process."""
    try:
        written = Identity(**json.loads(pid_file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return written if identity_of(written.pid) == written else None


def start(
    command: Sequence[str],
    *,
    pid_file: Path,
    log_file: Path,
    environment: Mapping[str, str],
) -> Identity:
    """Starts a program in a session of its own, its output appended to ``log_file``.

    Raises:
        OSError: The program cannot be started.
    """
    for file in (pid_file, log_file):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log_file.exists() and log_file.stat().st_size > LOG_LIMIT_BYTES:
        log_file.replace(log_file.with_suffix(log_file.suffix + ".1"))
    with log_file.open("ab") as log:
        # Not `subprocess`, whose objects want to see the end of what they started.
        pid = os.posix_spawn(
            command[0],
            list(command),
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
            ],
            setsid=True,
        )
    identity = identity_of(pid)
    if identity is None:
        raise ChildProcessError(f"{command[0]} ended at once; see {log_file}")
    write(pid_file, identity)
    return identity


def write(pid_file: Path, identity: Identity) -> None:
    """Names a process in a pid file, at once or not at all."""
    draft = pid_file.with_name(f".{pid_file.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(identity)) + "\n")
    draft.replace(pid_file)


def stop(pid_file: Path, *, grace_s: float, asking: signal.Signals = signal.SIGTERM) -> Ending:
    """Ends the process a pid file names: asked first, forced after ``grace_s`` seconds."""
    identity = running(pid_file)
    ending: Ending = "not running"
    if identity is not None:
        ending = end(identity, grace_s=grace_s, asking=asking)
    pid_file.unlink(missing_ok=True)
    return ending


def end(identity: Identity, *, grace_s: float, asking: signal.Signals = signal.SIGTERM) -> Ending:
    """Ends exactly this process; see `stop`."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return "not running"
    try:
        # The handle is held: if it is the right process now, it stays the right one.
        if identity_of(identity.pid) != identity:
            return "not running"
        ending: Ending = "stopped"
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, asking)
        if not _ended(handle, grace_s):
            ending = "killed"
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            _ended(handle, KILL_WAIT_S)
    finally:
        os.close(handle)
    with suppress(ChildProcessError):
        os.waitpid(identity.pid, os.WNOHANG)  # it may have been our own child
    return ending


def _ended(handle: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def processes_of(directory: Path) -> list[Identity]:
    """Processes of ours that work in a directory or name it: in their command or environment."""
    found = []
    needle = os.fsencode(directory)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            if entry.stat().st_uid == os.getuid() and _names(entry, needle):
                identity = identity_of(int(entry.name))
                if identity is not None:
                    found.append(identity)
    return found


def _names(entry: Path, needle: bytes) -> bool:
    if needle in (entry / "cmdline").read_bytes() or needle in (entry / "environ").read_bytes():
        return True
    return os.fsencode((entry / "cwd").readlink()).startswith(needle)
