"""Whatever happens to a run in whatever order: its flag is what its whole history says."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_server import sweeper
from runwatch_server.rows import RunRow
from tests.server.domain.making import SECOND_US
from tests.server.fleet.harbour import Harbour

MINUTE_US = 60 * SECOND_US

PASSING = st.tuples(st.just("pass"), st.sampled_from([1, 50, 200, 300, 601, 1000, 2700, 3600]))
CALLING = st.tuples(st.just("call"), st.integers(0, 2))
STEPS = st.lists(
    st.one_of(
        PASSING,
        CALLING,
        CALLING,
        st.tuples(st.sampled_from(["place", "say", "result", "orphan", "beat"]), st.just(0)),
        st.tuples(st.sampled_from(["ask", "answer"]), st.integers(0, 2)),
        st.tuples(st.just("end"), st.just(0)),
    ),
    max_size=40,
)


@dataclass
class History:
    """Everything that happened to one run, and the flag that follows from all of it."""

    created_us: int
    begun_us: int | None = None
    ended: bool = False
    active_us: int = 0
    calls: list[object] = field(default_factory=list)
    """Each call's tool and input; a call known by its result only is like no other."""
    open_calls: list[str] = field(default_factory=list)
    waits: list[tuple[str | None, int]] = field(default_factory=list)
    """The id and beginning of the open ones, oldest first."""
    waiting_us: list[tuple[int, int]] = field(default_factory=list)
    """Spans in which any wait was open."""
    since_us: int = 0
    """Since when there was always a wait open."""

    def flag(self, now_us: int) -> str:
        if self.ended:
            return "ok"
        if self.begun_us is None:
            return "stuck_queued" if now_us - self.created_us >= 10 * MINUTE_US else "ok"
        if self.waits:
            return "waiting_long" if now_us - self.waits[0][1] >= 60 * MINUTE_US else "ok"
        if self.calls and Counter(self.calls[-12:]).most_common(1)[0][1] >= 4:
            return "looping"
        if not self.open_calls and now_us - max(self.active_us, self.begun_us) >= 5 * MINUTE_US:
            return "stalled"
        waited_us = sum(until - since for since, until in self.waiting_us)
        return "slow" if now_us - self.begun_us - waited_us >= 45 * MINUTE_US else "ok"

    def close(self, now_us: int, wait_id: str | None) -> None:
        """End the waits of this id."""
        kept = [wait for wait in self.waits if wait[0] != wait_id]
        if self.waits and not kept:
            self.waiting_us.append((self.since_us, now_us))
        self.waits = kept

    def ask(self, now_us: int, wait_id: str | None) -> None:
        if not self.waits:
            self.since_us = now_us
        self.waits.append((wait_id, now_us))


class Life:
    """One run in a store, and its history beside it."""

    def __init__(self, harbour: Harbour) -> None:
        self.harbour = harbour
        harbour.beat()
        self.run: RunRow = harbour.queued_run(type="claude-code")
        self.history = History(created_us=harbour.now_us)
        self.made = 0
        self.held = False

    def do(self, what: str, number: int) -> None:
        if what == "pass":
            self.harbour.wait(number)
            self.harbour.write(
                lambda tx: sweeper.sweep(tx, settings=self.harbour.settings, amnesty=True)
            )
        elif what == "place":
            if not self.held:
                self.harbour.beat()
                self.held = self.harbour.place() == 1
                self.harbour.claim(self.run)
        elif self.held and not self.history.ended:
            self.event(what, number)

    def event(self, what: str, number: int) -> None:
        now_us, history = self.harbour.now_us, self.history
        if history.begun_us is None:
            history.begun_us = now_us
        if what != "beat":
            history.active_us = now_us
        if what in {"say", "call", "result", "orphan"}:
            history.close(now_us, None)
        acts: dict[str, Callable[[int], None]] = {
            "beat": lambda number: self.append("heartbeat"),
            "say": lambda number: self.append("message", role="assistant", content="hello"),
            "call": self.call,
            "result": self.result,
            "orphan": self.orphan,
            "ask": self.ask,
            "answer": self.answer,
            "end": self.end,
        }
        acts[what](number)

    def call(self, number: int) -> None:
        self.made += 1
        self.history.open_calls.append(f"c{self.made}")
        self.history.calls.append(number)
        path = {"file": str(number)}
        self.append("tool_use_start", id=f"c{self.made}", tool="Read", input=path)

    def result(self, number: int) -> None:
        if self.history.open_calls:
            self.append("tool_result", id=self.history.open_calls.pop(0), tool="Read", success=True)
        else:
            self.orphan(number)

    def ask(self, number: int) -> None:
        """Number 0 asks without an id."""
        wait_id = f"w{number}" if number else None
        self.history.ask(self.harbour.now_us, wait_id)
        named = {} if wait_id is None else {"id": wait_id}
        self.append("approval_request", action="push", **named)

    def end(self, number: int) -> None:
        self.history.ended = True
        self.append("run_completed", status="done")

    def answer(self, number: int) -> None:
        wait_id = f"w{number}"
        self.history.close(self.harbour.now_us, wait_id)
        self.append("approval_response", id=wait_id, approved=True)

    def orphan(self, number: int) -> None:
        self.made += 1
        self.history.calls.append(f"result {self.made}")
        self.append("tool_result", id=f"c{self.made}", tool="Read", success=True)

    def append(self, kind: str, **payload: Any) -> None:
        self.harbour.append(self.run, kind, epoch=1, **payload)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_the_flag_is_what_the_whole_history_says(steps: list[tuple[str, int]]) -> None:
    harbour = Harbour()
    try:
        life = Life(harbour)
        since_us: int | None = None
        previous = "ok"
        for what, number in steps:
            life.do(what, number)
            row = harbour.run(life.run.id)
            expected = life.history.flag(harbour.now_us)
            assert row.health == expected, (what, number)
            if expected != previous:
                since_us = None if expected == "ok" else harbour.now_us
                previous = expected
            assert row.health_since_us == since_us
            assert (row.health_reason is None) == (expected == "ok")
    finally:
        harbour.store.close()
