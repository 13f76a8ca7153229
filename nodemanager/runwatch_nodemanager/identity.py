"""Who this node is: an id that stays, a process id that does not, its place in the data folder."""

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runwatch_nodemanager.logins.step import LoginFolder
from runwatch_nodemanager.run_folder import RunFolder, write_atomically
from runwatch_shared.errors import SettingsError

NODE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
UNUSABLE: Final = re.compile(r"[^A-Za-z0-9-]+")
DOCUMENTATION_ADDRESS: Final = ("192.0.2.1", 9)
"""Never reached: only asked which of our addresses a packet to the outside would carry."""


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """A node's part of the data directory."""

    path: Path

    @property
    def runs(self) -> Path:
        """One folder a run that is not over yet."""
        return self.path / "runs"

    @property
    def ended(self) -> Path:
        """Folders of runs that are over, kept for a while."""
        return self.path / "ended"

    @property
    def aside(self) -> Path:
        """Folders of runs this node lost; what they hold was never accepted."""
        return self.path / "aside"

    @property
    def workspaces(self) -> Path:
        return self.path / "workspaces"

    @property
    def volumes(self) -> Path:
        return self.path / "volumes"

    @property
    def logins(self) -> Path:
        """One folder a login that is under way."""
        return self.path / "logins"

    @property
    def instances(self) -> Path:
        """One folder an instance, with the workspaces of the runs in it."""
        return self.path / "instances"

    def instance_workspaces(self, instance_id: str) -> Path:
        """One folder a run; the instance sees all of them."""
        return self.instances / instance_id / "workspaces"

    def own_workspaces(self, run_id: str) -> list[Path]:
        """Folders that were made for this run alone, wherever it was carried out."""
        inside = [path / "workspaces" / run_id for path in _entries(self.instances)]
        return [path for path in (self.workspaces / run_id, *inside) if path.is_dir()]

    @property
    def lock(self) -> Path:
        """Holds the process id of the node manager that runs."""
        return self.path / "lock"

    def run(self, run_id: str) -> RunFolder:
        return RunFolder(self.runs / run_id)

    def login(self, action_id: str) -> LoginFolder:
        return LoginFolder(self.logins / action_id)

    def create(self) -> None:
        for path in (self.path, self.runs, self.ended, self.aside, self.logins):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other node managers out.

        Raises:
            SettingsError: Another one has this node already.
        """
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise SettingsError(f"another node manager already runs with {self.path}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def holder(self) -> int | None:
        """Process id of the node manager that runs here."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, 32).strip()
            return int(text) if text.isdigit() else None
        finally:
            os.close(descriptor)
        return None


def find_node(data_dir: Path, wanted_id: str) -> tuple[str, NodeFolder]:
    """The node's id and folder; the id is made once and kept where none is ``wanted``.

    Raises:
        SettingsError: The id has characters an id cannot have.
    """
    base = data_dir / "node"
    node_id = wanted_id or _kept_id(base)
    if not NODE_ID.fullmatch(node_id):
        raise SettingsError(
            "node_id must begin with a letter or digit and hold letters, digits, . _ : - only, "
            f"at most 128: {node_id!r}"
        )
    return node_id, NodeFolder(base / node_id)


def new_process_id() -> str:
    """One a process start; the server tells two processes of one node apart by it."""
    return f"p-{secrets.token_hex(8)}"


def own_addresses() -> str:
    """This machine's address towards the outside; empty where it has none. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(DOCUMENTATION_ADDRESS)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _kept_id(base: Path) -> str:
    path = base / "id"
    try:
        kept = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        kept = ""
    if kept:
        return kept
    host = UNUSABLE.sub("-", socket.gethostname()).strip("-")[:40]
    made = f"{host or 'node'}-{secrets.token_hex(3)}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, f"{made}\n".encode())
    return made
