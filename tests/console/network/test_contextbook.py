"""Which server a start means, and what a context that is switched to takes along."""

from pathlib import Path
from typing import Any

import pytest

from runwatch_console.contextbook import ContextBook
from runwatch_console.contexts import Context, TokenError, resolve_context
from runwatch_shared.errors import SettingsError
from runwatch_shared.layers import load_settings
from runwatch_shared.settings import ConsoleSettings

FILE = """
[console]
default_context = "test"
server = "https://elsewhere.example"
token = "of-no-context"
lang = "en"

[console.contexts.prod]
url = "https://prod.example:8443"
token_file = "{home}/prod.token"
lang = "zh"
read_only = true

[console.contexts.test]
url = "https://test.example"
"""


def book(
    home: Path, typed: dict[str, Any] | None = None, text: str = FILE, **variables: str
) -> Any:
    path = home / "config.toml"
    path.write_text(text.format(home=home))
    token = home / "prod.token"
    token.write_text("of-prod\n")
    token.chmod(0o600)
    environment = {"XDG_CONFIG_HOME": str(home), **variables}
    settings = load_settings(
        ConsoleSettings, "console", config=path, environment=environment, flags=typed
    )
    return ContextBook(settings=settings, typed=typed or {}, environment=environment)


def started(one: ContextBook) -> Context:
    return resolve_context(one.start(), one.typed, one.environment)


def test_the_default_context_is_used_and_takes_nothing_of_the_rest_of_the_file(
    tmp_path: Path,
) -> None:
    context = started(book(tmp_path))
    assert context.target().context == "test"
    assert context.access().url == "https://test.example"
    assert context.access().token is None


@pytest.mark.parametrize("by", ["flag", "environment"])
@pytest.mark.requirement("context.named")
def test_another_is_chosen_with_its_entries(tmp_path: Path, by: str) -> None:
    one = (
        book(tmp_path, {"context": "prod"})
        if by == "flag"
        else book(tmp_path, RUNWATCH_CONTEXT="prod")
    )
    context = started(one)
    assert context.target().context == "prod"
    assert context.access().url == "https://prod.example:8443"
    assert context.access().token == "of-prod"
    settings = one.start()
    assert (settings.lang, settings.read_only) == ("zh", True)


def test_flags_go_before_the_entries_of_the_context(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    mine.chmod(0o600)
    typed = {
        "context": "prod",
        "server": "https://other.example",
        "token_file": str(mine),
        "lang": "en",
    }
    one = book(tmp_path, typed, RUNWATCH_TOKEN="of-the-environment")
    access = started(one).access()
    assert (access.url, access.token) == ("https://other.example", "mine")
    assert one.start().lang == "en"


def test_the_entries_go_before_the_environment(tmp_path: Path) -> None:
    variables = {"RUNWATCH_SERVER": "https://env.example", "RUNWATCH_TOKEN": "of-the-environment"}
    access = started(book(tmp_path, {"context": "prod"}, **variables)).access()
    assert (access.url, access.token) == ("https://prod.example:8443", "of-prod")
    access = started(book(tmp_path, {"context": "test"}, **variables)).access()
    assert (access.url, access.token) == ("https://test.example", "of-the-environment")


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_a_server_given_for_this_start_is_no_context(tmp_path: Path, by: str) -> None:
    url = "https://other.example"
    one = book(tmp_path, {"server": url}) if by == "flag" else book(tmp_path, RUNWATCH_SERVER=url)
    context = started(one)
    assert context.access().url == url
    assert context.target().context == "other.example"


def test_a_context_switched_to_takes_neither_flags_nor_the_token_of_the_start(
    tmp_path: Path,
) -> None:
    typed = {"context": "prod", "server": "https://other.example", "ca": str(tmp_path / "x")}
    one = book(tmp_path, typed, RUNWATCH_TOKEN="of-the-environment")
    settings = one.other("test")
    context = resolve_context(settings, {}, one.environment)
    assert context.access().url == "https://test.example"
    assert context.access().token is None
    assert (settings.lang, settings.read_only, settings.ca) == ("en", False, "")


def test_the_local_server_is_always_there(tmp_path: Path) -> None:
    one = book(tmp_path, {"context": "local", "data_dir": str(tmp_path / "data")})
    assert one.names == ("prod", "test", "local")
    context = started(one)
    assert context.target().context == "local"
    assert context.access().url == "https://127.0.0.1:8080"


def test_one_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="known are prod, test, local"):
        book(tmp_path, {"context": "nope"}).start()
    with pytest.raises(SettingsError, match="known are prod, test, local"):
        book(tmp_path).other("nope")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[console.contexts.prod]\nurl = "ftp://x"', "no address"),
        ('[console.contexts.prod]\ntoken_fil = "x"', "token_file"),
        ('[console.contexts.prod]\ntoken_command = "pass show x"', "token_command"),
        ('[console.contexts.prod]\ntoken_file = "/nowhere/x"', "cannot be read"),
        (
            '[console.contexts.prod]\ntoken_file = "{home}/prod.token"\ntoken_command = ["true"]',
            "only one",
        ),
        ('[console.contexts."a b"]\nurl = "https://x"', "no name"),
        ('[console.contexts."a\\u001bb"]\nurl = "https://x"', "no name"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    def use() -> None:
        one = book(tmp_path, text=text)
        name = next(iter(one.settings.contexts))
        resolve_context(one.other(name), {}, one.environment)

    with pytest.raises(SettingsError, match=said):
        use()


@pytest.mark.requirement("context.token_file")
def test_a_token_file_others_can_read_is_refused_beyond_this_machine(tmp_path: Path) -> None:
    one = book(tmp_path, {"context": "prod"})
    (tmp_path / "prod.token").chmod(0o640)
    context = started(one)
    with pytest.raises(TokenError, match=f"chmod 600 {tmp_path}/prod.token"):
        context.access()
    assert context.target().context == "prod"


def test_a_file_that_changes_changes_the_signature(tmp_path: Path) -> None:
    context = started(book(tmp_path, {"context": "prod"}))
    before = context.signature()
    assert context.signature() == before
    (tmp_path / "prod.token").write_text("another one")
    assert context.signature() != before
