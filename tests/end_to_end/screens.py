"""The real console in this process, against a real server: what a test types and what it reads."""

import asyncio
from collections.abc import Callable
from typing import Any

from textual.app import App

from runwatch_console.app import ConsoleApp
from runwatch_console.client import HttpApi
from runwatch_console.contexts import resolve_context
from runwatch_console.fleet_feed import MonitorFeed, fleet_subscription
from runwatch_console.locale.words import Words
from runwatch_console.ports import Connection
from runwatch_console.run_feed import RunSockets
from runwatch_console.state import Preferences
from runwatch_shared.settings import ConsoleSettings
from tests.processes import ServerProcess


def console_of(server: ServerProcess, *, rows: int = 5_000) -> ConsoleApp:
    """The console as `monitor-tui` joins it, with token and CA of the data directory; it holds so
    many rows.
    """
    settings = ConsoleSettings(server=server.url, data_dir=str(server.data_dir))
    context = resolve_context(settings, {})

    def connect() -> Connection:
        feed = MonitorFeed(context, subscription=fleet_subscription(rows))
        api = HttpApi(context)
        return Connection(
            feed=feed,
            run_events=RunSockets(context, store=lambda: feed.store),
            api=api,
            close=api.aclose,
        )

    return ConsoleApp(
        target=context.target(), connect=connect, preferences=Preferences(words=Words("en"))
    )


def text_of(app: App[Any]) -> str:
    """What is on the screen, a line a row."""
    width, height = app.size
    rows = app.screen._compositor.render_strips()
    return "\n".join(strip.text.ljust(width) for strip in rows[:height])


async def until(condition: Callable[[], Any], what: Callable[[], str], limit_s: float = 15) -> None:
    """Wait for a condition; past the limit, fail with what is there instead."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what()
        await asyncio.sleep(0.02)
