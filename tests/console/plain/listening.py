"""The console in lines over a feed that a test writes, and what it said."""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from runwatch_console.feeditems import FeedItem, Frame, Target
from runwatch_console.headless.session import ClosableApi, LiveRun, Printer, Session
from runwatch_console.headless.words import HeadlessWords
from runwatch_console.plain.commands import PlainCommands
from runwatch_console.plain.console import PlainConsole
from runwatch_console.plain.floods import Floods
from runwatch_console.ports import Connected, FleetFrame
from runwatch_shared.settings import ConsoleSettings
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.wire import SubscribeFrame
from tests.console.network.records import hello
from tests.console.scripted import ScriptedApi

LIMIT_S = 5.0


@dataclass
class WrittenFeed:
    """Items come when the test gives them."""

    items: "asyncio.Queue[FeedItem]" = field(default_factory=asyncio.Queue)
    retried: int = 0

    async def frames(self) -> AsyncGenerator[FeedItem, None]:
        while True:
            yield await self.items.get()

    def retry_now(self) -> None:
        self.retried += 1


class WrittenNetwork:
    """No network but the API of the tests."""

    def __init__(self) -> None:
        self.scripted = ScriptedApi()

    def api(self) -> ClosableApi:
        raise AssertionError("made by the test")

    def feed(self, subscription: SubscribeFrame) -> WrittenFeed:
        raise AssertionError("made by the test")

    def run_events(self, store: str) -> LiveRun:
        raise AssertionError("nothing is followed here")


@dataclass
class Listening:
    """One console in lines."""

    console: PlainConsole
    commands: PlainCommands
    feed: WrittenFeed
    out: io.StringIO
    api: ScriptedApi

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def forget(self) -> None:
        self.out.seek(0)
        self.out.truncate()

    def give(self, *items: FeedItem | FleetFrame) -> None:
        for item in items:
            if isinstance(item, FeedItem):
                self.feed.items.put_nowait(item)
            else:
                self.feed.items.put_nowait(Frame(frame=item))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def heard(self, text: str) -> None:
        await self.until(lambda: text in self.out.getvalue())


@asynccontextmanager
async def listening(
    *frames: FleetFrame,
    language: str = "en",
    verbose: bool = False,
    read_only: bool = False,
    round_s: float = 0.0,
) -> AsyncIterator[Listening]:
    """A console that has heard hello and these frames."""
    out, network, feed = io.StringIO(), WrittenNetwork(), WrittenFeed()
    session = Session(
        words=HeadlessWords(language),
        target=Target(context="local", server_url="http://127.0.0.1:1", credential="none"),
        network=network,
        printer=Printer(out=out, err=io.StringIO()),
        settings=ConsoleSettings(read_only=read_only),
    )
    console = PlainConsole(session, feed, verbose=verbose, floods=Floods(round_s=round_s))
    async with TaskOwner("listening") as owner:
        commands = PlainCommands(console, network.scripted, owner)
        driven = Listening(console, commands, feed, out, network.scripted)
        owner.spawn(console.listen(), name="listen")
        owner.spawn(console.speak(), name="speak")
        driven.give(Connected(hello=hello()), *frames)
        await driven.until(lambda: console.state.link.connected)
        if frames:
            await driven.until(console.loaded.is_set)
        yield driven
