"""What the real programs' screens mean, in recordings of them; and what hostile ones do not."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.logins.recipes import RECIPES
from runwatch_nodemanager.logins.recogniser import Recogniser, Sight, failed_because
from runwatch_nodemanager.logins.screen import Screen
from runwatch_shared.settings import LoginRecipe

RECORDINGS = Path(__file__).parent / "recordings"


@dataclass
class Seen:
    """All that was to be seen of a recording, looked at after every so many bytes."""

    pages: list[str]
    codes: set[str]
    asked: int
    refused: list[str]
    answers: list[str]
    tokens: set[str]
    last: Sight


TYPED = re.compile(rb"(?<=\x1b\[31G)4/|GOODCODE|4/|(?<!\*)\*{7}|BADCODE|SOMECODE|(?<=\n)")


def watch(name: str, recipe: LoginRecipe, *, step: int = 0) -> Seen:
    """Looks at the end of every line and before what a person typed, or after so many bytes."""
    data = (RECORDINGS / f"{name}.raw").read_bytes()
    cuts = range(0, len(data), step) if step else [match.start() for match in TYPED.finditer(data)]
    screen, recogniser = Screen(60, 1000), Recogniser(recipe)
    seen = Seen([], set(), 0, [], [], set(), Sight())
    asking = False
    begun = 0
    for cut in sorted({*cuts, len(data)}):
        screen.feed(data[begun:cut])
        begun = cut
        sight = recogniser.look(screen)
        if sight.url and (not seen.pages or seen.pages[-1] != sight.url):
            seen.pages.append(sight.url)
        seen.codes |= {sight.code} if sight.code else set()
        seen.asked += sight.asking is not None and not asking
        asking = sight.asking is not None
        seen.refused += [sight.refused] if sight.refused else []
        seen.answers += [sight.answer] if sight.answer else []
        seen.tokens |= {sight.token} if sight.token else set()
        seen.last = sight
    return seen


def recipe(agent: str, method: str) -> LoginRecipe:
    return RECIPES[agent][method]


@pytest.mark.parametrize(
    ("name", "succeeded", "words"),
    [
        ("claude-success", True, None),
        ("claude-wrong-code", False, "the code was not accepted: That code wasn't accepted."),
        ("claude-unreachable", False, "the vendor could not be reached: getaddrinfo EAI_AGAIN"),
    ],
)
def test_claude_code_shows_a_page_asks_for_its_code_and_ends(
    name: str, succeeded: bool, words: str | None
) -> None:
    seen = watch(name, recipe("claude-code", "oauth"))
    assert len(seen.pages) == 1
    assert seen.pages[0].startswith("https://claude.ai/oauth/authorize?")
    assert len(seen.pages[0]) == len("https://claude.ai/oauth/authorize?") + 45
    assert seen.asked == 1
    assert seen.last.succeeded is succeeded
    assert (seen.last.failure is None) == (words is None)
    assert words is None or failed_because(seen.last.failure or "").startswith(words)


def test_claude_codes_token_for_a_year_is_read_after_a_wrong_code() -> None:
    seen = watch("claude-setup-token", recipe("claude-code", "setup_token"))
    assert seen.pages
    assert all(page.startswith("https://claude.ai/oauth/authorize?") for page in seen.pages)
    assert seen.asked == 2
    assert len(seen.refused) == 1
    assert seen.answers == ["\r"]
    assert seen.last.succeeded
    assert seen.last.token == "sk-ant-oat01-" + "A" * 80 + "-AA"


@pytest.mark.parametrize(
    ("name", "succeeded", "words"),
    [
        ("codex-success", True, None),
        ("codex-denied", False, "the login was denied: device auth failed with status 400"),
        ("codex-unreachable", False, "the vendor could not be reached: error sending request"),
    ],
)
def test_codex_shows_a_page_and_a_code(name: str, succeeded: bool, words: str | None) -> None:
    seen = watch(name, recipe("openai-codex", "device_code"))
    if name != "codex-unreachable":
        assert seen.pages[-1].endswith("/codex/device")
        assert seen.codes == {"WXYZ-12345"}
        assert seen.last.lifetime_min == 15
    assert seen.last.succeeded is succeeded
    assert words is None or failed_because(seen.last.failure or "").startswith(words)


def test_gemini_asks_again_after_a_code_it_did_not_take() -> None:
    seen = watch("gemini-success", recipe("gemini-cli", "oauth"))
    assert len(seen.pages) == 2
    assert all(page.endswith(".apps.googleusercontent.com") for page in seen.pages)
    assert seen.asked == 2
    assert seen.refused == ["invalid_grant"]
    assert seen.last.failure is None


def test_gemini_gives_up_after_two_codes() -> None:
    seen = watch("gemini-unreachable", recipe("gemini-cli", "oauth"))
    assert (seen.last.failure or "").startswith("Failed to authenticate with user code.")
    assert "EAI_AGAIN" in seen.refused[-1]


def test_qwens_login_by_a_page_is_no_more() -> None:
    seen = watch("qwen-discontinued", recipe("qwen-code", "oauth"))
    assert not seen.codes
    words = "this version of the agent cannot log in so: Qwen OAuth free tier was discontinued"
    assert failed_because(seen.last.failure or "").startswith(words)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.sampled_from(["claude-success", "codex-success"]))
def test_where_the_output_is_cut_makes_no_difference_to_the_end(step: int, name: str) -> None:
    agent = {"claude-success": ("claude-code", "oauth")}.get(name, ("openai-codex", "device_code"))
    seen = watch(name, recipe(*agent), step=step)
    assert seen.last.succeeded
    assert seen.pages[-1] == watch(name, recipe(*agent)).pages[-1]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://evil.example/oauth/authorize?\u202eabc",
        "https://evil.example/oauth/authorize?" + "x" * 5000,
        "file:///etc/passwd",
    ],
)
def test_no_other_page_is_shown_than_one_a_browser_may_open(url: str) -> None:
    screen = Screen(60, 1000)
    screen.feed(f"\x1b]8;;{url}\x07open\x1b]8;;\x07 {url}".encode())
    loose = LoginRecipe(command=["x"], url=r"\S+")
    assert Recogniser(loose).look(screen).url in (None, "open")
    assert Recogniser(recipe("claude-code", "oauth")).look(screen).url is None
