"""What the feed brings, told as lines; what is typed is `commands`'."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from runwatch_console.attention import attention_keys
from runwatch_console.feeditems import Connected, FeedItem, Frame
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold, next_link
from runwatch_console.formats import format_age, format_clock, format_count
from runwatch_console.headless.session import LiveFeed, Session
from runwatch_console.lens import Lens
from runwatch_console.link import LinkState
from runwatch_console.pacing import paced
from runwatch_console.plain.changes import Change, changes, node_change, run_change
from runwatch_console.plain.floods import Floods
from runwatch_console.plain.text import spoken
from runwatch_console.plain.words import PlainWords
from runwatch_console.state import ConsoleState, Preferences
from runwatch_console.statustext import bar_lines

FOLD_S: Final = 0.25
TICK_S: Final = 1.0
FIRST_NEEDS: Final = 10
"""Lines of the start that name what needs somebody; `needs` tells all."""


class PlainConsole:
    """One console in lines. Everything it prints is one line of text that can be read out."""

    def __init__(
        self,
        session: Session,
        feed: LiveFeed,
        *,
        verbose: bool = False,
        floods: Floods | None = None,
    ) -> None:
        self.session = session
        self.feed = feed
        self.words = PlainWords(session.words.language)
        self.verbose = verbose
        self.holding = False
        self.floods = floods or Floods()
        self.state = ConsoleState(
            target=session.target,
            preferences=Preferences(words=self.words, read_only=session.settings.read_only),
            now_mono_s=time.monotonic(),
        )
        self.loaded = asyncio.Event()
        """Set with the first whole snapshot."""
        self._news = asyncio.Event()
        self._said_loss: tuple[str, ...] = ()
        self._late = False
        self._events_before_loss: int | None = None

    @property
    def fleet(self) -> Fleet:
        """The fleet now."""
        return self.state.fleet

    @property
    def lens(self) -> Lens:
        """How values become text now."""
        return replace(self.state.lens, stale=False)

    def say(self, text: str) -> None:
        """Lines of text, each read out by itself."""
        for line in text.splitlines():
            if shown := spoken(line):
                self.session.printer.write(f"{shown}\n")

    def tell(self, word: str, **facts: object) -> None:
        """A sentence of the locale; facts are clean."""
        self.say(self.words(word, **facts))

    async def listen(self) -> None:
        """Read the feed for ever."""
        async with aclosing(paced(self.feed.frames(), FOLD_S, name="plain feed")) as batches:
            async for items in batches:
                for item in items:
                    self._take(item)

    def _take(self, item: FeedItem) -> None:
        now = time.monotonic()
        before = self.state
        link = next_link(before.link, item, now)
        fleet = fold(before.fleet, [item.frame]) if isinstance(item, Frame) else before.fleet
        self.state = replace(before, link=link, fleet=fleet, now_mono_s=now)
        if isinstance(item, Connected):
            self._connected()
        self._tell_link()
        if fleet.problem and fleet.problem != before.fleet.problem:
            self.tell("link.refused", text=fleet.problem)
        if fleet is before.fleet or not fleet.loaded:
            return
        if not before.fleet.loaded:
            self.overview()
            self.loaded.set()
            return
        self._tell_caught_up()
        self.floods.add(changes(before.fleet, fleet, self.lens, verbose=self.verbose))
        if self.floods.held:
            self._news.set()

    def _connected(self) -> None:
        self._said_loss = ()
        if self.fleet.loaded:
            self._events_before_loss = self.fleet.events_seen
        else:
            self.tell("plain.connected")

    def _tell_caught_up(self) -> None:
        if self._events_before_loss is not None:
            caught_up = max(0, self.fleet.events_seen - self._events_before_loss)
            self._events_before_loss = None
            self.tell("plain.caught_up", n=format_count(caught_up))

    def _tell_link(self) -> None:
        """A loss once for each reason, and what can be done about it; the next attempts are not
        told.
        """
        link = self.state.link
        if link.loss is None or link.connected:
            return
        loss = (link.loss.reason, link.loss.detail)
        if loss == self._said_loss:
            return
        self._said_loss = loss
        for spans in bar_lines(self.state):
            self.say("".join(text for text, tone in spans if tone != "key"))

    async def tick(self) -> None:
        """Say when the server falls silent, and when it is back."""
        while True:
            await asyncio.sleep(TICK_S)
            self.state = replace(self.state, now_mono_s=time.monotonic())
            late = self.state.link_state is LinkState.LATE
            if late and not self._late:
                age = format_age(self.state.link.silent_s(self.state.now_mono_s))
                self.tell("plain.late", age=age)
            elif self._late and self.state.link_state is LinkState.LIVE:
                self.tell("plain.on_time")
            self._late = late

    async def speak(self) -> None:
        """Tell changes, merged to what can be listened to."""
        while True:
            await self._news.wait()
            await asyncio.sleep(self.floods.wait_s(time.monotonic()))
            self._news.clear()
            if not self.holding:
                self.tell_changes()

    def tell_changes(self) -> None:
        """All that is held back, now."""
        telling = self.floods.tell(time.monotonic())
        clock = format_clock(self.state.server_now_s or None, None)
        for change in telling.lines:
            self.say(f"{clock} {change.text}")
        if telling.more:
            total = sum(n for _, n in telling.more)
            self.tell("plain.more", n=total, counts=self._counted(telling.more))

    def go_on(self) -> None:
        """Hold nothing back any more."""
        self.holding = False
        self.tell("plain.go", n=self.floods.held)
        self._news.set()

    # Overviews.

    def overview(self) -> None:
        """Counts, then what needs somebody."""
        self.status()
        self.needs(FIRST_NEEDS)

    def status(self) -> None:
        """Counts of runs and nodes."""
        fleet = self.fleet
        if not fleet.loaded:
            self.tell("plain.not_loaded")
            return
        if fleet.runs:
            counts = self._counted(sorted(fleet.looks.items(), key=lambda each: -each[1]))
            total = format_count(fleet.total or len(fleet.runs))
            self.tell("plain.counts", total=total, counts=counts)
        else:
            self.tell("plain.no_runs")
        online = sum(1 for node in fleet.nodes.values() if node.reachable)
        self.tell("plain.nodes", online=online, all=len(fleet.nodes))

    def needs(self, most: int | None = None) -> None:
        """Who waits for somebody, then what is unhealthy, then nodes that are away."""
        keys = attention_keys(self.fleet, self.state.server_now_s)
        named = [key for key in keys if not key.startswith("part:") and key != "queue"]
        if not named:
            self.tell("plain.nothing_needed")
            return
        for heading, found in self._parts(keys):
            if not found:
                continue
            if heading:
                self.tell(heading, n=len(found))
            for change in found[:most]:
                self.say(change.text)

    def _parts(self, keys: Sequence[str]) -> list[tuple[str, list[Change]]]:
        parts: list[tuple[str, list[Change]]] = []
        for key in keys:
            kind, _, name = key.partition(":")
            if kind == "part":
                parts.append((_HEADINGS.get(name, ""), []))
            elif kind == "run":
                parts[-1][1].append(run_change(self.fleet.runs[name], self.lens))
            elif kind == "node":
                parts[-1][1].append(node_change(self.fleet.nodes[name], self.lens))
        return parts

    def _counted(self, counts: Sequence[tuple[str, int]]) -> str:
        said = [self.words("plain.count", n=n, state=self.words(word)) for word, n in counts]
        return ", ".join(said)


_HEADINGS: Final = {"needs": "plain.needs", "unhealthy": "plain.unhealthy"}
