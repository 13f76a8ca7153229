"""`:ctx` between two real servers: the console follows the new one and leaves the old one."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from textual.pilot import Pilot

from runwatch_console.app import ConsoleApp
from runwatch_console.cli import _connect
from runwatch_console.client import HttpApi
from runwatch_console.contextbook import ContextBook
from runwatch_console.locale.words import Words
from runwatch_console.ports import Connection
from runwatch_console.server_choice import SettingsServers
from runwatch_console.state import Preferences
from runwatch_shared.layers import load_settings
from runwatch_shared.settings import ConsoleSettings
from runwatch_shared.tls import client_context
from tests.console.network.conftest import context_for
from tests.console.network.test_against_the_server import RealServer, new_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LIMIT_S = 20.0
LARGE, SMALL = 5000, 300


@dataclass
class Place:
    """A server with one run that is named after it."""

    server: RealServer
    api: HttpApi
    run_id: str

    async def sockets(self) -> int:
        """Open ones of consoles, as the server counts them."""
        token = (self.server.data_dir / "token").read_text().strip()
        async with httpx.AsyncClient(
            verify=client_context(self.server.data_dir / "tls" / "ca.pem"), trust_env=False
        ) as client:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.get(f"{self.server.url}/metrics", headers=headers)
        found = re.search(r"^api_websocket_connections_active (\d+)", answer.text, re.MULTILINE)
        assert found is not None, answer.text
        return int(found[1])


@asynccontextmanager
async def serving(home: Path, name: str) -> AsyncIterator[Place]:
    server = RealServer(home / name)
    server.data_dir.mkdir()
    await server.start()
    try:
        api = HttpApi(context_for(server.url, server.data_dir))
        try:
            yield Place(server, api, (await new_run(api, f"run-of-{name}")).id)
        finally:
            await api.aclose()
    finally:
        await server.kill()


@dataclass
class Looking:
    """A console, as `monitor-tui --context one` makes it of a settings file."""

    app: ConsoleApp
    pilot: Pilot[None]
    made: list[Connection]

    @property
    def text(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def until_text(self, *parts: str) -> None:
        deadline = asyncio.get_running_loop().time() + LIMIT_S
        while not all(part in self.text for part in parts):
            assert asyncio.get_running_loop().time() < deadline, self.text
            await self.pilot.pause(0.02)

    async def type(self, line: str) -> None:
        await self.pilot.press("colon")
        await self.pilot.press(*("space" if each == " " else each for each in line), "enter")


@asynccontextmanager
async def looking(home: Path, one: Place, two: Place) -> AsyncIterator[Looking]:
    entries = [
        f'[console.contexts.{name}]\nurl = "{place.server.url}"\n'
        f'ca = "{place.server.data_dir}/tls/ca.pem"\n'
        f'token_file = "{place.server.data_dir}/token"\n'
        for name, place in (("one", one), ("two", two))
    ]
    config = home / "config.toml"
    config.write_text("\n".join(entries))
    environment = {"XDG_CONFIG_HOME": str(home)}
    made: list[Connection] = []

    def book() -> ContextBook:
        settings = load_settings(
            ConsoleSettings, "console", config=config, environment={}, flags={}
        )
        return ContextBook(settings=settings, typed={}, environment=environment)

    def connect(*given: object) -> Connection:
        made.append(_connect(*given))  # type: ignore[arg-type]
        return made[-1]

    servers = SettingsServers(book, connect, environment)
    begun = servers.open("one")
    app = ConsoleApp(
        target=begun.target,
        connect=begun.connect,
        preferences=Preferences(words=Words("en"), contexts=book().names),
        servers=servers,
    )
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        yield Looking(app, pilot, made)


async def until_sockets(place: Place, count: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while await place.sockets() != count:
            await asyncio.sleep(0.05)


@pytest.mark.requirement("keys.command.context", "state.low_bw")
async def test_the_console_follows_the_new_server_and_leaves_the_old_one(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(serving(tmp_path, "one"))
        two = await stack.enter_async_context(serving(tmp_path, "two"))
        at = await stack.enter_async_context(looking(tmp_path, one, two))
        app = at.app
        await at.pilot.press("2")
        await at.until_text("run-of-one", " one ")
        await at.pilot.press("enter")
        await at.until_text(one.run_id)
        await until_sockets(one, 2)
        await new_run(one.api, "second-of-one")
        await at.pilot.press("2")
        await at.until_text("second-of-one")
        assert app._feeding is not None
        assert app._feeding.rewind.revisions

        await at.type("ctx two")
        await at.pilot.press("2")
        await at.until_text("run-of-two", " two ", "Runs 1 of 1")
        assert "of-one" not in at.text
        # Both of its sockets are closed, and what comes there is no concern any more.
        await until_sockets(one, 0)
        await new_run(one.api, "third-of-one")
        await new_run(two.api, "second-of-two")
        await at.until_text("second-of-two", "Runs 2 of 2")
        assert "of-one" not in at.text

        # What can be gone back to is the new server's alone.
        for _ in range(3):
            await at.pilot.press("{")
        await at.pilot.pause()
        assert {run.name for run in app.state.fleet.runs.values()} <= {
            "run-of-two",
            "second-of-two",
        }
        await at.pilot.press("0")

        # A slow link asks the server for fewer rows, at once, and the next server too.
        assert limit_of(at.made[-1]) == LARGE
        await at.type("low-bw on")
        await at.until_text("slow link")
        await until(lambda: limit_of(at.made[-1]) == SMALL)
        await new_run(two.api, "third-of-two")
        await at.until_text("third-of-two", "Runs 3 of 3")

        await at.type("ctx one")
        await at.pilot.press("2")
        await at.until_text("run-of-one", "third-of-one", "Runs 3 of 3")
        assert "of-two" not in at.text
        assert limit_of(at.made[-1]) == SMALL
        await until_sockets(two, 0)


def limit_of(connection: Connection) -> int | None:
    """How many rows a snapshot of this connection may have."""
    return connection.feed._subscription.limit  # type: ignore[attr-defined]


async def until(condition: object) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.02)
