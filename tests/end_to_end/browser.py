"""Headless Chromium driven by its own protocol (CDP): what a page shows, and keys typed in it.

The terminal of the page is drawn on a canvas; its text is read from what its socket received.
"""

import asyncio
import base64
import itertools
import json
import re
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pyte
import pytest
from websockets.asyncio.client import ClientConnection, connect

from runwatch_shared.tasks import TaskOwner

LIMIT_S = 30.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--window-size=1200,800",
)


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.terminal = pyte.Screen(200, 60)
        self._stream = pyte.ByteStream(self.terminal)

    async def read(self) -> None:
        """Take answers and events until the tab is gone."""
        async for message in self._socket:
            told = json.loads(message)
            if (answer := self._answers.pop(told.get("id", 0), None)) is not None:
                answer.set_result(told)
            elif told.get("method") == "Network.webSocketFrameReceived":
                frame = told["params"]["response"]
                if frame["opcode"] == 2:
                    self._stream.feed(base64.b64decode(frame["payloadData"]))

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command and its result."""
        number = next(self._numbers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(LIMIT_S):
            told: dict[str, Any] = await answer
        assert "error" not in told, told
        return dict(told["result"])

    async def open(self, url: str) -> None:
        """Go to an address, with an eye on its sockets."""
        await self.call("Network.enable")
        await self.call("Page.enable")
        await self.call("Page.navigate", url=url)

    async def press(self, key: str, *, control: bool = False) -> None:
        """A key pressed and let go."""
        facts: dict[str, object] = {
            "key": key,
            "code": f"Digit{key}" if key.isdigit() else f"Key{key.upper()}",
            "windowsVirtualKeyCode": ord(key.upper()),
            "modifiers": 2 if control else 0,
        }
        text = {} if control else {"text": key}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    async def click(self, x: int, y: int) -> None:
        """The left button, where the page gets the keys from then on."""
        where: dict[str, object] = {"x": x, "y": y, "button": "left", "clickCount": 1}
        await self.call("Input.dispatchMouseEvent", type="mousePressed", **where)
        await self.call("Input.dispatchMouseEvent", type="mouseReleased", **where)

    async def picture(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    async def value(self, expression: str) -> Any:
        """What an expression is in the page."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    @property
    def text(self) -> str:
        """What the terminal was sent, as its screen would have it."""
        return "\n".join(self.terminal.display)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition on what is shown; past the limit, fail with it."""
        end_s = asyncio.get_running_loop().time() + LIMIT_S
        while not condition():
            assert asyncio.get_running_loop().time() < end_s, self.text
            await asyncio.sleep(0.05)


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A browser with one empty tab, ended afterwards; the test is skipped without Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            f"--user-data-dir={folder}",
            "about:blank",
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
        )
        try:
            async with connect(await _tab(process), max_size=None, proxy=None) as socket:
                page = Page(socket)
                async with TaskOwner("browser") as owner:
                    reading = owner.spawn(page.read(), name="browser reader")
                    yield page
                    reading.cancel()
        finally:
            process.terminate()
            await process.wait()


async def _tab(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(LIMIT_S):
        async for line in process.stderr:
            if found := re.search(rb"ws://(\S+?)/devtools", line):
                break
        else:
            raise AssertionError("chromium did not start")
        async with httpx.AsyncClient(trust_env=False) as client:
            tabs = (await client.get(f"http://{found[1].decode()}/json")).json()
    return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")
