"""Commands without a screen, run against the scripted server as a person would type them."""

import asyncio
import io
from dataclasses import dataclass

from runwatch_console.client import HttpApi
from runwatch_console.contexts import Context
from runwatch_console.fleet_feed import MonitorFeed
from runwatch_console.headless.program import run_command
from runwatch_console.headless.session import Printer, Session
from runwatch_console.headless.words import HeadlessWords
from runwatch_console.retries import Retries
from runwatch_console.run_feed import RunSockets
from runwatch_shared.backoff import Backoff
from runwatch_shared.wire import SubscribeFrame
from tests.console.network.scripted import LIMIT_S


def quick_retries() -> Retries:
    return Retries(Backoff(first_s=0.01, longest_s=0.01, uniform=lambda _, high: high))


@dataclass
class Network:
    """`session.Network` with short waits."""

    context: Context

    def api(self) -> HttpApi:
        return HttpApi(self.context, request_s=5.0)

    def feed(self, subscription: SubscribeFrame) -> MonitorFeed:
        return MonitorFeed(self.context, subscription=subscription, retries=quick_retries())

    def run_events(self, store: str) -> RunSockets:
        return RunSockets(self.context, store=lambda: store, retries=quick_retries)


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


async def command(
    context: Context,
    *arguments: str,
    language: str = "en",
    width: int | None = None,
    colour: bool = False,
    ascii_only: bool = False,
) -> Outcome:
    """Run one command to its end, in a thread as it has a loop of its own."""
    out, err = io.StringIO(newline=""), io.StringIO()
    words = HeadlessWords(language)
    session = Session(
        words=words,
        target=context.target(),
        network=Network(context),
        printer=Printer(out=out, err=err, width=width, colour=colour, ascii=ascii_only),
        context=context,
    )
    async with asyncio.timeout(LIMIT_S * 3):
        code = await asyncio.to_thread(run_command, arguments, lambda: session, words, err)
    return Outcome(code, out.getvalue(), err.getvalue())
