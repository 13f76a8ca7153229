"""Rewind: the fleet of any kept revision comes back as it was, live goes on, nothing is written."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.locale.words import Words
from runwatch_console.ports import Disconnected, LossReason
from runwatch_console.rewind import Rewind
from runwatch_console.state import ConsoleState, Preferences
from runwatch_shared.wire import HeartbeatFrame, ResyncFrame
from tests.console import records
from tests.console.driving import console
from tests.console.scripted import TARGET
from tests.console.time_travel.stories import moment


def said(fleet: Fleet) -> dict[str, Any]:
    """All that a screen shows of a fleet."""
    return {
        name: getattr(fleet, name)
        for name in ("runs", "nodes", "looks", "stats", "total", "revision", "server_s", "loaded")
    }


def fresh() -> ConsoleState:
    return ConsoleState(target=TARGET, preferences=Preferences(words=Words("en")))


_IDS = [f"run-{n:012d}" for n in range(6)]
_STATUSES = ["queued", "running", "done", "failed"]
changes = st.tuples(
    st.just("change"),
    st.lists(st.tuples(st.sampled_from(_IDS), st.sampled_from(_STATUSES)), max_size=4),
    st.lists(st.sampled_from(_IDS), max_size=2),
    st.lists(st.sampled_from(["n1", "n2"]), max_size=1),
)
snapshots = st.tuples(
    st.just("snapshot"), st.lists(st.sampled_from(_IDS), max_size=6, unique=True), st.booleans()
)
others = st.tuples(st.just("other"), st.sampled_from(["heartbeat", "resync"]))


def frame_of(step: tuple[Any, ...], revision: int) -> Any:
    time = moment(revision)
    match step:
        case ("change", upserts, removals, nodes):
            rows = [records.summary(run, status, revision=revision) for run, status in upserts]
            return records.change(
                rows,
                removals,
                [records.node(name, revision=revision) for name in nodes],
                previous=revision - 1,
                revision=revision,
                server_time=time,
            )
        case ("snapshot", ids, last):
            rows = [records.summary(run) for run in ids]
            return records.snapshot(
                rows, last=last, revision=revision, server_time=time, total=len(ids)
            )
        case ("other", "heartbeat"):
            return HeartbeatFrame(revision=revision, server_time=time)
    return ResyncFrame(reason="lagging", revision=revision, server_time=time)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(changes, changes, changes, snapshots, others), max_size=25))
def test_rewinding_to_any_revision_gives_the_fleet_that_was_folded_then(steps: list[Any]) -> None:
    rewind, state, after = Rewind(), fresh(), Fleet()
    kept: list[dict[str, Any]] = []
    for revision, step in enumerate([("snapshot", _IDS[:3], True), *steps], start=1):
        before = rewind.live(state).fleet
        if before.loaded:
            kept.append(said(before))
        after = fold(before, [frame_of(step, revision)])
        state = rewind.noted(
            before, ConsoleState(target=state.target, preferences=state.preferences, fleet=after)
        )
    assert [said(rewind.fleet_before(number)) for number in range(len(kept))] == kept
    for number, was in enumerate(kept):
        shown = rewind.at(state, records.NOW_S + number + 1)
        assert said(shown.fleet) == was
        assert said(rewind.live(shown).fleet) == said(after)
        assert said(rewind.returned(shown).fleet) == said(after)


def folded(rewind: Rewind, state: ConsoleState, *frames: Any) -> ConsoleState:
    live = rewind.live(state)
    after = fold(live.fleet, frames)
    return rewind.noted(
        live.fleet, ConsoleState(target=live.target, preferences=live.preferences, fleet=after)
    )


def changing(count: int, rewind: Rewind) -> ConsoleState:
    state = folded(rewind, fresh(), records.snapshot([records.summary()], server_time=moment(0)))
    for n in range(1, count):
        row = records.summary(activity_text="x" * 100, revision=n)
        frame = records.change([row], previous=n - 1, revision=n, server_time=moment(n))
        state = folded(rewind, state, frame)
    return state


def test_what_is_kept_is_bounded_by_bytes_and_by_minutes() -> None:
    small = Rewind(kept_bytes=100_000)
    changing(1_000, small)
    assert small.size_bytes <= 100_000
    assert 20 < len(small.revisions) < 100
    short = Rewind(kept_s=60)
    changing(1_000, short)
    assert len(short.revisions) == 60


def test_going_back_beyond_what_is_kept_stops_at_the_oldest() -> None:
    rewind = Rewind(kept_s=60)
    state = changing(200, rewind)
    shown = rewind.stepped(state, -1e6)
    assert shown.past is not None
    assert shown.past.at_s == shown.past.oldest_s == rewind.oldest_s
    assert shown.fleet.revision == 139
    assert rewind.stepped(shown, 1e6).past is None


def live_revision(driven: Any) -> int:
    """Of the fleet that goes on behind the one that is shown."""
    return int(driven.app._feeding.rewind.live(driven.app.state).fleet.revision)


async def rewound(driven: Any) -> None:
    """Ten changes, one a second, of which the last makes a run fail; then back by ten seconds."""
    for second in range(1, 13):
        driven.clock.now_s += 1
        status = "failed" if second >= 8 else "running"
        row = records.summary(
            "run-8f21a0c4d2e1",
            status,
            name="fix-auth",
            activity_text=f"second {second}",
            revision=second + 1,
        )
        driven.script.feed.say(
            records.change([row], previous=second, revision=second + 1, server_time=moment(second))
        )
        await driven.until(lambda: driven.app.state.fleet.revision == second + 1)  # noqa: B023
    await driven.press("2")


@pytest.mark.parametrize(("language", "word"), [("en", "REWIND"), ("zh", "回看")])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
@pytest.mark.requirement("state.rewind")
async def test_less_than_shows_the_fleet_of_before_under_an_unmistakable_banner(
    language: str, word: str, size: tuple[int, int]
) -> None:
    async with console(size, language=language) as driven:
        await rewound(driven)
        await driven.press("<")
        await driven.until_text(word, "10s")
        assert driven.app.state.fleet.runs["run-8f21a0c4d2e1"].status == "running"
        assert driven.app.state.fleet.revision == 3
        await driven.press(">")
        await driven.until_no_text(word)
        assert driven.app.state.fleet.runs["run-8f21a0c4d2e1"].status == "failed"


async def test_live_goes_on_while_the_past_is_shown_and_escape_returns() -> None:
    async with console() as driven:
        await rewound(driven)
        await driven.press("<")
        await driven.until_text("REWIND 10:31:24")
        driven.clock.now_s += 8
        driven.script.feed.say(
            records.change(
                [records.summary("run-new000000001", name="newcomer")],
                revision=14,
                previous=13,
                server_time=moment(20),
            )
        )
        await driven.until(lambda: live_revision(driven) == 14)
        await driven.pass_time(0)
        await driven.until_text("−18s")
        assert "newcomer" not in driven.text
        await driven.press("escape")
        await driven.pass_time(2)
        await driven.until_text("newcomer")
        assert "REWIND" not in driven.text


async def test_ages_stand_still_in_the_past() -> None:
    async with console() as driven:
        await rewound(driven)
        await driven.press("<")
        await driven.until_text("REWIND")
        at_s = driven.app.state.server_now_s
        await driven.pass_time(5)
        assert driven.app.state.server_now_s == at_s
        await driven.until_text("−15s")


async def test_nothing_is_written_from_the_past() -> None:
    async with console() as driven:
        await rewound(driven)
        await driven.press("<")
        await driven.until_text("REWIND")
        await driven.press("ctrl+k")
        await driven.until_text("the console shows the past")
        await driven.press("ctrl+n")
        assert driven.app.screen is driven.app.console_screen
        assert driven.script.api.asked("cancel_run") == []


async def test_a_loss_is_said_in_the_past_too() -> None:
    async with console() as driven:
        await rewound(driven)
        await driven.press("<")
        await driven.until_text("REWIND")
        driven.script.feed.say(Disconnected(reason=LossReason.CLOSED, retry_in_s=3.0))
        await driven.until_text("REWIND", "DISCONNECTED")
        assert driven.app.state.past is not None


async def test_what_is_not_kept_is_said() -> None:
    async with console() as driven:
        await driven.press("<")
        await driven.until_text("nothing is kept yet")
        await rewound(driven)
        await driven.press("{", "{")
        await driven.until_text("nothing older is kept", "REWIND 10:31:22")
        await driven.press("0")
        await driven.until_no_text("REWIND")
