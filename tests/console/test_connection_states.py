"""Every state of the connection, as it looks."""

import re

import pytest
from textual.color import Color

from runwatch_console.locale.words import Words
from runwatch_console.ports import Cause, Connected, Connecting, Disconnected, LossReason
from runwatch_console.widgets.virtual_list import VirtualList
from runwatch_shared.wire import ErrorFrame
from tests.console.driving import console
from tests.console.records import at, change, heartbeat, hello, snapshot, summary
from tests.console.scripted import Script

LOST = Disconnected(reason=LossReason.CLOSED, detail="connection reset by peer", retry_in_s=8)


@pytest.mark.requirement("state.first_load")
async def test_the_first_frame_is_there_and_keys_work_before_any_connection() -> None:
    async with console(fleet=False) as driven:
        assert "connecting" in driven.text
        await driven.press("2")
        assert "Runs 0 of 0" in driven.text
        await driven.press("question_mark")
        assert "Help" in driven.text


async def test_the_network_is_made_once_and_only_after_the_first_frame() -> None:
    script = Script()
    async with console(fleet=False, script=script) as driven:
        await driven.until(lambda: script.connects == 1)
        assert driven.lines[0].strip()


@pytest.mark.requirement("state.empty")
async def test_an_empty_fleet_says_how_to_make_a_run() -> None:
    async with console(fleet=False) as driven:
        driven.script.feed.say(Connected(hello=hello()), snapshot([]))
        await driven.until_text("No runs yet", "ctrl+n")
        await driven.press("2")
        await driven.until_text("No runs yet")


async def test_nothing_to_do_is_said_with_the_numbers_behind_it() -> None:
    async with console(fleet=False) as driven:
        driven.script.feed.say(Connected(hello=hello()), snapshot([summary()]))
        await driven.until_text("Nothing needs you", "19 active", "301 done today")


@pytest.mark.requirement("state.no_match")
async def test_no_match_is_said_with_the_way_out() -> None:
    async with console() as driven:
        await driven.press("2", "f", *"zzzz", "enter")
        await driven.until_text("0 of 5,140 match zzzz", "esc clears the filter")
        await driven.press("escape")
        await driven.until_text("Runs 35 of 5,140")


@pytest.mark.requirement("state.live")
async def test_live_shows_the_age_of_the_last_frame() -> None:
    async with console() as driven:
        await driven.until_text("● live 0s")
        await driven.pass_time(4)
        assert "● live 4s" in driven.text
        driven.script.feed.say(heartbeat())
        await driven.until_text("● live 0s")


@pytest.mark.requirement("rule.stale_rows")
async def test_late_dims_rows_and_makes_ages_lower_bounds() -> None:
    async with console() as driven:
        await driven.press("2")
        assert "  40m run-51aa00c" in driven.text
        await driven.pass_time(16)
        assert "LATE" in driven.lines[0]
        assert "≥40m run-51aa00c" in driven.text
        rows = driven.app.screen.query_one("#rows", VirtualList)
        muted = rows.row_style("stale").color
        told = [segment for segment in rows.render_line(3) if segment.text.strip(" >")]
        assert {segment.style and segment.style.color for segment in told} == {muted}
        driven.script.feed.say(heartbeat())
        await driven.until_text("  40m run-51aa00c")
        assert "LATE" not in driven.lines[0]


@pytest.mark.requirement("rule.stays", "state.disconnected")
async def test_a_lost_connection_keeps_the_screen_and_says_since_when_and_until_when() -> None:
    async with console() as driven:
        driven.script.feed.say(LOST)
        await driven.until_text("DISCONNECTED 0s", "retry in 8s", "r retries now")
        await driven.pass_time(3)
        bar = driven.line_with("data as of")
        assert re.search(r"DISCONNECTED 3s, data as of \d\d:\d\d:\d\d, retry in 5s", bar)
        assert "connection reset by peer" in driven.text
        assert "run-51aa00c" in driven.text
        await driven.pass_time(600)
        assert "≥9m run-51aa00c" in driven.text


@pytest.mark.requirement("rule.stays")
async def test_r_tries_again_now() -> None:
    async with console() as driven:
        driven.script.feed.say(LOST)
        await driven.until_text("retry in 8s")
        await driven.press("r")
        assert driven.script.feed.retries == 1


@pytest.mark.requirement("rule.stays", "state.caught_up")
async def test_a_resumed_connection_says_how_many_events_it_caught_up() -> None:
    async with console() as driven:
        driven.script.feed.say(LOST)
        await driven.until_text("DISCONNECTED")
        driven.script.feed.say(
            Connecting(attempt=1),
            Connected(hello=hello(resumed=True, revision=9)),
            change(upsert=[summary("run-6b02aa001122", event_count=254)], revision=9),
        )
        await driven.until_text("+214 events caught up")
        assert "DISCONNECTED" not in driven.text
        await driven.pass_time(7)
        assert "caught up" not in driven.text


async def test_a_reconnect_that_missed_nothing_counts_nothing() -> None:
    async with console() as driven:
        driven.script.feed.say(LOST)
        await driven.until_text("DISCONNECTED")
        driven.script.feed.say(
            Connecting(attempt=1),
            Connected(hello=hello(resumed=True, revision=9)),
            change(upsert=[], revision=9),
        )
        await driven.until_text(" caught up")
        assert "+0" not in driven.text


@pytest.mark.parametrize("reason", [LossReason.NEEDS_TLS, LossReason.NO_TLS])
async def test_the_wrong_scheme_is_said_with_the_address_to_use(reason: LossReason) -> None:
    async with console(fleet=False) as driven:
        driven.script.feed.say(Disconnected(reason=reason, retry_in_s=2.0))
        await driven.until_text("--server http://127.0.0.1:8080", "TLS")


@pytest.mark.requirement("rule.two_languages")
@pytest.mark.parametrize("cause", list(Cause))
async def test_what_the_console_saw_itself_is_said_in_the_language(cause: Cause) -> None:
    async with console(language="zh") as driven:
        loss = Disconnected(reason=LossReason.CLOSED, detail="in English", cause=cause)
        driven.script.feed.say(loss)
        await driven.until_text("已断开", Words("zh")(f"cause.{cause}"))
        assert "in English" not in driven.text


async def test_a_reload_is_not_called_a_resume() -> None:
    async with console() as driven:
        driven.script.feed.say(LOST, Connected(hello=hello(resumed=False)), snapshot([summary()]))
        await driven.until_text(" reloaded")


@pytest.mark.requirement("state.refused")
@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        (LossReason.UNAUTHORIZED, ["NOT LET IN (401)", "token file ~/.runwatch/token", "prod"]),
        (LossReason.FORBIDDEN, ["NOT ALLOWED (403)", "token file ~/.runwatch/token", "viewer"]),
        (LossReason.VERSION, ["ANOTHER PROTOCOL", "protocol 3 to 4", "this console speaks 1"]),
        (LossReason.UNTRUSTED_CERTIFICATE, ["CERTIFICATE NOT TRUSTED", "AA:BB:", "--ca."]),
        (LossReason.BUSY, ["SERVER BUSY"]),
        (LossReason.DEFECT, ["NOT UNDERSTOOD"]),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_each_refusal_says_what_it_is_and_what_to_do(
    reason: LossReason, parts: list[str], size: tuple[int, int]
) -> None:
    async with console(size, fleet=False) as driven:
        driven.script.feed.say(
            Connecting(attempt=1),
            Disconnected(
                reason=reason,
                retry_in_s=None,
                fingerprint=":".join(["AA", "BB"] * 16),
                server_protocol=(3, 4),
            ),
        )
        await driven.until_text(*parts)
        assert "retry in" not in driven.text
        assert "trying again" not in driven.text, "nothing tries: it waits for r"
        driven.script.feed.say(Connecting(attempt=2))
        await driven.until_text("trying again")


async def test_the_whole_fingerprint_can_be_compared_at_eighty_columns() -> None:
    fingerprint = ":".join(f"{n:02X}" for n in range(32))
    async with console((80, 24), fleet=False) as driven:
        driven.script.feed.say(
            Disconnected(reason=LossReason.UNTRUSTED_CERTIFICATE, fingerprint=fingerprint)
        )
        await driven.until_text("NOT TRUSTED")
        shown = re.findall(r"(?:[0-9A-F]{2}:)*[0-9A-F]{2}:?(?=\s)", driven.text)
        assert fingerprint in "".join(part for part in shown if len(part) > 10)


async def test_a_viewer_sees_that_it_may_only_look() -> None:
    async with console(fleet=False) as driven:
        driven.script.feed.say(Connected(hello=hello(scope="viewer")), snapshot([summary()]))
        await driven.until(lambda: driven.lines[0].rstrip().endswith("RO"))
        await driven.press("ctrl+n")
        assert "New run" not in driven.text
        await driven.until_text("read only: the credential has scope viewer")
        await driven.press("2", "ctrl+k")
        assert "Cancel this run?" not in driven.text


@pytest.mark.requirement("state.low_bw")
async def test_low_bandwidth_folds_twice_a_second_and_has_no_preview() -> None:
    async with console(low_bandwidth=True) as driven:
        assert driven.app.pace_s == 0.5
        assert driven.app.animation_level == "none"
        await driven.press("2", "j")
        await driven.pilot.pause(0.4)
        assert driven.script.run_events.opened == []
    async with console() as driven:
        assert driven.app.pace_s == 0.05


@pytest.mark.requirement("screen.breakpoints")
@pytest.mark.parametrize("size", [(59, 24), (80, 14), (20, 5)])
async def test_too_small_says_so_with_three_counts(size: tuple[int, int]) -> None:
    async with console(size) as driven:
        text = " ".join(driven.text.split())
        assert "too small" in text
        if size[0] >= 40:
            assert "7 run" in text
            assert "3 WAIT" in text
            assert "1 STALL" in text


@pytest.mark.requirement("screen.breakpoints")
@pytest.mark.parametrize(
    ("width", "preview", "facts"), [(60, False, False), (99, False, False), (100, True, False),
                                    (159, True, False), (160, True, True)]
)  # fmt: skip
async def test_panes_come_with_the_width(width: int, preview: bool, facts: bool) -> None:
    async with console((width, 40)) as driven:
        await driven.press("2")
        assert driven.app.screen.query_one("Preview").display is preview
        assert driven.app.screen.query_one("#side-facts").display is facts


@pytest.mark.requirement("screen.breakpoints")
async def test_every_screen_fits_every_size() -> None:
    async with console() as driven:
        for key in "1234567":
            await driven.press(key)
            for size in [(60, 15), (80, 24), (200, 60), (120, 40)]:
                await driven.pilot.resize_terminal(*size)
                await driven.pilot.pause()
                assert len(driven.lines) == size[1]
                assert driven.lines[0].startswith(" prod ● live")
                assert "? help" in driven.lines[-1]


@pytest.mark.requirement("rule.glyph_word_colour")
async def test_without_colour_the_cursor_and_every_state_are_still_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console((80, 24)) as driven:
        assert driven.app.no_color
        assert driven.cursor_line.startswith(">◐ WAIT")
        assert "↻ LOOP" in driven.text
        filters = driven.app.get_line_filters()
        rows = driven.app.screen.query_one("#rows", VirtualList)
        for line in range(5):
            strip = rows.render_line(line)
            for each in filters:
                strip = strip.apply_filter(each, Color(0, 0, 0))
            for segment in strip:
                assert segment.style is not None
                assert segment.style.color is None or segment.style.color.is_default
                assert segment.style.bgcolor is None or segment.style.bgcolor.is_default
            assert any(s.style.reverse for s in strip if s.style) is (line == rows.cursor)


async def test_a_terminal_without_utf_8_gets_ascii_alone() -> None:
    async with console((80, 24), ascii_only=True) as driven:
        for key in "1236":
            await driven.press(key)
            assert driven.text.isascii(), [c for c in driven.text if not c.isascii()]
        await driven.press("1")
        assert "? WAIT" in driven.text
        assert "@ LOOP" in driven.text


@pytest.mark.requirement("rule.two_languages")
async def test_chinese_is_spoken_on_every_screen() -> None:
    async with console(language="zh") as driven:
        assert "需要你" in driven.text
        for key, word in [
            ("2", "排序"),
            ("4", "在线"),
            ("5", "登录"),
            ("6", "运行中"),
            ("7", "任务"),
        ]:
            await driven.press(key)
            assert word in driven.text


@pytest.mark.requirement("state.live", "told.server_time")
async def test_ages_go_by_the_servers_clock() -> None:
    row = summary("run-1", age_s=600, waiting=None)
    async with console(fleet=False) as driven:
        driven.script.feed.say(Connected(hello=hello()), snapshot([row], server_time=at(-300)))
        await driven.press("2")
        await driven.until_text("14m run-1")


async def test_what_the_server_refuses_on_the_feed_is_said() -> None:
    async with console() as driven:
        driven.script.feed.say(ErrorFrame(code="invalid_value", error="no such topic"))
        await driven.until_text("the server refused", "invalid_value: no such topic")
        assert "● live" in driven.text
