"""`--time`: the moments of a list of events, without a screen."""

import asyncio
import io
import re
import time

import pytest

from runwatch_console.contexts import Context
from runwatch_console.headless.program import run_command
from runwatch_console.headless.session import Printer, Session
from runwatch_console.headless.words import HeadlessWords
from runwatch_shared.settings import ConsoleSettings
from runwatch_shared.wire import EventViewPage
from tests.console.network.commanding import Network
from tests.console.network.records import NOW, event_view
from tests.console.network.scripted import LIMIT_S, ScriptedServer

RUN = "run-000000000001"
PAGE = EventViewPage(
    events=[event_view(1, timestamp=NOW)],
    total=1,
    first_seq=1,
    last_seq=1,
    has_before=False,
    has_after=False,
    server_time=NOW,
)


async def printed(context: Context, form: str) -> str:
    out, err = io.StringIO(newline=""), io.StringIO()
    words = HeadlessWords("en")
    session = Session(
        words=words,
        target=context.target(),
        network=Network(context),
        printer=Printer(out=out, err=err),
        settings=ConsoleSettings(time=form),  # type: ignore[arg-type]  # one of them
    )
    async with asyncio.timeout(LIMIT_S * 3):
        await asyncio.to_thread(run_command, ("run", RUN), lambda: session, words, err)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "pattern"),
    [("utc", r"10:31:22 +1 "), ("local", r"19:31:22 +1 "), ("relative", r" +\d+[smhd][^ ]* +1 ")],
)
@pytest.mark.requirement("settings.time")
async def test_events_tell_their_time_as_it_was_asked_for(
    server: ScriptedServer,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    pattern: str,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        server.answer(f"/api/v1/monitor/workflows/run/{RUN}/events", PAGE)
        assert re.match(pattern, await printed(context, form))
    finally:
        monkeypatch.undo()
        time.tzset()
