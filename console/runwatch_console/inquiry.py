"""Why a run is as it is: what is asked of the server beyond the row, and which events show it.

Only what the server said counts; what it could not tell is left out, and that is said.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from runwatch_console.eventlines import EventLine, event_line
from runwatch_console.formats import moment_s
from runwatch_console.ports import Api, ApiError, EventQuery
from runwatch_console.rows import RunRow, run_row
from runwatch_console.toolcalls import CALL_TYPES, call_key
from runwatch_shared.models import EventView, WorkflowDetail
from runwatch_shared.text import clean

LOOKED_AT: Final = 12
"""Calls that are looked at for a loop where the server names no window (contract 6.3)."""
SHOWN: Final = 6
"""Most events of one kind."""
SLOWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """One event, and why it is shown: `evidence.<why>` of the locale."""

    why: str
    line: EventLine


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """What the server answered. `thresholds`: names and numbers of contract 6.3, empty when it did
    not say.
    """

    run: RunRow
    detail: WorkflowDetail
    server_s: float | None = None
    """The server's clock when it answered."""
    thresholds: Mapping[str, int] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    problem: str = ""
    """Why some of it is missing; clean."""


async def inquire(api: Api, run_id: str) -> Inquiry:
    """Ask for the detail, the thresholds, and the events that show why.

    Raises:
        ApiError: The run itself could not be had; without the rest the inquiry goes on.
    """
    detail = await api.workflow(run_id)
    run = run_row(detail)
    problems: list[str] = []
    thresholds: Mapping[str, int] = {}
    server_s = None
    try:
        info = await api.server_info()
        thresholds, server_s = info.health_thresholds, moment_s(info.server_time)
    except ApiError as error:
        problems.append(_said(error))
    found: dict[int, Evidence] = {}
    for look in _looks(run):
        try:
            for piece in await look(api, detail, thresholds):
                found.setdefault(piece.line.seq, piece)
        except ApiError as error:
            problems.append(_said(error))
    evidence = tuple(found[seq] for seq in sorted(found))
    return Inquiry(
        run=run,
        detail=detail,
        server_s=server_s,
        thresholds=thresholds,
        evidence=evidence,
        problem=next(iter(problems), ""),
    )


def _said(error: ApiError) -> str:
    return clean(error.error, limit=200, fold=True)


Look = Callable[[Api, WorkflowDetail, Mapping[str, int]], Awaitable[list[Evidence]]]


async def _asked(api: Api, detail: WorkflowDetail, _: Mapping[str, int]) -> list[Evidence]:
    """The event that opened the wait."""
    wait = detail.waiting
    if wait is not None and wait.seq is not None:
        return await _one(api, detail.id, "asked", wait.seq)
    query = EventQuery(tail=True, limit=1, types=("approval_request",))
    return _as("asked", (await api.events(detail.id, query)).events)


async def _repeated(
    api: Api, detail: WorkflowDetail, thresholds: Mapping[str, int]
) -> list[Evidence]:
    """The last of the calls that are the same, tool and input."""
    window = min(max(1, thresholds.get("looping_window", LOOKED_AT)), 200)
    query = EventQuery(tail=True, limit=window, types=CALL_TYPES)
    return _as("repeated", most_repeated((await api.events(detail.id, query)).events)[-SHOWN:])


def most_repeated(events: Sequence[EventView]) -> list[EventView]:
    """Of these calls those with the commonest tool and input, if any came twice."""
    counts = Counter(call_key(event) for event in events)
    if not counts:
        return []
    key, times = counts.most_common(1)[0]
    return [event for event in events if call_key(event) == key] if times > 1 else []


async def _last(api: Api, detail: WorkflowDetail, _: Mapping[str, int]) -> list[Evidence]:
    """The last activity; a heartbeat is none (contract 5.6)."""
    page = await api.events(detail.id, EventQuery(tail=True, limit=20))
    return _as("last", [event for event in page.events if event.type != "heartbeat"][-2:])


async def _slowest(api: Api, detail: WorkflowDetail, _: Mapping[str, int]) -> list[Evidence]:
    """The calls that took longest, and those still open."""
    calls = [step for step in detail.steps if step.kind == "tool" and step.seq is not None]
    still = [step for step in calls if step.status == "open"]
    ended = sorted(calls, key=lambda step: step.duration_ms or 0, reverse=True)
    chosen = {step.seq: step for step in [*still[-1:], *ended[:SLOWEST]]}
    pages = await asyncio.gather(
        *(
            _one(api, detail.id, "open" if step.status == "open" else "slowest", step.seq or 0)
            for step in chosen.values()
        )
    )
    return [piece for page in pages for piece in page]


async def _errors(api: Api, detail: WorkflowDetail, _: Mapping[str, int]) -> list[Evidence]:
    """The last errors before the end."""
    query = EventQuery(tail=True, limit=SHOWN, levels=("error",))
    events = (await api.events(detail.id, query)).events
    return _as("error", [event for event in events if event.type not in _ENDS])


async def _end(api: Api, detail: WorkflowDetail, _: Mapping[str, int]) -> list[Evidence]:
    """The event that ended it."""
    query = EventQuery(tail=True, limit=1, types=_ENDS)
    return _as("end", (await api.events(detail.id, query)).events)


async def _one(api: Api, run_id: str, why: str, seq: int) -> list[Evidence]:
    page = await api.events(run_id, EventQuery(after_seq=max(0, seq - 1), limit=1))
    return _as(why, [event for event in page.events if event.seq == seq])


def _as(why: str, events: Sequence[EventView]) -> list[Evidence]:
    return [Evidence(why, event_line(event)) for event in events]


_ENDS: Final = ("run_completed", "run_failed")
_BY_HEALTH: Final[Mapping[str, tuple[Look, ...]]] = {
    "looping": (_repeated,),
    "stalled": (_last,),
    "slow": (_slowest, _last),
    "waiting_long": (_asked,),
}


def _looks(run: RunRow) -> tuple[Look, ...]:
    """Where to look, by what is the matter."""
    if run.ended:
        return (_errors, _end) if run.status in ("failed", "timeout") else (_end,)
    looks: tuple[Look, ...] = (_asked,) if run.wait is not None else ()
    looks += tuple(look for look in _BY_HEALTH.get(run.health, ()) if look not in looks)
    if run.state == "unknown":
        looks += (_last,)
    return looks
