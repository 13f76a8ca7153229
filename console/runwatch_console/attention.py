"""What needs somebody, in order of need: the rows of the home screen; pure.

Three parts: who waits for a person, what is unhealthy (or has just failed), and what is short of
room.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from runwatch_console.columns import ended_text, short_agent
from runwatch_console.fleet import Fleet
from runwatch_console.formats import UNKNOWN, format_cost
from runwatch_console.lens import Lens
from runwatch_console.looks import FAIL, QUEUE, TIMEOUT, Look, look_of_node, look_of_run
from runwatch_console.rows import NodeRow, RunRow
from runwatch_console.told import health_words, queue_text, queue_words

RECENT_FAILURE_S: Final = 3600.0
"""A failure is news for an hour."""
MAX_FAILURES: Final = 50


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part. `part`: `needs`, `unhealthy`, `capacity`."""

    part: str
    shown: int
    total: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One line: a run (`run:<id>`), a node (`node:<id>`) or the queue (`queue`)."""

    key: str
    look: Look
    since_s: float | None
    ended: bool
    """Whether `since_s` is a fact of the past: its age is exact however late the feed is."""
    id: str
    name: str
    why: str
    note: str = ""


Row = Heading | Item


def attention_keys(fleet: Fleet, now_s: float) -> tuple[str, ...]:
    """The keys of the rows in order: headings are `part:<name>`; parts with nothing are left out
    but the first.
    """
    needs = sorted(
        (run for run in fleet.runs.values() if run.state == "waiting" and not run.ended),
        key=_waiting_order,
    )
    sick = sorted((run for run in fleet.runs.values() if _is_sick(run)), key=_sick_order)
    failed = sorted(
        (run for run in fleet.runs.values() if _just_failed(run, now_s)),
        key=lambda run: (-(run.ended_s or 0.0), run.id),
    )
    nodes = sorted(
        (node for node in fleet.nodes.values() if node.status != "online"),
        key=lambda node: (node.offline_since_s or 0.0, node.id),
    )
    queued = any(_is_held_up(run) for run in fleet.runs.values())
    keys: list[str] = ["part:needs", *(f"run:{run.id}" for run in needs)]
    unhealthy = [*sick, *failed[:MAX_FAILURES]]
    if unhealthy:
        keys += ["part:unhealthy", *(f"run:{run.id}" for run in unhealthy)]
    if nodes or queued:
        keys += ["part:capacity", *(f"node:{node.id}" for node in nodes)]
        keys += ["queue"] if queued else []
    return tuple(keys)


def attention_row(key: str, keys: Iterable[str], fleet: Fleet, lens: Lens) -> Row | None:
    """The row of a key; None when what it names is gone from the fleet."""
    kind, _, name = key.partition(":")
    if kind == "part":
        return _heading(name, list(keys), fleet, lens)
    if kind == "node":
        node = fleet.nodes.get(name)
        return None if node is None else _node_item(key, node, fleet, lens)
    if kind == "queue":
        return _queue_item(fleet, lens)
    run = fleet.runs.get(name)
    if run is None:
        return None
    if run.login is not None and not run.ended:
        return _login_item(key, run, fleet, lens)
    return _run_item(key, run, lens)


def _waiting_order(run: RunRow) -> tuple[float, float, str]:
    """The nearest deadline first, then who waits longest."""
    wait = run.wait
    deadline = wait.deadline_s if wait and wait.deadline_s is not None else float("inf")
    since = wait.since_s if wait and wait.since_s is not None else float("inf")
    return deadline, since, run.id


_SICK: Final[Mapping[str, int]] = {"looping": 0, "stalled": 1, "stuck_queued": 3, "slow": 4}


def _is_sick(run: RunRow) -> bool:
    if run.ended or run.state == "waiting":
        return False
    return run.state == "unknown" or run.health in _SICK


def _sick_order(run: RunRow) -> tuple[int, float, str]:
    rank = 2 if run.state == "unknown" else _SICK.get(run.health, 5)
    return rank, run.health_since_s or run.updated_s or 0.0, run.id


def _just_failed(run: RunRow, now_s: float) -> bool:
    if run.status not in ("failed", "timeout") or run.ended_s is None:
        return False
    return now_s - run.ended_s <= RECENT_FAILURE_S


def _is_held_up(run: RunRow) -> bool:
    return run.status == "queued" and run.queue_code not in ("", "placing")


def _heading(part: str, keys: list[str], fleet: Fleet, lens: Lens) -> Heading:
    start = keys.index(f"part:{part}") + 1
    end = next((i for i in range(start, len(keys)) if keys[i].startswith("part:")), len(keys))
    shown = end - start
    stats = fleet.stats
    if part != "needs" or stats is None:
        return Heading(part, shown, shown)
    oldest = min(
        (run.wait.since_s for run in fleet.runs.values() if run.wait and run.wait.since_s),
        default=None,
    )
    note = ""
    if shown and oldest is not None:
        note = lens.words(
            "needs.note", age=lens.age(lens.now_s - oldest), slots=stats.waiting.held_slots
        )
    return Heading(part, shown, max(shown, stats.workflows_by_state.get("waiting", 0)), note)


def _login_item(key: str, run: RunRow, fleet: Fleet, lens: Lens) -> Item:
    """A login under way: its code, until when it holds, and how many runs wait for it."""
    login = run.login
    assert login is not None
    since = run.wait.since_s if run.wait is not None else run.started_s
    why = lens.words("why.login", code=login.code or UNKNOWN)
    if login.expires_s is not None:
        why += f" · {lens.words('why.login_expires', t=lens.until(login.expires_s))}"
    blocked = sum(
        1
        for each in fleet.runs.values()
        if each.agent == run.agent and each.queue_code == "login_missing" and not each.ended
    )
    note = lens.words("why.blocks", n=blocked) if blocked else ""
    name = f"{short_agent(run.agent)} @{run.node}" if run.node else short_agent(run.agent)
    return Item(key, look_of_run(run), since, False, run.id, name, why, note)


def _run_item(key: str, run: RunRow, lens: Lens) -> Item:
    look = look_of_run(run)
    if run.ended:
        since = run.ended_s
        why = ended_text(run, lens) or lens.words(look.word)
        if run.node:
            why = lens.words("why.on_node", why=why, node=run.node)
        return Item(key, look, since, True, run.id, run.name, why, _cost(run))
    if run.wait is not None:
        why = f"{lens.words('wait.' + run.wait.kind)}: {run.wait.prompt}"
        return Item(key, look, run.wait.since_s, False, run.id, run.name, why, _deadline(run, lens))
    if run.state == "unknown":
        why = lens.words("why.unknown", node=run.node or "?")
        return Item(key, look, run.updated_s, False, run.id, run.name, why, _cost(run))
    since = run.health_since_s
    why = health_text(run, lens)
    return Item(key, look, since, False, run.id, run.name, why, _cost(run))


def health_text(run: RunRow, lens: Lens) -> str:
    """The server's reason; for a silence, how long it lasts by now, and for a queue, why."""
    if run.health == "stalled" and run.last_activity_s is not None:
        silent = lens.age(lens.now_s - run.last_activity_s)
        return lens.words("why.silent", age=silent)
    if run.health == "stuck_queued" and run.queue_reason:
        return queue_words(run, lens.words)
    return health_words(run.health_reason, lens.words)


def _cost(run: RunRow) -> str:
    return "" if run.cost_usd is None else f"${format_cost(run.cost_usd)}"


def _deadline(run: RunRow, lens: Lens) -> str:
    if run.wait is None or run.wait.deadline_s is None:
        return ""
    return lens.due(run.wait.deadline_s)


def _node_item(key: str, node: NodeRow, fleet: Fleet, lens: Lens) -> Item:
    on_it = sum(1 for run in fleet.runs.values() if run.node == node.id and not run.ended)
    if node.reachable:
        why = lens.words(f"node.{node.status}", allocated=node.allocated, capacity=node.capacity)
        return Item(key, look_of_node(node), None, False, node.name, "", why)
    beat = UNKNOWN if node.heartbeat_s is None else lens.age(lens.now_s - node.heartbeat_s)
    why = lens.words("why.node_silent", age=beat, n=on_it)
    since = node.offline_since_s if node.offline_since_s is not None else node.heartbeat_s
    return Item(key, look_of_node(node), since, False, node.name, "", why)


def _queue_item(fleet: Fleet, lens: Lens) -> Item:
    held = [run for run in fleet.runs.values() if _is_held_up(run)]
    oldest = min((run.created_s for run in held if run.created_s is not None), default=None)
    reasons: dict[str, int] = {}
    for run in held:
        reasons[run.queue_reason] = reasons.get(run.queue_reason, 0) + 1
    most = max(reasons, key=lambda reason: reasons[reason], default="")
    why = queue_text(most, lens.words)
    return Item("queue", QUEUE, oldest, False, lens.words("queue.count", n=len(held)), "", why)


FAILURES: Final = (FAIL, TIMEOUT)
"""Looks that `e` stops at."""
