"""Logins begun, fed, renewed and cancelled on the Auth screen, and accounts with their health."""

from typing import Any

import pytest

from runwatch_console.authcolumns import AUTH_COLUMNS, now_cell
from runwatch_console.authrows import auth_rows
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.lens import Lens
from runwatch_console.locale.words import Words
from runwatch_console.loginfacts import login_facts
from runwatch_console.ports import ApiError, Connected
from runwatch_console.state import ConsoleState, Preferences
from runwatch_shared.logins import InputRequest, OperationRequest
from runwatch_shared.models import Login
from tests.console.driving import Driven, console, is_harmless
from tests.console.hostile import MARKUP, SEQUENCES
from tests.console.machines import machine_answers
from tests.console.records import (
    NOW_S,
    account,
    accounts,
    at,
    change,
    fleet_accounts,
    hello,
    login,
    node,
    snapshot,
)
from tests.console.scripted import TARGET

OPERATIONS = "/api/v1/operations"
INPUT = "/api/v1/actions/act-000000000019/input"
ASKING = {"account_id": "claude-code_ops", "phase": "waiting_input", "input_prompt": "Paste code"}
SECRET = "sk-ant-api03-geheim"
LENS = Lens(words=Words("en"), now_s=NOW_S)


async def with_accounts(driven: Driven) -> None:
    driven.script.api.answers |= machine_answers()
    driven.script.feed.say(accounts(*fleet_accounts()))
    await driven.until(lambda: len(driven.app.state.fleet.accounts) == 4)
    await driven.press("5")
    await driven.pass_time(3)


async def under_way(driven: Driven, **more: Any) -> None:
    driven.script.feed.say(change(upsert=[login(**more)]))
    await driven.until(lambda: "act-000000000019" in driven.app.state.fleet.runs)
    await driven.press("5")
    await driven.pass_time(3)
    await driven.press("g")


@pytest.mark.requirement("screen.auth.accounts")
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_accounts_stand_with_their_health_those_in_need_first(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await with_accounts(driven)
        bad, soon = driven.line_with("me@example.com"), driven.line_with("lab@example.com")
        good = driven.line_with("ops@example.com")
        assert "expired" in bad
        assert " 3" in bad
        assert "expiring" in soon
        assert "5h33m" in soon
        assert "ok" in good
        assert "n1, n2" in good
        order = [driven.lines.index(line) for line in (bad, soon, good)]
        assert order == sorted(order)


@pytest.mark.requirement("screen.auth.accounts")
async def test_enter_on_an_account_says_all_that_is_known_and_a_change_of_it_is_seen() -> None:
    async with console() as driven:
        await with_accounts(driven)
        for _ in driven.lines:
            if "me@example.com" in driven.cursor_line:
                break
            await driven.press("j")
        await driven.press("enter")
        await driven.until_text("Account me@example.com", "last 401", "queued runs: 3", "n3")
        mended = account("claude-code_me", name="me@example.com", nodes=["n3", "n4"])
        driven.script.feed.say(accounts(mended, revision=3, previous=2))
        await driven.until_text("n3, n4", "no run waits for this login")
        driven.script.feed.say(accounts(remove=["claude-code_me"], revision=4, previous=3))
        await driven.until_text("This login is over.")


def test_an_account_has_one_row_and_a_node_one_of_its_own_where_it_says_otherwise() -> None:
    nodes = [
        node(
            "n1", logins=[Login(agent_type="claude-code", account_id="claude-code_a", state="ok")]
        ),
        node(
            "n2",
            logins=[Login(agent_type="claude-code", account_id="claude-code_a", state="expired")],
        ),
    ]
    known = [account("claude-code_a", name="a", nodes=["n1", "n2"])]
    fleet = fold(Fleet(), [snapshot([], nodes), accounts(*known)])
    rows = [(row.account, row.node, row.state) for row in auth_rows(fleet)]
    assert rows == [("a", "n2", "expired"), ("a", "n1, n2", "ok")]


def test_a_login_that_failed_stays_until_the_next_one_of_its_account_or_an_hour() -> None:
    failed = login(status="failed", waiting=None, error="the page refused it", state="failed",
                   end_time=at(60), start_time=at(600))  # fmt: skip
    fleet = fold(Fleet(), [snapshot([failed], [])])
    (row,) = auth_rows(fleet)
    assert row.state == "failed"
    assert "refused" in now_cell(row, LENS)[0]
    again = login(id="act-000000000020", start_time=at(30))
    (row,) = auth_rows(fold(fleet, [change(upsert=[again])]))
    assert row.run_id == "act-000000000020"
    old = login(status="failed", waiting=None, state="failed", end_time=at(4_000))
    assert auth_rows(fold(Fleet(), [snapshot([old], [])])) == []


@pytest.mark.requirement("screen.auth.begin")
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_login_is_begun_in_a_form_and_shown_when_it_begins(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await with_accounts(driven)
        await driven.press("a")
        await driven.until_text(
            "Begin a login", "claude-code", "in a browser", "as the node has it"
        )
        driven.app.screen.query_one("#field-agent").value = "openai-codex"  # type: ignore[attr-defined]
        await driven.until_text("a code for a page")
        await driven.press(*"team", "ctrl+s")
        await driven.until(lambda: bool(driven.script.api.asked(f"POST {OPERATIONS}")))
        (request,) = driven.script.api.asked(f"POST {OPERATIONS}")
        assert isinstance(request, OperationRequest)
        assert request.type == "device_code"
        assert request.config.name == "team"
        assert request.config.agent_type == "openai-codex"
        assert request.config.api_key is None
        driven.script.feed.say(change(upsert=[login()], revision=3, previous=2))
        await driven.until_text("Login of team@example.com", "WDJB-MJHT", "waits for the code")


@pytest.mark.requirement("screen.auth.begin", "screen.auth.secret")
async def test_a_key_is_typed_unseen_and_goes_to_the_server_alone() -> None:
    async with console(settings_file=None) as driven:
        await with_accounts(driven)
        await driven.press("a")
        await driven.until_text("as the node has it")
        app = driven.app
        app.screen.query_one("#field-method").value = "api_key"  # type: ignore[attr-defined]
        await driven.until_text("API key", "typed unseen")
        app.screen.query_one("#field-key").focus()
        await driven.press(*SECRET)
        assert SECRET not in driven.text
        await driven.press("ctrl+a", "ctrl+c", "ctrl+x")
        assert app.clipboard != SECRET
        app.screen.query_one("#field-key").value = SECRET  # type: ignore[attr-defined]
        app.screen.query_one("#field-account").value = "me"  # type: ignore[attr-defined]
        await driven.press("ctrl+s")
        await driven.until(lambda: bool(driven.script.api.asked(f"POST {OPERATIONS}")))
        (request,) = driven.script.api.asked(f"POST {OPERATIONS}")
        assert request.type == "api_key"
        assert request.config.api_key == SECRET
        await driven.until_no_text("Begin a login")
        assert SECRET not in driven.text
        assert SECRET not in repr(driven.app.state)


@pytest.mark.requirement("screen.auth.begin")
async def test_what_the_server_refuses_stands_beside_its_field_and_nothing_is_lost() -> None:
    async with console() as driven:
        await with_accounts(driven)
        refusal = ApiError(
            "name_taken", "another name has this id", field="config.name", status=409
        )
        driven.script.api.refuse(f"POST {OPERATIONS}", refusal)
        await driven.press("a")
        await driven.until_text("as the node has it")
        await driven.press("ctrl+s")
        await driven.until_text("1 to 64 letters")
        await driven.press(*"team", "ctrl+s")
        await driven.until_text("another name has this id")
        lines = driven.lines
        at_account = lines.index(driven.line_with("account "))
        assert "another name" in lines[at_account + 1]
        assert "team" in lines[at_account]


@pytest.mark.requirement("screen.auth.renew")
async def test_an_account_is_logged_in_again_with_what_is_known_of_it() -> None:
    async with console() as driven:
        await with_accounts(driven)
        for _ in driven.lines:
            if "me@example.com" in driven.cursor_line:
                break
            await driven.press("j")
        await driven.press("ctrl+r")
        await driven.until_text("Log in as me@example.com", "in a browser")
        await driven.press("ctrl+s")
        await driven.until(lambda: bool(driven.script.api.asked(f"POST {OPERATIONS}")))
        (request,) = driven.script.api.asked(f"POST {OPERATIONS}")
        assert request.config.name == "me@example.com"
        assert request.config.agent_type == "claude-code"
        assert request.node_id == "n3"


@pytest.mark.requirement("screen.auth.input", "screen.auth.secret")
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_the_agent_asks_for_is_typed_unseen_and_given_once(language: str) -> None:
    async with console(language=language) as driven:
        driven.script.api.answers["POST", INPUT] = None
        await under_way(driven, agent_type="claude-code", metadata=ASKING)
        await driven.press("i")
        await driven.until_text("Paste code")
        await driven.press(*"CODE#STATE")
        assert "CODE#STATE" not in driven.text
        await driven.press("enter")
        told = {"en": "given to the agent", "zh": "已交给智能体"}[language]
        await driven.until_text(told)
        assert driven.script.api.asked(f"POST {INPUT}") == [InputRequest(text="CODE#STATE")]


@pytest.mark.requirement("screen.auth.input")
async def test_a_login_that_asks_for_nothing_says_so() -> None:
    async with console() as driven:
        error = ApiError("invalid_transition", "it is not waiting for it", status=409)
        driven.script.api.refuse(f"POST {INPUT}", error)
        await under_way(driven)
        await driven.press("i", *"x", "enter")
        await driven.until_text("the login does not ask for it now")
        await driven.press("escape", "G", "i")
        await driven.until_text("no login is under way here")


@pytest.mark.requirement("screen.auth.cancel")
async def test_a_login_is_cancelled_after_a_question_and_only_y_is_yes() -> None:
    path = "/api/v1/operations/op-000000000019/cancel"
    async with console() as driven:
        driven.script.api.answers["POST", path] = None
        await under_way(driven)
        await driven.press("ctrl+k")
        await driven.until_text("End the login of")
        await driven.press("enter")
        await driven.until_no_text("End the login of")
        assert driven.script.api.asked(f"POST {path}") == []
        await driven.press("ctrl+k", "y")
        await driven.until_text("is ended")
        assert len(driven.script.api.asked(f"POST {path}")) == 1


@pytest.mark.requirement("screen.auth.delete")
async def test_an_account_is_forgotten_after_a_question_and_a_nodes_login_is_none() -> None:
    path = "/api/v1/accounts/claude-code_me"
    async with console() as driven:
        driven.script.api.answers["DELETE", path] = None
        await with_accounts(driven)
        await driven.press("g")
        for _ in driven.lines:
            if "me@example.com" in driven.cursor_line:
                break
            await driven.press("j")
        await driven.press("ctrl+x")
        await driven.until_text("Forget the account me@example.com?", "Runs that wait for it: 3")
        await driven.press("y")
        await driven.until_text("is forgotten")
        assert driven.script.api.asked(f"DELETE {path}") == [{"purge": "true"}]


@pytest.mark.requirement("screen.auth.read_only")
@pytest.mark.parametrize("keys", [("a",), ("ctrl+r",), ("i",), ("ctrl+k",), ("ctrl+x",)])
async def test_nothing_of_it_is_done_by_a_viewer(keys: tuple[str, ...]) -> None:
    async with console() as driven:
        await with_accounts(driven)
        driven.script.feed.say(Connected(hello=hello(scope="viewer")))
        driven.script.feed.say(change(upsert=[login()], revision=3, previous=2))
        await driven.until(lambda: driven.app.state.link.read_only)
        await driven.pass_time(3)
        if keys == ("ctrl+x",):
            while "ops@example.com" not in driven.cursor_line:
                await driven.press("j")
        else:
            await driven.press("g")
        before = len(driven.script.api.calls)
        await driven.press(*keys)
        await driven.until_text("viewer")
        assert driven.app.at_screen
        assert [call for call, _ in driven.script.api.calls[before:] if "GET" not in call] == []


@pytest.mark.requirement("screen.auth.phases")
async def test_a_login_tells_its_phases_as_they_come_and_how_it_ended() -> None:
    async with console() as driven:
        await under_way(driven)
        await driven.press("enter")
        await driven.until_text("waits for the code")
        facts = {"account_id": "openai-codex_team", "phase": "verifying_credentials"}
        later = login(metadata=facts, waiting=None, state="running", status="running", revision=3)
        driven.script.feed.say(change(upsert=[later], revision=3, previous=2))
        await driven.until_text("trying the login")
        over = login(metadata=facts, waiting=None, state="failed", status="failed",
                     error="the vendor refused the code", revision=4)  # fmt: skip
        driven.script.feed.say(change(upsert=[over], revision=4, previous=3))
        await driven.until_text("This login is over.", "the vendor refused the code")


@pytest.mark.requirement("rule.outside_text")
@pytest.mark.parametrize("text", [*SEQUENCES, *MARKUP])
def test_no_text_of_an_account_or_a_phase_is_obeyed(text: str) -> None:
    bad = account("claude-code_x", name=text, nodes=[text], agent_type=text)
    under = login(metadata=dict.fromkeys(
        ("account_id", "phase", "message", "input_prompt", "method", "user_code"), text
    ))  # fmt: skip
    fleet = fold(Fleet(), [snapshot([under], []), accounts(bad)])
    state = ConsoleState(target=TARGET, preferences=Preferences(words=Words("en")), fleet=fleet)
    for row in auth_rows(fleet):
        assert all(is_harmless(column.cell(row, LENS)[0]) for column in AUTH_COLUMNS)
        assert all(is_harmless(fact.text) for fact in login_facts(row, state.fleet, LENS))
