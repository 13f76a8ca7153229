"""Where an agent runs: start, stream, signal, stop. Another runtime is one more file beside
`process.py` and `docker.py`.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_shared.errors import RunwatchError
from runwatch_shared.wire import Orphan


class RuntimeStartError(RunwatchError):
    """The runtime itself did not come up; whether the agent can start was not even tried."""


class PlacementError(RunwatchError):
    """A run that asks its runtime for what this node does not allow or have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What was started. ``running`` is false where the log says why the agent does not run."""

    running: bool
    runtime: str = "process"
    pid: int | None = None
    container: str | None = None
    image: str | None = None


class Growth(Protocol):
    """Tells when a run's log has grown."""

    async def wait(self, timeout_s: float) -> None:
        """Until it grew since the last wait, at most ``timeout_s``."""


class Collector(Protocol):
    """Looks after what runs left behind. Its methods but ``told`` block."""

    def told(self) -> list[Orphan]:
        """What a heartbeat says of it."""
        ...

    def look(self) -> int:
        """Look for it, and remove what was seen for longer than the grace; how many."""
        ...


class Runtime(Protocol):
    """Runs agents so that they outlive this program; a run is named by its folder alone."""

    @property
    def name(self) -> str:
        """``process``, ``docker`` or ``podman``: what a run has that asks for none."""

    def offers(self) -> list[str]:
        """The runtimes that a run can have now. Blocks, for seconds."""

    async def prepare(self, launch: Launch) -> None:
        """Have what the launch needs before it is started; may take as long as a download.

        Raises:
            RuntimeStartError: It cannot be had.
        """

    async def start(self, folder: RunFolder, launch: Launch, *, log_limit_bytes: int) -> Started:
        """Start an agent whose output and end go to the folder's log.

        That the agent itself cannot be started is in the log too, as its end.

        Raises:
            RuntimeStartError: Nothing runs and the log does not say why.
        """

    def stream(self, folder: RunFolder) -> AbstractContextManager[Growth]:
        """Follow the folder's log."""

    def signal(self, folder: RunFolder, number: int) -> bool:
        """Send all processes of the run a signal; False if nothing runs."""

    def stop(self, folder: RunFolder, *, reason: str, grace_s: float) -> bool:
        """Ask all processes of the run to end, and kill what is left after ``grace_s``."""

    def trust(self, folder: RunFolder, seconds: float) -> bool:
        """Let the run end by itself unless this is said again within ``seconds``."""

    def alive(self, folder: RunFolder) -> bool:
        """Whether somebody still writes the log."""

    def clear(self, folder: RunFolder) -> int:
        """Kill what is left of a run whose supervisor is gone; how much. Blocks."""
