"""The made-up fleet as it is met: something of everything, with a past of its own."""

from itertools import islice
from typing import TYPE_CHECKING, Final

from runwatch_console.demo import names, stories
from runwatch_console.demo.names import AgentKind
from runwatch_console.demo.simrun import SimRun
from runwatch_console.demo.stories import LONG, Beat
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

if TYPE_CHECKING:
    from runwatch_console.demo.world import World

MINUTE: Final = 60 * MICROSECONDS_PER_SECOND
LIVELY: Final = 60
"""Up to so many runs each has a whole past; of a large fleet most have a short one."""
SHORT_PAST: Final = 8
OTHERS_PLACED: Final = 6
"""Slots of those that wait, loop, are slow or stall; with them no slot is free."""


class Populating:
    """Makes the runs of a world that begins."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance = world.chance
        self._now_us = world.start_us
        self._places = [node.id for node in world.nodes.values() if node.takes_runs]
        self._free = {name: world.nodes[name].capacity for name in self._places}

    def populate(self) -> None:
        """All of them, the eldest first."""
        world, chance = self._world, self._chance
        running = max(6, sum(world.nodes[name].capacity for name in self._places) - OTHERS_PLACED)
        for number in range(max(0, world.wish.runs - running - 16)):
            self._ended(chance.choice(names.AGENTS), whole=number < LIVELY)
        for number in range(running):
            agent = chance.choice(names.AGENTS)
            tale = stories.command if agent is names.COMMAND else stories.worker
            self._running(agent, tale, chance.uniform(2, 35), 40 if number < LIVELY else SHORT_PAST)
        for agent, minutes in ((names.CLAUDE, 134.0), (names.CODEX, 7.0), (names.QWEN, 1.5)):
            self._waiting(agent, minutes)
        self._running(names.CLAUDE, stories.looper, 41, 70)
        self._running(names.CLAUDE, stories.worker, 62, 90)
        self._stalled(names.CLAUDE)
        self._lost(names.CLAUDE)
        self._lost(names.GEMINI)
        for minutes in (0.4, 2, 6):
            self._queued(names.CLAUDE, minutes, {})
        self._queued(names.CODEX, 14, {"account": "team"})
        self._queued(names.COMMAND, 5, {"site": "edge"})
        for run in world.runs.values():
            run.judge(self._now_us)
            if run.health_us is not None:
                run.health_us = self._now_us - round(chance.uniform(1, 9) * MINUTE)

    def _place(self) -> str:
        place = max(self._free, key=lambda name: self._free[name])
        self._free[place] -= 1
        return place

    def _made(self, agent: AgentKind, age_us: int, tale: stories.Tale | None, node: str) -> SimRun:
        run = self._world.new_run(agent, self._now_us - age_us)
        run.node = node
        run.tale = self._world.tell(run, tale)
        return run

    def _lived(self, run: SimRun, beats: list[Beat], last_us: int) -> None:
        """These beats, evenly from a moment after its making to `last_us`."""
        begin_us = run.created_us + min(
            5 * MICROSECONDS_PER_SECOND, (last_us - run.created_us) // 4
        )
        for number, beat in enumerate(beats):
            share = number / max(1, len(beats) - 1)
            run.take(beat, begin_us + round((last_us - begin_us) * share))
        self._world.events += len(beats)

    def _ended(self, agent: AgentKind, *, whole: bool) -> None:
        age_us = round(self._chance.uniform(20, 900) * MINUTE)
        run = self._made(agent, age_us, None, self._chance.choice(self._places))
        assert run.tale is not None
        beats = list(islice(run.tale, 150)) if whole else list(islice(run.tale, SHORT_PAST))
        if not any(beat.type in ("run_completed", "run_failed") for beat in beats):
            good = self._chance.random() > 0.1
            status = "done" if good else "cancelled"
            level = "success" if good else "warning"
            beats.append(Beat("run_completed", {"status": status}, level))
        took_us = round(min(age_us * 0.9, self._chance.uniform(2, 40) * MINUTE))
        self._lived(run, beats, run.created_us + took_us)
        self._world.ended[run.status] = self._world.ended.get(run.status, 0) + 1

    def _running(self, agent: AgentKind, tale: stories.Tale, minutes: float, past: int) -> None:
        run = self._made(agent, round(minutes * MINUTE), tale, self._place())
        assert run.tale is not None
        beats = []
        for beat in islice(run.tale, past):
            if beat.type == "run_completed":
                self._world.schedule(
                    run, beat, self._now_us + round(self._chance.random() * MINUTE)
                )
                break
            beats.append(beat)
        else:
            self._go_on(run)
        self._lived(run, beats, self._now_us - MICROSECONDS_PER_SECOND)

    def _waiting(self, agent: AgentKind, minutes: float) -> None:
        since_us = self._now_us - round(minutes * MINUTE)
        age_us = round((minutes + 20) * MINUTE)
        run = self._made(agent, age_us, stories.asker, self._place())
        assert run.tale is not None
        beats = []
        for beat in run.tale:
            beats.append(beat)
            if beat.type == "approval_request":
                break
        self._lived(run, beats, since_us)
        self._go_on(run)

    def _stalled(self, agent: AgentKind) -> None:
        run = self._made(agent, 30 * MINUTE, stories.staller, self._place())
        assert run.tale is not None
        beats = []
        for beat in run.tale:
            if beat.pause >= LONG:
                self._world.schedule(run, beat, self._now_us + 4 * MINUTE)
                break
            beats.append(beat)
        self._lived(run, beats, self._now_us - 7 * MINUTE)

    def _lost(self, agent: AgentKind) -> None:
        run = self._made(agent, 100 * MINUTE, stories.worker, names.SILENT_NODE)
        assert run.tale is not None
        self._lived(run, list(islice(run.tale, 30)), self._now_us - 4 * MINUTE)
        run.node_silent = True

    def _queued(self, agent: AgentKind, minutes: float, labels: dict[str, str]) -> None:
        run = self._world.new_run(agent, self._now_us - round(minutes * MINUTE))
        run.labels |= labels

    def _go_on(self, run: SimRun) -> None:
        self._world.go_on(run, self._now_us)
