"""`runs --view`: a saved view without a screen."""

import asyncio
import io
from pathlib import Path

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.program import run_command
from runwatch_console.headless.session import Printer, Session
from runwatch_console.headless.words import HeadlessWords
from runwatch_shared.settings import ConsoleSettings, SavedView
from tests.console.network.commanding import Network, Outcome
from tests.console.network.records import page, summary
from tests.console.network.scripted import LIMIT_S, ScriptedServer

WORKFLOWS = "/api/v1/monitor/workflows"
SETTINGS = ConsoleSettings(
    views={
        "by-name": SavedView(sort="name", reversed=True, columns=["task", "state"]),
        "bad": SavedView(filter="age>old"),
        "only-b": SavedView(filter="name:b"),
    }
)


async def command(context: Context, *arguments: str, language: str = "en") -> Outcome:
    out, err = io.StringIO(newline=""), io.StringIO()
    words = HeadlessWords(language)
    session = Session(
        words=words,
        target=context.target(),
        network=Network(context),
        printer=Printer(out=out, err=err),
        context=context,
        settings=SETTINGS,
        user="sam",
    )
    async with asyncio.timeout(LIMIT_S * 3):
        code = await asyncio.to_thread(run_command, arguments, lambda: session, words, err)
    return Outcome(code, out.getvalue(), err.getvalue())


def answer(server: ScriptedServer) -> None:
    names = enumerate(("b one", "a", "c", "b two"), 1)
    server.answer(WORKFLOWS, page(*(summary(f"run-{n:012}", name=name) for n, name in names)))


async def test_a_view_gives_filter_order_and_columns(
    server: ScriptedServer, context: Context
) -> None:
    answer(server)
    outcome = await command(context, "runs", "--view", "by-name")
    assert outcome.code == ExitCode.DONE
    assert outcome.lines[0].split() == ["TASK", "ST"]
    assert [line.split("  ")[0] for line in outcome.lines[1:]] == ["c", "b two", "b one", "a"]
    assert "4 of 4" in outcome.err


async def test_a_filter_beside_the_view_narrows_it_and_the_limit_counts_after_sorting(
    server: ScriptedServer, context: Context
) -> None:
    answer(server)
    outcome = await command(context, "runs", "--view", "only", "-f", "two", "--output", "csv")
    assert [line.split(",")[2] for line in outcome.lines] == ["name", "b two"]
    outcome = await command(context, "runs", "--view", "by-name", "--limit", "1")
    assert [line.split("  ")[0] for line in outcome.lines[1:]] == ["c"]


async def test_a_view_that_is_none_or_means_nothing_is_a_usage_error(context: Context) -> None:
    outcome = await command(context, "runs", "--view", "nothing")
    assert outcome.code == ExitCode.USAGE
    assert "no view nothing" in outcome.err
    assert "needs-me" in outcome.err
    assert "mine" in outcome.err
    outcome = await command(context, "runs", "--view", "bad")
    assert outcome.code == ExitCode.USAGE
    assert "age>old" in outcome.err
    outcome = await command(context, "runs", "--view", "nothing", language="zh")
    assert "没有视图" in outcome.err


async def test_the_names_of_views_are_completed_without_the_server() -> None:
    nowhere = Context(
        given_url="http://127.0.0.1:1",
        data_dir=Path("none"),
        given_token="",
        token_file=None,
        given_ca=None,
    )
    outcome = await command(nowhere, "complete-values", "views")
    assert {"needs-me", "mine", "by-name"} <= set(outcome.lines)
