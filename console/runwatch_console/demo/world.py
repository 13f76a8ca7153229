"""The made-up fleet in time: who runs where, what comes next, what changed since when.

All of it follows from the seed and the moment it began: how often it is looked at changes nothing.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Final

from runwatch_console.demo import names, stories
from runwatch_console.demo.machines import Machine, machines
from runwatch_console.demo.names import AgentKind
from runwatch_console.demo.population import Populating
from runwatch_console.demo.simrun import SimRun
from runwatch_console.demo.stories import LONG, Beat, Teller
from runwatch_console.demo.wish import Wish
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

SECOND: Final = MICROSECONDS_PER_SECOND
LEAST_QUEUED: Final = 4
SWEEP_S: Final = 15
NODES_BEAT_S: Final = 10
CANCEL_S: Final = 2.0
KEPT_REMOVALS: Final = 10_000
LONGEST_LEAP_US: Final = 60 * SECOND
"""A console that slept does not live through all that was missed."""
_TICK: Final = ""


class World:
    """See the module. Moments are microseconds since the epoch."""

    def __init__(self, wish: Wish, start_us: int) -> None:
        self.wish = wish
        self.chance = Random(f"world {wish.seed}")
        self.start_us = self.now_us = start_us
        self.revision = 1
        self.runs: dict[str, SimRun] = {}
        self.active: dict[str, SimRun] = {}
        """Those that have not ended."""
        self.changed: dict[str, int] = {}
        """Revision of each run's newest change, the latest change last."""
        self.removed: deque[tuple[int, str]] = deque(maxlen=KEPT_REMOVALS)
        self.nodes: dict[str, Machine] = machines(wish, start_us)
        self.nodes_revision = 1
        self.ended = {"done": 0, "failed": 0, "cancelled": 0}
        """Since midnight, of all that ever were."""
        self.events = 0
        self._due: list[tuple[int, int, str]] = []
        self._serial = count()
        self._next: dict[str, Beat] = {}
        Populating(self).populate()
        self.active = {run.id: run for run in self.runs.values() if not run.ended}
        self._place()
        self._at(start_us + SECOND, _TICK)

    # Time.

    def advance(self, to_us: int) -> None:
        """Live until this moment."""
        if to_us - self.now_us > LONGEST_LEAP_US:
            self._shift(to_us - self.now_us - LONGEST_LEAP_US)
        while self._due and self._due[0][0] <= to_us:
            self.now_us, _, run_id = heapq.heappop(self._due)
            if run_id == _TICK:
                self._tick()
                self._at(self.now_us + SECOND, _TICK)
            elif run_id in self.runs:
                self._beat(self.runs[run_id])
        self.now_us = max(self.now_us, to_us)

    def _shift(self, by_us: int) -> None:
        self._due = [(due + by_us, serial, run_id) for due, serial, run_id in self._due]

    def _at(self, due_us: int, run_id: str) -> None:
        heapq.heappush(self._due, (due_us, next(self._serial), run_id))

    def _beat(self, run: SimRun) -> None:
        beat = self._next.pop(run.id, None)
        if beat is None or run.ended:
            return
        if run.cancelling:
            beat = Beat("run_completed", {"status": "cancelled", "by": "user"}, "warning")
        run.take(beat, self.now_us)
        self.events += 1
        if run.ended_us is not None:
            self.active.pop(run.id, None)
            self.ended[run.status] = self.ended.get(run.status, 0) + 1
        else:
            self.go_on(run, self.now_us)
            run.judge(self.now_us)
        self.touch(run)

    def go_on(self, run: SimRun, from_us: int) -> None:
        """The next beat of a run's tale, when its time comes."""
        assert run.tale is not None
        beat = next(run.tale, None)
        if beat is not None:
            self.schedule(run, beat, from_us + round(self.pause_s(beat) * SECOND))

    def schedule(self, run: SimRun, beat: Beat, due_us: int) -> None:
        """This beat comes then."""
        self._next[run.id] = beat
        self._at(due_us, run.id)

    def pause_s(self, beat: Beat) -> float:
        """Seconds before a beat: all runs together make as many changes a second as are wanted."""
        if beat.pause >= LONG:
            return beat.pause
        under_way = max(1, len(self._next))
        return beat.pause * under_way / self.wish.changes_per_s * self.chance.uniform(0.4, 1.6)

    # Each second.

    def _tick(self) -> None:
        second = (self.now_us - self.start_us) // SECOND
        if second % SWEEP_S == 0:
            for run in self.active.values():
                if run.judge(self.now_us):
                    self.touch(run)
        self._place()
        queued = sum(1 for run in self.active.values() if run.status == "queued")
        if queued < LEAST_QUEUED or (queued < LEAST_QUEUED * 3 and self.chance.random() < 0.05):
            self.spawn(self.now_us)
        self._forget()
        if second % NODES_BEAT_S == 0:
            self.revision += 1
            self.nodes_revision = self.revision
            for node in self.nodes.values():
                node.beat(self.now_us)

    def allocated(self, node: str) -> int:
        """Runs on a node."""
        return sum(1 for run in self.active.values() if run.node == node)

    def _place(self) -> None:
        """Queued runs go where there is room; the others are told why not."""
        queued = [run for run in self.active.values() if run.status == "queued"]
        if not queued:
            return
        held = Counter(run.node for run in self.active.values())
        free = {
            name: node.capacity - held[name] for name, node in self.nodes.items() if node.takes_runs
        }
        for run in queued:
            code, reason = self._reason(run, free)
            if not code:
                node = max(free, key=lambda name: free[name])
                free[node] -= 1
                self.begin(run, node, self.now_us)
                self.touch(run)
            elif (code, reason) != (run.queue_code, run.queue_reason):
                run.queue_code, run.queue_reason = code, reason
                self.touch(run)

    def _reason(self, run: SimRun, free: dict[str, int]) -> tuple[str, str]:
        if run.labels.get("account") == "team":
            return "login_missing", f"{names.LOGIN_MISSING_NODE} lacks login; n1, n2, n5 lack gpu"
        if run.labels.get("site") == "edge":
            return "labels", f"{names.SILENT_NODE} is offline; no other node has site=edge"
        if all(room <= 0 for room in free.values()):
            return "full", f"{', '.join(sorted(free))} full"
        return "", ""

    def _forget(self) -> None:
        """The oldest that ended go when there are more than wanted."""
        surplus = len(self.runs) - self.wish.runs
        if surplus <= 0:
            return
        ended = (run for run in self.runs.values() if run.ended)
        for run in heapq.nsmallest(surplus, ended, key=lambda run: run.ended_us or 0):
            del self.runs[run.id]
            self.changed.pop(run.id, None)
            self.revision += 1
            self.removed.append((self.revision, run.id))

    # Runs come and go.

    def new_run(self, agent: AgentKind, at_us: int, name: str = "") -> SimRun:
        """A run that is queued."""
        chance = self.chance
        run_id = f"run-{chance.randrange(16**12):012x}"
        titles = names.COMMANDS if agent is names.COMMAND else names.TASKS
        task = f"task-{chance.randrange(16**12):012x}"
        run = SimRun(run_id, name or chance.choice(titles), agent, task_id=task, at_us=at_us)
        run.labels = {"team": chance.choice(names.TEAMS)}
        run.argv = ("make", run.name)
        run.prompt = f"Please do: {run.name}. Keep the tests green."
        self.runs[run_id] = self.active[run_id] = run
        self.touch(run)
        return run

    def spawn(self, at_us: int) -> SimRun:
        """A new run by chance."""
        return self.new_run(self.chance.choice(names.AGENTS), at_us)

    def begin(self, run: SimRun, node: str, at_us: int, tale: stories.Tale | None = None) -> None:
        """The run goes to a node, and its tale begins a moment later."""
        run.status, run.node, run.updated_us = "assigned", node, at_us
        run.queue_code = run.queue_reason = ""
        run.tale = self.tell(run, tale)
        self.schedule(run, next(run.tale), at_us + round(self.chance.uniform(0.5, 3.0) * SECOND))

    def tell(self, run: SimRun, tale: stories.Tale | None = None) -> Iterator[Beat]:
        """The tale of a run, by its own chance."""
        chance = Random(f"{self.wish.seed} {run.id}")
        if tale is None:
            is_command = run.agent is names.COMMAND
            tale = stories.command if is_command else chance.choice(stories.TALES)
        return tale(Teller(agent=run.agent, chance=chance, node=run.node, argv=run.argv))

    def cancel(self, run: SimRun) -> None:
        """It ends a moment later; at once while it is queued; on a silent node nobody knows."""
        run.cancelling, run.updated_us = True, self.now_us
        wait_s = 0.0 if run.status == "queued" else CANCEL_S
        if run.node_silent:
            self.touch(run)
            return
        self.schedule(run, Beat("run_completed"), self.now_us + round(wait_s * SECOND))
        self.touch(run)

    def touch(self, run: SimRun) -> None:
        """It changed."""
        self.revision += 1
        run.revision = self.revision
        self.changed.pop(run.id, None)
        self.changed[run.id] = self.revision

    def changed_since(self, revision: int) -> list[SimRun]:
        """Runs that changed after a revision."""
        found = []
        for run_id, changed in reversed(self.changed.items()):
            if changed <= revision:
                break
            found.append(self.runs[run_id])
        return found

    def removed_since(self, revision: int) -> list[str]:
        """Runs that went after a revision."""
        return [run_id for removed, run_id in self.removed if removed > revision]
