"""The processes of this node's logins: started, spoken to, and what is left of them cleared."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from runwatch_nodemanager.guarding import hold_lock
from runwatch_nodemanager.logins.keeper import Order
from runwatch_nodemanager.logins.step import LoginFolder
from runwatch_shared.errors import RunwatchError

KEEPER: Final = (sys.executable, "-I", "-m", "runwatch_nodemanager.logins.keeper")
LAST_CHARS: Final = 300


class KeeperError(RunwatchError):
    """A login's own process did not come up."""


class Keepers:
    """Those of one node manager; a login is named by its folder alone."""

    def __init__(self) -> None:
        self._children: dict[Path, int] = {}

    def start(self, folder: LoginFolder, order: Order) -> None:
        """Start a login's process and hand it its order, in one go. Blocks.

        Raises:
            KeeperError: It did not start, or there is one already.
        """
        try:
            lock = hold_lock(folder)
        except BlockingIOError as error:
            raise KeeperError("the login has a process already") from error
        try:
            with folder.errors.open("wb") as errors:
                child = subprocess.Popen(
                    [*KEEPER, str(folder.path), str(lock)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd="/",
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)
        self._children[folder.path] = child.pid
        # It outlives this program on purpose; Popen would warn of it.
        child.returncode = 0
        if child.stdin is None or child.stdout is None:
            raise KeeperError("the login's process has no pipes")
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(msgspec.json.encode(order))
        with child.stdout:
            if not child.stdout.readline().startswith(b"ready"):
                raise KeeperError(last_words(folder) or "the login's process did not start")

    def alive(self, folder: LoginFolder) -> bool:
        """Whether it still tells steps."""
        self._reap(folder)
        return folder.supervised()

    def gone(self, folder: LoginFolder) -> bool:
        """Whether nothing is left of it, not even its exit status."""
        return self._reap(folder) and not folder.supervised()

    def stop(self, folder: LoginFolder) -> bool:
        """Ask for the end; False if nothing listens."""
        return folder.request(do="stop")

    def type(self, folder: LoginFolder, text: str) -> bool:
        """Give the program what a person entered; False if nothing listens."""
        return folder.request(do="input", text=text)

    def _reap(self, folder: LoginFolder) -> bool:
        """Whether it is no child of this program's any more."""
        child = self._children.get(folder.path)
        if child is not None and not _reaped(child):
            return False
        self._children.pop(folder.path, None)
        return True


def last_words(folder: LoginFolder) -> str:
    """The last line of a login's process that died of a defect."""
    try:
        lines = folder.errors.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:LAST_CHARS] if lines else ""


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
