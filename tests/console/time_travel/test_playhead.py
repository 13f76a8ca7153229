"""The playhead's time, and what the two lines of a replay say."""

import math

from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.locale.words import Words
from runwatch_console.replay.playhead import SPEEDS, Playhead
from runwatch_console.replay.scrubline import (
    Standing,
    banner_spans,
    cell_of,
    moment_of,
    scrub_spans,
    span_text,
)


class Room:
    """The room's clock."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_it_runs_at_its_speed_stands_while_paused_and_ends_at_the_end() -> None:
    room = Room()
    playhead = Playhead(100.0, speed=4.0, monotonic=room)
    room.now_s += 2
    assert playhead.position_s == 8.0
    assert playhead.wait_s(12.0) == 1.0
    playhead.set_paused(True)
    room.now_s += 50
    assert playhead.position_s == 8.0
    assert playhead.wait_s(12.0) is None
    assert playhead.wait_s(8.0) == 0.0
    playhead.set_paused(False)
    room.now_s += 1
    assert playhead.position_s == 12.0
    room.now_s += 1_000
    assert playhead.position_s == 100.0
    assert playhead.ended


def test_a_change_of_speed_does_not_move_it() -> None:
    room = Room()
    playhead = Playhead(1_000.0, monotonic=room)
    room.now_s += 10
    for step in (1, 1, 1, -1, -1, -1, -1, -1):
        playhead.faster(step)
        assert playhead.position_s == 10.0
    assert playhead.speed == SPEEDS[0]
    for _ in range(20):
        playhead.faster(1)
    assert math.isinf(playhead.speed)
    assert playhead.position_s == 10.0
    playhead.faster(-1)
    assert playhead.speed == 64.0


def test_at_the_highest_speed_it_is_where_it_was_played_to() -> None:
    playhead = Playhead(100.0, speed=math.inf)
    assert playhead.wait_s(50.0) == 0.0
    playhead.reach(50.0)
    assert playhead.position_s == 50.0
    playhead.reach(40.0)
    assert playhead.position_s == 50.0


@given(st.floats(0, 1), st.floats(0.1, 1e6), st.integers(60, 300))
def test_pointing_at_the_knob_goes_where_it_stands(share: float, length: float, width: int) -> None:
    cell = cell_of(share * length, length, width - 2)
    back = moment_of(cell + 1, length, width)
    assert abs(back - share * length) <= length / max(1, width - 3) / 2 + 1e-6 * length
    assert 0 <= moment_of(0, length, width) <= moment_of(width, length, width) <= length


def standing(**more: object) -> Standing:
    facts: dict[str, object] = {
        "position_s": 50.0, "length_s": 100.0, "began_s": 0.0, "speed": 4.0, "paused": True,
    }  # fmt: skip
    return Standing(**(facts | more))  # type: ignore[arg-type]


def test_the_line_shows_where_it_stands_and_where_runs_failed_or_waited() -> None:
    spans = scrub_spans(standing(), [(0.0, "waiting"), (100.0, "failed"), (100.0, "waiting")], 23)
    assert "".join(text for text, _ in spans) == " ◐─────────●─────────✕ "


def test_the_banner_says_speed_and_whether_it_stands() -> None:
    words = Words("en")
    left, right = banner_spans(standing(), words, name="f", ascii_only=False)
    assert "×4 ▮▮" in left[0][0]
    assert right[-1][0] == "0:50 / 1:40 "
    left, _ = banner_spans(standing(paused=False), words, name="f", ascii_only=True)
    assert "×4 >" in left[0][0]
    left, _ = banner_spans(
        standing(position_s=100.0, paused=False), words, name="f", ascii_only=False
    )
    assert left[-1][0] == " END "
    assert span_text(8_047) == "2:14:07"
