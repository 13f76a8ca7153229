"""Outside text is data on every screen: never a control sequence, never markup, never
misaligned.
"""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from functools import partial
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.cells import cell_len

from runwatch_console.app import ConsoleApp
from runwatch_console.ports import Connected, Disconnected, LossReason
from tests.console import hostile, records
from tests.console.driving import Driven, HandClock, console, is_harmless
from tests.console.hostile_app import hostile_app, hostile_script
from tests.console.scripted import Script

SCENES = [
    ["1"],
    ["1", "space", "escape"],
    ["2"],
    ["2", "X"],
    ["escape", "2", "ctrl+k"],
    ["escape", "2", "m", "m", "ctrl+k"],
    ["escape", "2", "enter"],
    ["E"],
    ["Z"],
    ["backslash"],
    ["J"],
    ["escape", "4"],
    ["l"],
    ["escape", "i"],
    ["escape", "p"],
    ["escape", "v"],
    ["escape", "5"],
    ["g", "enter"],
    ["i"],
    ["escape", "escape", "a"],
    ["escape", "6"],
    ["7"],
    ["colon", "r", "u", "n", "space"],
    ["escape", "ctrl+n"],
    ["escape", "2", "f", "n", "o", "d", "e", "colon"],
]


def assert_lines_fit(driven: Driven, width: int) -> None:
    for line in driven.lines:
        assert is_harmless(line), repr(line)
        assert cell_len(line) == width, repr(line)


@pytest.mark.requirement("rule.outside_text")
@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_no_screen_shows_a_control_character_or_loses_its_width(
    size: tuple[int, int],
) -> None:
    app = hostile_app(hostile.ALL.replace("\udc80\udcff", ""))
    async with app.run_test(size=size, notifications=True) as pilot:
        driven = Driven(app, pilot, hostile_script("x"), HandClock())
        await driven.until(lambda: app.state.fleet.loaded)
        for keys in SCENES:
            await driven.press(*keys)
            await pilot.pause(0.05)
            assert_lines_fit(driven, size[0])


@pytest.mark.requirement("rule.outside_text")
@pytest.mark.parametrize("text", [*hostile.MARKUP, *hostile.WIDE])
async def test_text_that_looks_like_markup_is_shown_as_it_is(text: str) -> None:
    app = hostile_app(text)
    async with app.run_test(size=(200, 60)) as pilot:
        driven = Driven(app, pilot, hostile_script("x"), HandClock())
        await driven.until(lambda: app.state.fleet.loaded)
        await driven.press("2")
        shown = text.replace("\ufe0f", "").replace("\u200d", "")[:14]
        await driven.until(lambda: shown in driven.text)
        await driven.press("enter")
        await pilot.pause(0.1)
        assert shown in driven.text
        assert app.is_running


def _lost(app: ConsoleApp, reason: LossReason) -> bool:
    return app.state.link.loss is not None and app.state.link.loss.reason is reason


async def test_what_the_server_says_of_a_loss_is_harmless() -> None:
    app = hostile_app("benign")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        driven = Driven(app, pilot, hostile_script("x"), HandClock())
        await driven.until(lambda: app._connection is not None and app._connection.done())
        assert app._connection is not None
        feed: Any = app._connection.result().feed
        for reason in LossReason:
            feed.say(Disconnected(reason=reason, detail=hostile.ALL, fingerprint=hostile.ALL))
            await driven.until(partial(_lost, app, reason))
            await pilot.pause()
            assert_lines_fit(driven, 120)


async def test_ten_megabytes_without_a_line_end_are_shown_without_a_stop() -> None:
    script = Script()
    huge = "x" * 10_000_000
    row = records.summary("run-1", activity_text=huge, waiting=records.waiting(huge))
    script.api.logs["run-1"] = [
        records.event(1, "command_output", {"stdout": huge}),
        records.event(2, "tool_result", {"output": [huge]}),
    ]
    async with console(script=script, fleet=False) as driven:
        script.feed.say(Connected(hello=records.hello()), records.snapshot([row]))
        await driven.until_text("run-1")
        await driven.press("2", "enter")
        await driven.until_text("stdout")
        await driven.press("Z", "backslash", "g", "J")
        await driven.until_text('type: "command_output"')
        assert_lines_fit(driven, 120)


# What really reaches a terminal.

SEQUENCE = re.compile(
    rb"\x1b(\[[0-9;:?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\|[()][0-9A-B]|.)"
)


def _drive(argument: str, keys: list[bytes]) -> bytes:
    """All bytes a console writes to a terminal of 120 by 40 while these keys are pressed."""
    leader, follower = pty.openpty()
    ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.console.hostile_app", argument],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=root,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )
    os.close(follower)
    written = b""
    try:
        written += _read(leader, b"n1" if argument == "benign" else b"WAIT", 20)
        for key in keys:
            os.write(leader, key)
            written += _read(leader, None, 0.4)
        os.write(leader, b"\x11")
        written += _read(leader, None, 3, until_end=True)
        process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(leader)
    return written


def _read(leader: int, wanted: bytes | None, limit_s: float, *, until_end: bool = False) -> bytes:
    got = b""
    deadline = time.monotonic() + limit_s
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([leader], [], [], left)
        if not ready:
            break
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            return got
        if not chunk and until_end:
            return got
        got += chunk
        if wanted is not None and wanted in got:
            return got
    return got


def _kinds(written: bytes) -> set[bytes]:
    """The kinds of sequences: introducer and final byte; the text of strings counts."""
    kinds = set()
    for match in SEQUENCE.finditer(written):
        body = match[1]
        if body[:1] in b"]P":
            kinds.add(body)
        else:
            kinds.add(body[:1] + (b"?" if b"?" in body else b"") + body[-1:])
    return kinds


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_terminal_gets_only_sequences_that_harmless_text_makes_too() -> None:
    keys = [b"2", b"j", b" ", b" ", b"\r", b"Z", b"J", b"\x1b", b"4", b"6", b"?", b"\x1b"]
    harmless = _drive("benign", keys)
    harmful = _drive("hostile", keys)
    assert _kinds(harmful) - _kinds(harmless) == set()
    text = SEQUENCE.sub(b"", harmful).decode()
    left = {character for character in text if character in hostile.CONTROL} - set("\r\n")
    assert left == set()
    screen = pyte.Screen(120, 40)
    pyte.ByteStream(screen).feed(harmful)
    assert screen.title != "owned"
