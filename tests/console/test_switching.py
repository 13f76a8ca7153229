"""`:ctx`: the list of servers, and from one server to another with nothing left of the first."""

import asyncio
from collections.abc import Sequence

import pytest

from runwatch_console.feeditems import Target
from runwatch_console.messages import ServerRequested
from runwatch_console.ports import Connected, Connection
from runwatch_console.servers import Listed, Server, Standing
from runwatch_shared.errors import SettingsError
from tests.console import records
from tests.console.driving import Driven, console
from tests.console.records import change, hello, snapshot, summary
from tests.console.scripted import Script


class Known:
    """Three servers: `prod` is the one of the tests, `test` another, `broken` cannot be used."""

    def __init__(self) -> None:
        self.test = Script()
        self.prod = Script()
        self.closed: list[str] = []
        self.spared: list[tuple[str, bool]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def listed(self) -> Sequence[Listed]:
        return [
            Listed(name="prod", target=self._target("prod")),
            Listed(name="test", target=self._target("test")),
            Listed(name="broken", target=None, problem="ca: /x is not a file\x1b[31m"),
        ]

    def open(self, name: str) -> Server:
        if name not in ("prod", "test"):
            raise SettingsError(f"context: there is no {name!r}; known are prod, test, local")
        script = getattr(self, name)

        async def close() -> None:
            self.closed.append(name)

        async def spare(low: bool) -> None:
            self.spared.append((name, low))

        def connect() -> Connection:
            made = script.connect()
            return Connection(
                feed=made.feed, run_events=made.run_events, api=made.api, close=close, spare=spare
            )

        return Server(
            target=self._target(name),
            connect=connect,
            language="zh" if name == "test" else "en",
            read_only=name == "test",
        )

    async def standing(self, name: str) -> Standing:
        await self.gate.wait()
        return Standing.CHANGED if name == "test" else Standing.ANSWERS

    def _target(self, name: str) -> Target:
        return Target(
            context=name, server_url=f"https://{name}.example", credential="token command pass"
        )


async def typed(driven: Driven, line: str) -> None:
    await driven.press("colon")
    await driven.until(lambda: driven.app.typing)
    await driven.press(*("space" if each == " " else each for each in line), "enter")


async def arrived(driven: Driven, known: Known, name: str) -> None:
    """The console is at the server of this name, and there is nothing of it yet."""
    await driven.until(lambda: driven.app.state.target.context == name)
    await driven.until(lambda: getattr(known, name).connects == 1)

    def whole() -> bool:
        screen = driven.app.console_screen
        return screen is not None and screen.is_whole

    await driven.until(whole)


@pytest.mark.parametrize("screen", ["1", "2", "3", "4"])
async def test_nothing_of_the_old_server_is_left_under_the_new_name(screen: str) -> None:
    known = Known()
    async with console(servers=known) as driven:
        old = {row.id[:10] for row in records.fleet_rows()} | {"fix-auth", "n6"}
        await driven.press("2", "j", "enter")
        await driven.until(lambda: driven.script.run_events.open > 0)
        await driven.press(screen)
        await typed(driven, "ctx test")
        await arrived(driven, known, "test")
        assert "test" in driven.lines[0]
        assert "prod" not in driven.text
        for key in ("1", "2", "3", "4"):
            await driven.press(key)
            await driven.pilot.pause()
            assert not [part for part in old if part in driven.text], driven.text
        await driven.until(lambda: driven.script.run_events.open == 0)
        assert driven.app.state.run_id == ""


async def test_what_is_still_on_its_way_from_the_old_server_is_dropped() -> None:
    known = Known()
    async with console(servers=known) as driven:
        feeding = driven.app._feeding
        await typed(driven, "ctx test")
        await arrived(driven, known, "test")
        from runwatch_console.messages import FeedArrived
        from runwatch_console.ports import Frame

        late = asyncio.Event()
        frame = Frame(frame=snapshot(records.fleet_rows(), records.fleet_nodes()))
        driven.app.post_message(FeedArrived([Connected(hello=hello()), frame], late, feeding))
        await driven.until(late.is_set)
        driven.script.say_fleet()
        await driven.pilot.pause()
        assert not driven.app.state.fleet.runs
        assert not driven.app.state.link.connected


@pytest.mark.requirement("keys.command.context")
async def test_the_new_server_is_shown_with_its_words_and_is_only_read() -> None:
    known = Known()
    async with console(servers=known) as driven:
        await driven.press("2")
        await typed(driven, "ctx test")
        await arrived(driven, known, "test")
        known.test.feed.say(Connected(hello=hello()), snapshot([summary(name="of-test")]))
        await driven.press("2")
        await driven.until_text("of-test", "只读")
        await driven.press("left_square_bracket", "left_square_bracket")
        assert driven.app.mode == "attention"
        await driven.press("ctrl+k")
        assert known.test.api.asked("cancel_run") == []


async def test_back_again_the_first_server_is_asked_anew_and_the_other_is_let_go() -> None:
    known = Known()
    async with console(servers=known) as driven:
        await typed(driven, "ctx test")
        await arrived(driven, known, "test")
        known.test.feed.say(Connected(hello=hello()), snapshot([summary(name="of-test")]))
        await typed(driven, "ctx prod")
        await arrived(driven, known, "prod")
        assert known.closed == ["test"]
        known.prod.say_fleet()
        await driven.until_text("fix-auth")
        assert "of-test" not in driven.text


async def test_keys_while_it_switches_do_no_harm() -> None:
    known = Known()
    async with console(servers=known) as driven:
        await typed(driven, "ctx test")
        await driven.press("2", "3", "j", "x", "question_mark", "escape", "1")
        await arrived(driven, known, "test")
        await driven.press("2")
        await driven.until(lambda: driven.app.mode == "runs")


async def test_two_switches_in_one_burst_end_at_a_server() -> None:
    known = Known()
    async with console(servers=known) as driven:
        app = driven.app
        for name in ("test", "prod", "test"):
            app.post_message(ServerRequested(name))
            await asyncio.sleep(0)
        await driven.until(lambda: app.console_screen is not None and known.test.connects > 0)
        await driven.until(lambda: app.state.target.context == "test")
        await driven.until(lambda: not app.switching._changing)
        known.test.feed.say(Connected(hello=hello()), snapshot([summary(name="of-test")]))
        await driven.press("2")
        await driven.until_text("of-test")


async def test_between_two_servers_no_further_switch_begins() -> None:
    known = Known()
    async with console(servers=known) as driven:
        app = driven.app
        leave = app.leave_screens

        async def leave_and_ask() -> None:
            await leave()
            app.switching.answer(ServerRequested("prod"))

        app.leave_screens = leave_and_ask  # type: ignore[method-assign]
        await typed(driven, "ctx test")
        await arrived(driven, known, "test")
        assert known.prod.connects == 0


async def test_messages_of_the_old_server_go_with_it_and_there_is_nothing_to_go_back_to() -> None:
    known = Known()
    async with console(servers=known) as driven:
        driven.app.tell("retry.refused", run="run-of-old", error="no")
        await driven.until_text("run-of-old")
        driven.script.feed.say(change(upsert=[summary(name="newer")]))
        await driven.until(lambda: "newer" in str(driven.app.state.fleet.runs))
        assert driven.app._feeding is not None
        assert driven.app._feeding.rewind.revisions
        await typed(driven, "ctx test")
        await arrived(driven, known, "test")
        await driven.until_no_text("run-of-old")
        known.test.feed.say(Connected(hello=hello()), snapshot([summary(name="of-test")]))
        await driven.until(lambda: driven.app.state.fleet.loaded)
        await driven.press("<")
        assert driven.app.state.past is None


@pytest.mark.requirement("state.low_bw")
async def test_a_slow_link_is_spared_at_the_next_server_and_by_command() -> None:
    known = Known()
    async with console(servers=known, low_bandwidth=True) as driven:
        await typed(driven, "ctx test")
        await arrived(driven, known, "test")
        await driven.until(lambda: known.spared == [("test", True)])
        await typed(driven, "low-bw off")
        await driven.until(lambda: known.spared == [("test", True), ("test", False)])


@pytest.mark.requirement("keys.command.context", "keys.command")
async def test_the_names_of_servers_are_completed() -> None:
    async with console(servers=Known(), contexts=("prod", "test", "local")) as driven:
        await driven.press("colon")
        await driven.press(*"ctx", "space")
        await driven.until_text("prod  test  local")
        await driven.press("t", "tab", "enter")
        await driven.until(lambda: driven.app.state.target.context == "test")


async def test_one_that_is_not_there_is_said_and_nothing_changes() -> None:
    known = Known()
    async with console(servers=known) as driven:
        await typed(driven, "ctx nope")
        await driven.until_text("known are prod, test, local")
        assert driven.app.state.target.context == "prod"
        assert driven.app.state.fleet.loaded


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.requirement("context.listed")
async def test_the_list_says_how_each_answers(size: tuple[int, int], language: str) -> None:
    known = Known()
    known.gate.clear()
    said = {"en": ("asking", "CHANGED", "live"), "zh": ("询问中", "证书已变", "实时")}[language]
    async with console(size, servers=known, language=language) as driven:
        await typed(driven, "ctx")
        await driven.until_text("test.example", said[0])
        known.gate.set()
        await driven.until_text(said[1])
        assert said[2] in driven.line_with("prod.example")
        assert "ca: /x is not a file" in driven.line_with(" broken")
        await driven.press("j", "enter")
        await arrived(driven, known, "test")


async def test_the_list_may_be_closed() -> None:
    async with console(servers=Known()) as driven:
        await typed(driven, "ctx")
        await driven.until_text("test.example")
        await driven.press("escape")
        await driven.until(lambda: driven.app.at_screen)
        assert driven.app.state.target.context == "prod"


async def test_without_other_servers_it_is_said() -> None:
    async with console() as driven:
        await typed(driven, "ctx")
        await driven.until_text("there is no other server here")
