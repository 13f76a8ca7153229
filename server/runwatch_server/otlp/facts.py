"""What one record says of an agent's session, in the terms of a run; making events of it is in
`telling`.
"""

from typing import Any

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the union `Told`."""


class Said(Fact, frozen=True, kw_only=True):
    """Something to be shown as an event of this type (contract 9.3)."""

    type: str
    payload: dict[str, Any]


class Failed(Fact, frozen=True, kw_only=True):
    """A call of the model or the agent itself failed; ``final``: the agent gave up."""

    code: str
    message: str
    final: bool = False


class CallBegan(Fact, frozen=True, kw_only=True):
    """A tool is about to be used. ``input`` is None where it is not kept."""

    id: str
    tool: str
    input: Any = None
    lane: str | None = None


class CallEnded(Fact, frozen=True, kw_only=True):
    """A tool was used; its beginning may have been told before, or never is."""

    id: str | None
    tool: str
    input: Any = None
    success: bool | None = None
    duration_ms: int | None = None
    exit_code: int | None = None
    error: str | None = None
    output: str | None = None
    lane: str | None = None


class TurnUsed(Fact, frozen=True, kw_only=True):
    """A call of the model, with what it took. Token names are those of contract 5.1."""

    model: str | None
    tokens: dict[str, int]
    cost_usd: float | None = None
    details: dict[str, Any] = {}
    lane: str | None = None


class SessionEnded(Fact, frozen=True, kw_only=True):
    """The agent said that the session is over."""


Told = Said | Failed | CallBegan | CallEnded | TurnUsed | SessionEnded
"""One fact; matched on with ``assert_never``."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a metric that belongs to a session.

    Args:
        kind: What is counted, as the agent's own metrics name it.
        stream: Names the counter of one process, where it tells sums.
    """

    kind: str
    value: float
    delta: bool
    stream: str
    time_ns: int
    model: str | None = None
