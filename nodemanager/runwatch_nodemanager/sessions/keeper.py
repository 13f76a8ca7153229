"""All sessions of this machine: which are shown, who reads them when, and when they are judged.

At rest it waits for the kernel to tell of a change; only while a found run has not ended is there a
clock.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.sessions.discovery import FoundFile, parts_of
from runwatch_nodemanager.sessions.finishing import Finisher
from runwatch_nodemanager.sessions.follower import SessionFollower
from runwatch_nodemanager.sessions.forks import Forks, inherited_bytes
from runwatch_nodemanager.sessions.head import read_head
from runwatch_nodemanager.sessions.ownership import is_own
from runwatch_nodemanager.sessions.positions import Position, Positions
from runwatch_nodemanager.sessions.processes import Running, look_at_processes
from runwatch_nodemanager.sessions.roots import Place, Root, place_of
from runwatch_nodemanager.sessions.watch import Watcher
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.errors import RunwatchError
from runwatch_shared.logs import log
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

logger: Final = logging.getLogger(__name__)

WORKERS: Final = 4
"""Sessions read and reported at once."""
SETTLE_S: Final = 0.1
"""A writer's next lines are waited for so long, unless many sessions wait."""
CROWD: Final = 8
TICK_S: Final = 5.0
"""Between two looks at which sessions are over."""
FRESH_S: Final = 4.0
"""So long a look at the processes counts."""
LIVE_US: Final = 120 * MICROSECONDS_PER_SECOND
"""A file that changes is shown if it was written no longer ago."""


class SessionKeeper:
    """Shows the sessions of some roots as runs of this node.

    Args:
        processes: Which agents run now; blocks.
    """

    def __init__(
        self,
        shop: Workshop,
        roots: Iterable[Root],
        *,
        finisher: Finisher,
        processes: Callable[[], Running] = look_at_processes,
    ) -> None:
        self._shop = shop
        self._roots = tuple(roots)
        self._root_of = {root.agent_type: root.path for root in self._roots}
        self._finisher = finisher
        self._processes = processes
        self._positions = Positions(shop.folder.path / "sessions")
        self._forks = Forks(self._is_told)
        self._followers: dict[str, SessionFollower] = {}
        self._dirty: dict[str, None] = {}
        """External ids in the order they are to be read; each once, so bounded by their number."""
        self._under_way: set[str] = set()
        self._work = asyncio.Event()
        self._lively = asyncio.Event()
        """Set while a session has a run that has not ended."""
        self._store = ""
        """Which database the server has: what another one was told is not known there."""
        self._running = Running()
        self._looked_at = float("-inf")

    def by_run(self) -> Mapping[str, SessionFollower]:
        """The sessions whose runs have not ended, by run."""
        return {
            follower.run_id: follower for follower in self._followers.values() if follower.active
        }

    def lose(self, run_id: str) -> None:
        """The server says that a run is over, gone or not ours."""
        for external_id, follower in self._followers.items():
            if follower.run_id == run_id and follower.active:
                follower.lose()
                self._mark(external_id)

    async def run(self) -> None:
        """Find, follow and report, until cancelled.

        Raises:
            RunwatchError: It cannot go on as it is; to be called again.
            AnswerError: The server does not want to be asked.
        """
        with Watcher(self._roots) as watcher:
            async with TaskOwner("sessions") as tasks:
                listening = tasks.spawn(watcher.listen(), name="session changes")
                self._store = await self._shop.link.store()
                await asyncio.to_thread(self._load_active)
                await self._begin_with(await asyncio.to_thread(watcher.look_everywhere))
                for number in range(WORKERS):
                    tasks.spawn(self._worker(), name=f"session worker {number}")
                tasks.spawn(self._ticker(), name="session ends")
                while not (watcher.told and listening.done()):
                    for found in await watcher.changes():
                        await self._changed(found)
                raise RunwatchError("changes of transcripts are not told any more")

    def _load_active(self) -> None:
        """Sessions whose runs an earlier process left running."""
        for position in self._positions.active(now_us=self._shop.clock.now_us()):
            if position.store != self._store:
                continue
            agent_type, _, session = position.external_id.partition(":")
            self._follow(Place(agent_type=agent_type, session=session), position)

    async def _begin_with(self, files: list[FoundFile]) -> None:
        """Show the newest sessions that are not too old, and those that were shown as running."""
        parts: dict[str, list[FoundFile]] = {}
        for found in files:
            parts.setdefault(found.place.external_id, []).append(found)
        newest = {name: max(one.modified_us for one in found) for name, found in parts.items()}
        chosen = self._newest(newest)
        left = [name for name in self._followers if name not in chosen]
        for name in chosen:
            await self._add(parts[name])
        for name in (*chosen, *left):
            self._mark(name)
        log(
            logger,
            logging.INFO,
            "session",
            "Shows the agent sessions of this machine; --no-sessions switches it off",
            count=len(self._followers),
        )

    def _newest(self, newest: Mapping[str, int]) -> list[str]:
        """Which sessions are shown from the start, the newest first."""
        settings = self._shop.settings
        oldest_us = 0
        if settings.sessions_age_s:
            age_us = settings.sessions_age_s * MICROSECONDS_PER_SECOND
            oldest_us = self._shop.clock.now_us() - age_us
        ordered = sorted(newest, key=lambda name: -newest[name])
        young = [name for name in ordered if newest[name] >= oldest_us][: settings.sessions_most]
        wanted = {*young, *self._followers}
        return [name for name in ordered if name in wanted]

    async def _changed(self, found: FoundFile) -> None:
        name = found.place.external_id
        if name not in self._followers:
            if self._shop.clock.now_us() - found.modified_us > LIVE_US:
                return  # it was moved or touched; nobody writes it
            await self._add(await asyncio.to_thread(parts_of, found))
        follower = self._followers.get(name)
        if follower is None:
            return
        follower.files.setdefault(str(found.path), found.place.lane)
        follower.modified_us = max(follower.modified_us, found.modified_us)
        self._mark(name)

    async def _add(self, parts: list[FoundFile]) -> None:
        """Follow a session, with all its files; one without a readable beginning is left out."""
        lead = min(parts, key=lambda part: (part.place.lane, -part.modified_us))
        name = lead.place.external_id
        follower = self._followers.get(name)
        if follower is None:
            position = await asyncio.to_thread(self._position_of, lead)
            if position is None:
                return
            follower = self._follow(lead.place, position)
        for part in parts:
            follower.files[str(part.path)] = part.place.lane
            follower.modified_us = max(follower.modified_us, part.modified_us)

    def _position_of(self, lead: FoundFile) -> Position | None:
        name = lead.place.external_id
        kept = self._positions.load(name)
        if kept is not None and kept.store in {"", self._store}:
            return kept
        try:
            head = self._finisher.head(read_head(lead.path, root=lead.root.path))
        except OSError:
            return None
        position = Position(agent_type=lead.place.agent_type, external_id=name, head=head)
        if lead.path.suffix == ".jsonl":
            parent = self._forks.parent_of(position.agent_type, lead.path, head)
            if parent is not None and not lead.place.lane:
                position.parent = str(parent)
                own = inherited_bytes(position.agent_type, lead.path, parent)
                position.told.inherited[str(lead.path)] = own
        return position

    def _is_told(self, path: Path, child: Path) -> bool:
        """Whether a transcript's session was shown before another that begins as it does."""
        for root in self._roots:
            if path.is_relative_to(root.path):
                place = place_of(root, path)
                known = None if place is None else self._positions.load(place.external_id)
                return known is not None and bool(known.run_id) and known.parent != str(child)
        return False

    def _follow(self, place: Place, position: Position) -> SessionFollower:
        follower = SessionFollower(
            self._shop,
            place,
            position,
            self._positions,
            root=self._root_of[place.agent_type],
            finisher=self._finisher,
            is_own=partial(is_own, self._shop.folder),
        )
        self._followers[place.external_id] = follower
        return follower

    def _mark(self, name: str) -> None:
        self._dirty[name] = None
        self._work.set()

    async def _worker(self) -> None:
        while True:
            await self._work.wait()
            if len(self._dirty) <= CROWD:
                await asyncio.sleep(SETTLE_S)
            name = next((name for name in self._dirty if name not in self._under_way), None)
            if name is None:
                self._work.clear()
                continue
            del self._dirty[name]
            await self._see_to(name)

    async def _see_to(self, name: str) -> None:
        """Report what is new of one session, and judge it; a defect of one holds up no other."""
        follower = self._followers[name]
        self._under_way.add(name)
        try:
            await follower.advance()
            await self._judge(follower)
        except AnswerError as error:
            log(
                logger,
                logging.WARNING,
                "session",
                "The server refused a session",
                code=error.code,
                error=str(error),
            )
        except Exception:
            logger.exception("Could not follow a session")
        finally:
            self._under_way.discard(name)
        if name in self._dirty:
            self._work.set()
        elif not follower.active:
            # What is known of it is on disk; a change brings it back.
            del self._followers[name]
        self._count()

    async def _judge(self, follower: SessionFollower) -> None:
        if not follower.active:
            return
        if self._shop.clock.monotonic() - self._looked_at > FRESH_S:
            self._running = await asyncio.to_thread(self._processes)
            self._looked_at = self._shop.clock.monotonic()
        await follower.look(self._running, now_us=self._shop.clock.now_us())

    async def _ticker(self) -> None:
        while True:
            await self._lively.wait()
            await asyncio.sleep(TICK_S)
            for name, follower in list(self._followers.items()):
                if follower.active and name not in self._under_way:
                    await self._see_to(name)

    def _count(self) -> None:
        active = len(self.by_run())
        self._shop.metrics.sessions.set(active)
        if active:
            self._lively.set()
        else:
            self._lively.clear()
