"""What agents do in the made-up fleet: endless-looking tales of events, each drawn by chance.

A tale yields beats; when they come, and what they do to the run, is `simrun`'s and `world`'s. Types
and payloads are those of contract 9.3.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from runwatch_console.demo import names
from runwatch_console.demo.names import AgentKind


@dataclass(frozen=True, slots=True)
class Beat:
    """One event to come. `pause`: how long before it, in beats; from `LONG` on in seconds."""

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    level: str = "info"
    pause: float = 1.0


@dataclass(slots=True)
class Teller:
    """Who tells: the agent, its chance, and the calls it has made."""

    agent: AgentKind
    chance: Random
    node: str
    argv: tuple[str, ...] = ()
    calls: int = 0
    turn: int = 0

    def call_id(self) -> str:
        """A new tool call's id."""
        self.calls += 1
        return f"call_{self.calls:04d}"

    def usage(self) -> dict[str, Any]:
        """Tokens and cost of one turn."""
        self.turn += 1
        fresh, out = self.chance.randrange(200, 4_000), self.chance.randrange(100, 2_500)
        cached = self.chance.randrange(2_000, 60_000)
        cost = (fresh + out * 4 + cached / 10) * self.agent.price / 1e6
        return {
            "scope": "turn",
            "input_tokens": fresh,
            "output_tokens": out,
            "cache_read_tokens": cached,
            "cache_write_tokens": fresh // 2,
            "cost_usd": round(cost, 6),
            "model": self.agent.model,
        }


LONG: Final = 50.0
"""Of a pause: waits and silences do not depend on how fast the fleet goes."""

Tale = Callable[[Teller], Iterator[Beat]]


def beginning(teller: Teller) -> Iterator[Beat]:
    """As every run begins."""
    agent = teller.agent
    yield Beat(
        "run_started",
        {
            "node_id": teller.node,
            "runtime": "process",
            "pid": teller.chance.randrange(2_000, 60_000),
            "agent": {"type": agent.type, "version": "2.1", "model": agent.model},
            "workspace": {"type": "git", "path": "/srv/work"},
        },
    )
    if agent is not names.COMMAND:
        tools = [agent.shell, agent.edit, agent.read, agent.search]
        yield Beat("system_info", {"agent": agent.type, "model": agent.model, "tools": tools})


def ending(teller: Teller) -> Iterator[Beat]:
    """As one that did its work ends."""
    if teller.agent is not names.COMMAND:
        text = {"result": "All done; see the diff.", "num_turns": teller.turn}
        yield Beat("result", text, "success")
    yield Beat("run_completed", {"status": "done", "exit_code": 0}, "success")


def tool_call(teller: Teller, *, lane: str | None = None) -> Iterator[Beat]:
    """One call, what it touches, and its result."""
    agent, chance = teller.agent, teller.chance
    tool = chance.choice([agent.shell, agent.shell, agent.edit, agent.read, agent.search])
    path = chance.choice(names.FILES)
    given: dict[str, Any] = {"file_path": path}
    if tool == agent.shell:
        given = {"command": chance.choice(names.SHELLS)}
    elif tool == agent.search:
        given = {"pattern": chance.choice(names.PATTERNS)}
    call = teller.call_id()
    where = {} if lane is None else {"lane": lane}
    yield Beat("tool_use_start", {"id": call, "tool": tool, "input": given, **where})
    if tool == agent.read:
        yield Beat(
            "file_read", {"path": path, "lines": chance.randrange(20, 900), **where}, "info", 0.2
        )
    if tool == agent.edit:
        changed = {"path": path, "lines_changed": chance.randrange(1, 60)}
        yield Beat("file_write", {**changed, **where}, "info", 0.2)
    good = chance.random() > 0.12
    result: dict[str, Any] = {
        "id": call,
        "tool": tool,
        "success": good,
        "output": chance.choice(names.OUTPUTS),
        "duration_ms": chance.randrange(20, 9_000),
    }
    if not good:
        result |= {"exit_code": 1, "error": "exit 1"}
    yield Beat("tool_result", {**result, **where}, "info" if good else "error", 1.5)


def talk(teller: Teller) -> Iterator[Beat]:
    """A turn's words."""
    chinese = teller.agent is names.QWEN or teller.chance.random() < 0.1
    sayings = names.CHINESE_SAYINGS if chinese else names.SAYINGS
    content = {"role": "assistant", "content": teller.chance.choice(sayings)}
    yield Beat("message", {**content, "usage": teller.usage()})


def odds(teller: Teller) -> Iterator[Beat]:
    """What happens now and then."""
    chance = teller.chance
    match chance.randrange(9):
        case 0:
            share = round(chance.uniform(0.1, 0.9), 2)
            plan = [{"text": "read", "done": True}, {"text": "write", "done": share > 0.5}]
            text = f"step {int(share * 10)} of 10"
            yield Beat("progress", {"progress": share, "message": text, "items": plan})
        case 1:
            yield Beat("checkpoint", {"state": "tests green", "resumable": True})
        case 2:
            text = "rate limited, waiting 3s"
            yield Beat("warning", {"code": "slow", "message": text}, "warning")
        case 3:
            error = {"code": "fetch_failed", "message": "503 from the registry"}
            yield Beat("error", {**error, "recoverable": True}, "warning")
        case 4:
            yield Beat("file_delete", {"path": "build/old.tmp"})
        case 5:
            yield Beat("heartbeat")
        case 6:
            yield Beat("x_demo_note", {"text": "an extension's own event"})
        case 7:
            for _ in range(chance.randrange(1, 4)):
                yield from tool_call(teller, lane="reviewer")
        case _:
            yield Beat("thinking", {"content": chance.choice(names.THOUGHTS)})


def turns(teller: Teller, count: int) -> Iterator[Beat]:
    """So many turns of work."""
    for _ in range(count):
        if teller.chance.random() < 0.4:
            yield Beat("thinking", {"content": teller.chance.choice(names.THOUGHTS)})
        yield from tool_call(teller)
        if teller.chance.random() < 0.3:
            yield from odds(teller)
        yield from talk(teller)


def worker(teller: Teller) -> Iterator[Beat]:
    """Works to its end."""
    yield from beginning(teller)
    yield from turns(teller, teller.chance.randrange(8, 40))
    yield from ending(teller)


def asker(teller: Teller) -> Iterator[Beat]:
    """Waits for a person in the middle."""
    yield from beginning(teller)
    yield from turns(teller, teller.chance.randrange(3, 8))
    kind, prompt = teller.chance.choice(names.APPROVALS)
    call = teller.call_id()
    asked = {"id": call, "kind": kind, "action": prompt, "prompt": prompt, "on_expiry": "deny"}
    yield Beat("approval_request", asked, "warning")
    long = teller.chance.uniform(60, 300)
    answer = {"id": call, "approved": True, "by": "user", "comment": "ok"}
    yield Beat("approval_response", answer, "info", long)
    yield from turns(teller, teller.chance.randrange(4, 16))
    yield from ending(teller)


def looper(teller: Teller) -> Iterator[Beat]:
    """Makes the same call again and again."""
    yield from beginning(teller)
    yield from turns(teller, 3)
    for _ in range(teller.chance.randrange(30, 80)):
        call = teller.call_id()
        given = {"command": "pytest -q tests/billing"}
        yield Beat("tool_use_start", {"id": call, "tool": teller.agent.shell, "input": given})
        failed = {"id": call, "tool": teller.agent.shell, "success": False, "exit_code": 1}
        yield Beat("tool_result", {**failed, "output": names.OUTPUTS[1]}, "error", 2.0)
        if teller.chance.random() < 0.2:
            yield from talk(teller)
    yield from turns(teller, 2)
    yield from ending(teller)


def staller(teller: Teller) -> Iterator[Beat]:
    """Falls silent for long."""
    yield from beginning(teller)
    yield from turns(teller, teller.chance.randrange(4, 9))
    yield Beat("thinking", {"content": names.THOUGHTS[1]})
    yield Beat("message", {"role": "assistant", "content": "Where was I?"}, "info", 400.0)
    yield from turns(teller, teller.chance.randrange(4, 9))
    yield from ending(teller)


def failer(teller: Teller) -> Iterator[Beat]:
    """Works, and ends badly."""
    yield from beginning(teller)
    yield from turns(teller, teller.chance.randrange(4, 20))
    text = "killed: out of memory"
    yield Beat("error", {"code": "agent_error", "message": text}, "error")
    end = {"error": text, "error_code": "exit_nonzero", "exit_code": 137}
    yield Beat("run_failed", end, "error")


def command(teller: Teller) -> Iterator[Beat]:
    """A plain program, line by line."""
    yield from beginning(teller)
    argv = list(teller.argv or ("make", "smoke"))
    yield Beat("command", {"id": "c1", "argv": argv, "cwd": "/srv/work"})
    for number in range(1, teller.chance.randrange(8, 60)):
        line = f"[{number:03d}] {teller.chance.choice(names.OUTPUTS).splitlines()[0]}"
        yield Beat("command_output", {"id": "c1", "stdout": f"{line}\n"})
    code = 0 if teller.chance.random() > 0.2 else 2
    level = "info" if code == 0 else "warning"
    yield Beat("command_output", {"id": "c1", "exit_code": code}, level)
    status = "done" if code == 0 else "failed"
    end = {"status": status, "exit_code": code, "error_code": "exit_nonzero"} if code else {
        "status": status, "exit_code": 0,
    }  # fmt: skip
    yield Beat("run_completed", end, "success" if code == 0 else "error")


TALES: Final[tuple[Tale, ...]] = (
    worker, worker, worker, worker, worker, asker, looper, staller, failer, failer,
)  # fmt: skip
"""Drawn from for a new run of an agent."""
