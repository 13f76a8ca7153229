"""Screen 5: logins under way, what nodes say of theirs, and what waits for them."""

from typing import Any

import pytest

from runwatch_console.authcolumns import AUTH_COLUMNS
from runwatch_console.authrows import auth_rows
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.lens import Lens
from runwatch_console.locale.words import Words
from runwatch_console.messages import CancelRequested
from runwatch_console.ports import ApiError
from runwatch_shared.models import Login
from tests.console.driving import Driven, console, is_harmless
from tests.console.hostile import MARKUP, SEQUENCES
from tests.console.records import (
    LOGIN_URL,
    NOW_S,
    change,
    fleet_nodes,
    fleet_rows,
    login,
    node,
    server_info,
    snapshot,
    summary,
)

LENS = Lens(words=Words("en"), now_s=NOW_S)
SIZES = [(80, 24), (120, 40), (200, 60)]
URL = LOGIN_URL


async def begin_login(driven: Driven) -> None:
    blocked = summary(
        "run-00000000b10c",
        "queued",
        agent_type="openai-codex",
        queue_reason="n3 lacks login for openai-codex",
        queue_reason_code="login_missing",
    )
    driven.script.feed.say(change(upsert=[login(), blocked]))
    await driven.until(lambda: "act-000000000019" in driven.app.state.fleet.runs)
    await driven.press("5")
    await driven.pass_time(3)


@pytest.mark.requirement("screen.auth")
@pytest.mark.parametrize("size", SIZES)
async def test_a_server_without_logins_says_so_and_nodes_logins_are_shown(
    size: tuple[int, int],
) -> None:
    async with console(size) as driven:
        await driven.press("5")
        await driven.until_text("This server does not manage logins", "Auth 2 of 3 need you")
        assert "missing" in driven.line_with("claude   n3")
        assert "expired" in driven.line_with("claude-code_me")
        assert "1d1h" in driven.line_with("openai-codex_t") or size[0] < 100


@pytest.mark.requirement("screen.auth")
@pytest.mark.parametrize("size", SIZES)
async def test_a_login_under_way_comes_first_with_code_and_what_it_blocks(
    size: tuple[int, int],
) -> None:
    async with console(size) as driven:
        await begin_login(driven)
        await driven.until_text("WDJB-MJHT")
        line = driven.line_with("WDJB-MJHT")
        assert "LOGIN" in line
        assert line.rstrip().endswith(("1", "1▌")) or " 1 " in line
        assert driven.lines.index(line) < driven.lines.index(driven.line_with("expired"))


@pytest.mark.requirement("screen.auth.copy")
async def test_c_copies_the_code_and_u_the_address() -> None:
    async with console() as driven:
        await begin_login(driven)
        await driven.press("g", "c")
        await driven.until_text("9 characters sent")
        await driven.press("u")
        await driven.until_text(f"{len(URL)} characters sent")
        await driven.press("G", "u")
        await driven.until_text("no address here")


async def test_enter_twice_on_a_nodes_login_shows_the_runs_that_wait_for_it() -> None:
    async with console() as driven:
        driven.script.feed.say(
            change(
                upsert=[summary("run-00000000b10c", "queued", queue_reason="n3 lacks login",
                                queue_reason_code="login_missing")]
            )
        )  # fmt: skip
        await driven.until(lambda: "run-00000000b10c" in driven.app.state.fleet.runs)
        await driven.press("5", "g", "enter")
        await driven.until_text("Login of claude-code", "queued runs: 1")
        await driven.press("enter")
        await driven.until_text("filter: s:queue agent:claude-code", "Runs 1 of")


@pytest.mark.requirement("screen.auth")
async def test_beside_a_code_it_is_not_said_that_no_codes_come() -> None:
    async with console() as driven:
        await driven.press("5")
        await driven.until_text("This server does not manage logins")
        await begin_login(driven)
        await driven.until_text("WDJB-MJHT")
        assert "does not manage" not in driven.text


@pytest.mark.requirement("keys.cancel")
async def test_a_login_is_cancelled_as_a_login_and_never_among_runs() -> None:
    async with console((120, 40)) as driven:
        await begin_login(driven)
        app = driven.app
        app.post_message(CancelRequested(["act-000000000019"]))
        await driven.until_text("End the login of")
        assert "Cancel this run?" not in driven.text
        await driven.press("escape")
        app.post_message(CancelRequested(["act-000000000019", "run-8f21a0c4d2e1"]))
        await driven.until_text("Cancel this run?", "run-8f21a0c")
        await driven.press("y")
        await driven.until(lambda: driven.script.api.asked("cancel_run") == ["run-8f21a0c4d2e1"])


async def test_a_server_with_logins_says_nothing_of_them() -> None:
    async with console() as driven:
        await driven.press("5")
        await driven.until_text("This server does not manage")
    async with console() as driven:
        driven.script.api.refuse("server_info", ApiError("internal", "gone", status=500))
        await driven.press("5")
        for _ in range(4):
            await driven.pass_time(1)
        assert "does not manage" not in driven.text
        assert len(driven.script.api.asked("server_info")) <= 2
    managed = server_info(features=["operations"])
    async with console() as driven:

        async def info() -> Any:
            return managed

        driven.script.api.server_info = info  # type: ignore[method-assign]
        await driven.press("5")
        await driven.until(lambda: driven.app.screen.managed is True)  # type: ignore[attr-defined]
        assert "does not manage" not in driven.text


async def test_auth_speaks_chinese_and_ascii() -> None:
    async with console(language="zh") as driven:
        await driven.press("5")
        await driven.until_text("登录 2 / 3 需要处理")
    async with console((80, 24), ascii_only=True) as driven:
        await begin_login(driven)
        assert driven.text.isascii()


@pytest.mark.requirement("rule.never_guess")
def test_a_silent_nodes_logins_are_not_taken_for_sure() -> None:
    silent = node("n6", "offline", logins=[Login(agent_type="claude-code", state="ok")])
    rows = auth_rows(fold(Fleet(), [snapshot([], [silent])]))
    assert [AUTH_COLUMNS[3].cell(row, LENS)[0] for row in rows] == ["? ok"]


@pytest.mark.parametrize("text", [*SEQUENCES, *MARKUP])
def test_no_text_of_a_login_is_obeyed(text: str) -> None:
    bad = login(name=text, metadata={"user_code": text, "verify_url": text, "account_id": text})
    fleet = fold(Fleet(), [snapshot([*fleet_rows(), bad], fleet_nodes())])
    for row in auth_rows(fleet):
        assert all(is_harmless(column.cell(row, LENS)[0]) for column in AUTH_COLUMNS)


async def test_a_login_under_way_needs_you_on_attention() -> None:
    async with console((80, 24)) as driven:
        await begin_login(driven)
        await driven.press("1")
        await driven.pass_time(3)
        await driven.until_text("LOGIN", "codex @n3", "code WDJB-MJHT", "blocks 1")
