"""What an agent is to the node: a command line, and a reader of its output; runs nothing itself.

Another agent is one more file beside `command.py` and one more line in `registry.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from runwatch_nodemanager.runtimes.container_plan import ContainerPlan, InstancePlan
from runwatch_shared.errors import RunwatchError
from runwatch_shared.models import AgentOffer, Snapshot

Json = dict[str, Any]
Stream = Literal["stdout", "stderr"]


class AgentError(RunwatchError):
    """A run this agent cannot begin. ``code`` is an ``error_code`` of contract 5.3."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRules:
    """What is done to an agent's output before it is written.

    Args:
        secrets: Texts that are replaced, in any spelling (`redaction.redactor.Rules`).
        expressions: Regular expressions of what is replaced beside the known formats.
        when_full: Whether the agent waits while its log is full or loses output, which is counted.
    """

    secrets: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    when_full: Literal["block", "drop"] = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start an agent. ``stdin`` is its whole standard input, ``None`` an empty one.

    Args:
        memory: What the run's reader begins with, as its `Adapter.save` would tell it.
        log: What a supervisor is told of the log it writes.
        trusted_until: When it ends by itself unless its lease is said to be longer
            (`boot_clock.boot_seconds`); ``None``: never.
        limits: Of each of its processes, as `process_tree.RESOURCES` names them.
        plan: The container it runs in; ``None``: none.
    """

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    stdin: str | None = None
    memory: Json | None = None
    log: LogRules = LogRules()
    trusted_until: float | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    plan: ContainerPlan | InstancePlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of output without its end, bytes that are no UTF-8 replaced.

    Args:
        piece: There is more of this line to come.
    """

    stream: Stream
    text: str
    moment_us: int
    piece: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an agent ended: by itself, by ``reason``, or never properly (``error_code`` is set).

    Args:
        reason: Who stopped it: a cancel reason of the contract, ``lease``, ``node_stopped`` or
            ``supervisor_signalled``.
    """

    code: int | None = None
    signal: int | None = None
    reason: str | None = None
    duration_ms: int | None = None
    error: str | None = None
    error_code: str | None = None

    @property
    def exit_code(self) -> int | None:
        """As a shell tells it: 128 + n for signal n."""
        return 128 + self.signal if self.signal is not None else self.code


@dataclass(frozen=True, slots=True)
class Draft:
    """An event without number and time: type and payload of contract 9.3, and the agent's line."""

    type: str
    payload: Json
    raw: str | None = None


class Adapter(Protocol):
    """Turns one run's output into events, the same ones whenever the same output is read again."""

    @property
    def whole_lines(self) -> bool:
        """Whether lines must come in one piece, however long."""

    def started(self, argv: list[str], cwd: str) -> list[Draft]:
        """What follows ``run_started``."""

    def line(self, line: Line) -> list[Draft]: ...

    def end(self, end: End) -> list[Draft]:
        """The last events; the very last is the run's terminal one."""

    def save(self) -> Json:
        """All that later events depend on, ready for JSON."""


class Agent(Protocol):
    """One agent type."""

    @property
    def type(self) -> str: ...

    def offer(self) -> AgentOffer:
        """Whether it can run here; may take seconds, called in a thread."""

    def launch(self, snapshot: Snapshot, *, cwd: Path, env: Mapping[str, str]) -> Launch:
        """May read files, called in a thread.

        Raises:
            AgentError: The run asks for what cannot be started.
        """

    def adapter(self, snapshot: Snapshot, saved: Json | None) -> Adapter:
        """A fresh reader, or one that goes on from what another one saved or a launch told it."""
