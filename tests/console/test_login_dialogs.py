"""Enter on a login shows it, `Q` draws its address: read back from the painted screen."""

from typing import Any

import pytest

from runwatch_shared.wire import ChangeFrame
from tests.console.driving import Driven, console
from tests.console.qr_reading import DARK_TERMINAL, LIGHT_TERMINAL, codes_on
from tests.console.records import LOGIN_URL as URL
from tests.console.records import change, login
from tests.console.test_auth_screen import begin_login

LONG = f"https://auth.example/authorize?state={'a1-B' * 90}"


def address(url: str) -> dict[str, str]:
    return {"account_id": "team", "user_code": "WDJB-MJHT", "verify_url": url}


def told(driven: Driven, url: str) -> bool:
    run = driven.app.state.fleet.runs.get("act-000000000019")
    return run is not None and run.login is not None and run.login.url == url


async def show_code(driven: Driven, url: str = URL) -> None:
    """The code of a login with this address, over the Auth screen."""
    await begin_login(driven)
    if url != URL:
        driven.script.feed.say(again(url, 3))
        await driven.until(lambda: told(driven, url))
    await driven.press("g", "Q")
    await driven.until_text("esc closes" if driven.app.state.preferences.words.language == "en"
                            else "esc 关闭")  # fmt: skip


def again(url: str, revision: int) -> ChangeFrame:
    row = login(metadata=address(url), revision=revision)
    return change(upsert=[row], revision=revision, previous=revision - 1)


@pytest.mark.requirement("screen.auth.qr")
@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ((60, 20), "dark"),
        ((80, 24), "16"),
        ((80, 24), "light"),
        ((120, 40), "high-contrast"),
        ((200, 60), "16"),
    ],
)
async def test_a_phone_reads_the_code_in_every_theme(size: tuple[int, int], theme: str) -> None:
    async with console(size, theme=theme) as driven:
        await show_code(driven)
        terminal = LIGHT_TERMINAL if theme == "light" else DARK_TERMINAL
        await driven.until(lambda: codes_on(driven, terminal) == [URL])
        await driven.until_text("leads to auth.example", "code WDJB-MJHT", "expires in 9m")


@pytest.mark.requirement("screen.auth.qr", "state.no_color")
@pytest.mark.parametrize(
    ("theme", "terminal", "other", "ascii_only"),
    [
        ("dark", DARK_TERMINAL, LIGHT_TERMINAL, False),
        ("dark", DARK_TERMINAL, LIGHT_TERMINAL, True),
        ("light", LIGHT_TERMINAL, DARK_TERMINAL, False),
    ],
)
async def test_without_colour_it_is_inked_for_the_themes_kind_of_terminal_and_i_turns_it_round(
    monkeypatch: pytest.MonkeyPatch, theme: str, terminal: Any, other: Any, ascii_only: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console((120, 40), theme=theme, ascii_only=ascii_only) as driven:
        await show_code(driven)
        await driven.until(lambda: codes_on(driven, terminal) == [URL])
        assert codes_on(driven, other) == []
        await driven.press("i")
        await driven.until(lambda: codes_on(driven, other) == [URL])


@pytest.mark.requirement("screen.auth.qr")
async def test_without_block_elements_cells_are_painted_and_all_signs_are_ascii() -> None:
    async with console((120, 40), ascii_only=True, theme="16") as driven:
        await show_code(driven)
        await driven.until(lambda: codes_on(driven) == [URL])
        assert driven.text.isascii()


@pytest.mark.requirement("screen.auth.qr")
async def test_q_again_shows_it_twice_as_large_where_there_is_room() -> None:
    async with console((120, 40)) as driven:
        await show_code(driven)
        view = driven.app.screen.query_one("#qr-code")
        await driven.until(lambda: codes_on(driven) == [URL])
        small = view.size
        await driven.press("Q")
        await driven.until(lambda: view.size.width > small.width and codes_on(driven) == [URL])
        await driven.press("Q")
        await driven.until(lambda: view.size == small)
    async with console((80, 24)) as driven:
        await show_code(driven)
        await driven.press("Q")
        await driven.until_text("no room for it larger")
        assert codes_on(driven) == [URL]


@pytest.mark.requirement("screen.auth.qr")
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_without_room_the_address_stands_there_whole(language: str) -> None:
    async with console((80, 24), language=language) as driven:
        await show_code(driven, LONG)
        await driven.until_text({"en": "no room for a code", "zh": "放不下二维码"}[language])
        assert LONG in driven.text.replace(" ", "").replace("\n", "")
        assert codes_on(driven) == []
        await driven.pilot.resize_terminal(120, 40)
        await driven.until(lambda: codes_on(driven) == [LONG])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("javascript:alert(1)", "no http or https address"),
        ("https://known.example@elsewhere.example/", "hide where it leads"),
        (f"https://auth.example/{'a' * 1_500}", "too long"),
    ],
)
@pytest.mark.requirement("screen.auth.qr", "rule.outside_text")
async def test_an_address_that_may_deceive_is_not_drawn(url: str, said: str) -> None:
    async with console((120, 40)) as driven:
        await show_code(driven, url)
        await driven.until_text(said)
        assert codes_on(driven, inverted=True) == []


async def test_a_code_whose_login_is_over_or_has_another_address_says_so() -> None:
    async with console((120, 40)) as driven:
        await show_code(driven)
        driven.script.feed.say(again("https://auth.example/other", 3))
        await driven.until_text("This login is over.")


async def test_a_login_without_an_address_says_so() -> None:
    async with console() as driven:
        await driven.press("5", "g", "Q")
        await driven.until_text("no address here")


@pytest.mark.requirement("screen.auth.login")
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_enter_shows_the_login_and_its_keys_do_what_they_say(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        await begin_login(driven)
        await driven.press("g", "enter")
        await driven.until_text("Login of openai-codex_team", URL, "auth.example", "queued runs: 1")
        await driven.press("u")
        await driven.until_text(f"{len(URL)} characters sent")
        await driven.press("c")
        await driven.until_text("9 characters sent")
        await driven.press("Q")
        await driven.until(lambda: codes_on(driven) == [URL])
        await driven.press("escape")
        await driven.until_text("Login of openai-codex_team")
        await driven.press("enter")
        await driven.until(lambda: driven.app.mode == "run")
        assert driven.app.state.run_id == "act-000000000019"


@pytest.mark.requirement("screen.auth.login")
async def test_enter_on_a_login_on_attention_shows_it_too() -> None:
    async with console((80, 24)) as driven:
        await begin_login(driven)
        await driven.press("1")
        await driven.pass_time(3)
        await driven.until_text("code WDJB-MJHT")
        for _ in range(len(driven.lines)):
            if "LOGIN" in driven.cursor_line:
                break
            await driven.press("j")
        await driven.press("enter")
        await driven.until_text("Login of openai-codex_team")


async def test_a_login_that_ends_while_it_is_looked_at_says_so() -> None:
    async with console() as driven:
        await begin_login(driven)
        await driven.press("g", "enter")
        await driven.until_text("Login of openai-codex_team", "c copies the code")
        ended: dict[str, Any] = {"status": "done", "waiting": None, "revision": 3}
        driven.script.feed.say(change(upsert=[login(**ended)], revision=3, previous=2))
        await driven.until_text("This login is over.")
