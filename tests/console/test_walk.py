"""Walking through a list at the server page by page."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.rows import RunRow, run_row
from runwatch_console.walk import Ask, Side, Taken, Walk
from tests.console.records import summary

ROWS = [run_row(summary(f"run-{number:012x}")) for number in range(40)]
PAGE = 4


class Listing:
    """A server's list, in pages whose cursor is the number of rows before them."""

    def __init__(self, rows: Sequence[RunRow], *, from_tail: bool = False) -> None:
        self.rows = list(reversed(rows)) if from_tail else list(rows)
        self.asked: list[str | None] = []

    def answer(self, walk: Walk, ask: Ask) -> Taken:
        self.asked.append(ask.cursor)
        start = int(ask.cursor or 0)
        end = start + PAGE
        more = str(end) if end < len(self.rows) else None
        return walk.take(ask, self.rows[start:end], more)

    def step(self, walk: Walk, side: Side) -> Taken | None:
        ask = walk.ask(side)
        return None if ask is None else self.answer(walk, ask)


def ids(rows: Sequence[RunRow]) -> list[str]:
    return [row.id for row in rows]


@given(
    st.booleans(),
    st.integers(0, len(ROWS)),
    st.lists(st.sampled_from(["above", "below"]), max_size=60),
)
def test_the_window_is_always_one_piece_of_the_list_and_never_too_large(
    from_tail: bool, count: int, sides: list[Side]
) -> None:
    rows = ROWS[:count]
    walk = Walk({}, from_tail=from_tail, most_pages=3)
    listing = Listing(rows, from_tail=from_tail)
    known: set[str] = set()
    for side in sides:
        taken = listing.step(walk, side)
        if taken is not None:
            known = (known | set(ids(taken.came))) - set(taken.gone)
        held = ids(list(walk.held()))
        assert len(held) <= 3 * PAGE
        assert set(held) == set(walk.rows) == known
        if not walk.begun:
            continue
        first = ids(rows).index(held[0]) if held else 0
        assert held == ids(rows)[first : first + len(held)]
        assert walk.more("above") == (first > 0)
        assert walk.more("below") == (first + len(held) < len(rows))


def test_all_rows_come_by_going_on_each_once() -> None:
    walk, listing, seen = Walk({}, most_pages=2), Listing(ROWS), []
    while (taken := listing.step(walk, "below")) is not None:
        seen += ids(taken.came)
    assert seen == ids(ROWS)
    assert len(set(listing.asked)) == len(listing.asked)


def test_no_page_is_asked_for_while_one_is_under_way() -> None:
    walk, listing = Walk({}), Listing(ROWS)
    ask = walk.ask("below")
    assert ask is not None
    assert walk.ask("below") is None
    assert walk.ask("above") is None
    listing.answer(walk, ask)
    assert walk.ask("below") == Ask(1, str(PAGE))


def test_a_page_that_was_let_go_is_had_again_by_its_own_cursor() -> None:
    walk, listing = Walk({}, most_pages=2), Listing(ROWS)
    for _ in range(4):
        listing.step(walk, "below")
    assert ids(list(walk.held())) == ids(ROWS[8:16])
    listing.step(walk, "above")
    assert listing.asked[-1] == "4"
    assert ids(list(walk.held())) == ids(ROWS[4:12])
    assert walk.more("below")
    listing.step(walk, "below")
    assert ids(list(walk.held())) == ids(ROWS[8:16])


def test_after_a_failure_nothing_is_asked_for_until_it_is_tried_again() -> None:
    walk = Walk({})
    assert walk.ask("below") is not None
    walk.refused("store gone")
    assert walk.ask("below") is None
    walk.problem = ""
    assert walk.ask("below") == Ask(0, None)


def test_the_outermost_rows_are_those_of_the_list() -> None:
    for from_tail in (False, True):
        walk, listing = Walk({}, from_tail=from_tail), Listing(ROWS[:10], from_tail=from_tail)
        while listing.step(walk, "above" if from_tail else "below") is not None:
            pass
        assert walk.edge_row("above") == ROWS[0]
        assert walk.edge_row("below") == ROWS[9]


def test_a_row_that_is_no_more_is_not_held() -> None:
    walk, listing = Walk({}), Listing(ROWS)
    listing.step(walk, "below")
    assert walk.forget(ROWS[1].id)
    assert not walk.forget(ROWS[1].id)
    assert ROWS[1].id not in walk.rows
