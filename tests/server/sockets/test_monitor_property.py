"""Whatever happens in whatever order, each client's fold is what the HTTP list answered.

That is at the revision of every frame, and its count is the list's total. What this guards was
checked by breaking it and seeing these tests fail: a group that does not look at the row before
(rows that stop matching stay); a slow client whose cursor passes a part it did not take; one that
is left behind as if it had what it did not take; a catch-up that leaves the tombstones out; a
snapshot older than the last flush taken for as new; `entered` and `left` counted from the flush
instead of from the client's own place.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runwatch_server.fanout import changes, snapshots
from runwatch_server.fanout.frames import frame_of
from runwatch_server.fanout.groups import Viewer
from runwatch_server.fanout.subscriptions import Subscription, subscription_of
from runwatch_server.hub import Hub
from runwatch_server.rows import WaitRow
from runwatch_shared.settings import Limits, ServerSettings
from runwatch_shared.wire import HelloFrame, SubscribeFrame, Topic, WorkflowFilter
from tests.server.sockets import listing
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.folding import Client, Truth
from tests.server.sockets.peers import VIEWER, FakeWire, HeldReader
from tests.server.sockets.virtual import VirtualLoop

MAILBOX_ROWS = 4
FILTERS = (
    WorkflowFilter(),
    WorkflowFilter(status=["running"]),
    WorkflowFilter(state=["completed", "failed"]),
    WorkflowFilter(labels={"team": None}, active=True),
    WorkflowFilter(q="job 1"),
    WorkflowFilter(type=["auth"]),
    WorkflowFilter(waiting=True, health=["ok", "looping"]),
    WorkflowFilter(node=["n1"], until="2100-01-01T00:00:00Z", agent_type=["claude-code"]),
)
SORTS = ("-attention", "update_time", "-tool_failures", "name", "-cost_usd", "duration_ms")
NODES = ("n1", "n2")
TOPICS: tuple[list[Topic], ...] = (
    ["workflows", "nodes", "tasks", "stats", "accounts"],
    ["workflows", "nodes", "tasks", "stats", "accounts"],
    ["workflows", "stats"],
)
WAIT = WaitRow(kind="approval", since_us=1, prompt="go on?", seq=1)
STATES: tuple[dict[str, Any], ...] = (
    {"status": "running", "node_id": "n1"},
    {"status": "done", "wait": None},
    {"status": "queued", "labels": {"team": "a"}},
    {"status": "running", "labels": {}},
    {"tool_calls": 7, "tool_failures": 3},
    {"status": "running", "wait": WAIT, "health": "looping"},
    {"status": "running", "wait": None, "node_silent": True},
)


WORKS = ("make", "change", "change", "append", "delete", "task", "untask", "beat", "leave")


class Seat:
    """One client's socket."""

    def __init__(self, client: Client, wire: FakeWire, viewer: Viewer) -> None:
        self.client = client
        self.wire = wire
        self.viewer = viewer
        self.joining = True


class Monitoring(RuleBasedStateMachine):
    """Commits, publishing, time, reads of the store, and clients fast and slow."""

    part_rows: ClassVar[int] = 500

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.fleet = Fleet()
        self.reader = HeldReader(self.fleet.store)
        self.seats: list[Seat] = []
        self.gone: list[Client] = []
        self.subs = 0
        self.tasks: set[Any] = set()
        self.limits = Limits(mailbox_rows=MAILBOX_ROWS)
        self.truths: dict[int, list[Truth]] = {}
        self.hub = self.loop.finish(self.new_hub())
        self.note()

    async def new_hub(self) -> Hub:
        return Hub(
            reader=self.reader,
            projection=self.fleet.projection,
            clock=self.fleet.clock,
            settings=ServerSettings(limits=self.limits),
            store_id=self.fleet.store.store_id,
            version="0",
        )

    def note(self) -> None:
        """What the lists answer now."""
        fleet = self.fleet
        if fleet.revision in self.truths:
            return
        nodes, tasks = listing.nodes(fleet), listing.tasks(fleet)
        self.truths[fleet.revision] = [
            Truth({row.id: row for row in found.workflows}, found.total, nodes, tasks)
            for found in (listing.workflows(fleet, wanted) for wanted in FILTERS)
        ]

    def write(self, *works: object) -> None:
        self.fleet.write(*works)
        self.note()

    @initialize(runs=st.integers(0, 6))
    def begin(self, runs: int) -> None:
        if runs:
            self.write(*(self.fleet.making(**STATES[n % 3]) for n in range(runs)))
            self.publish()

    @rule(
        works=st.lists(
            st.tuples(st.sampled_from(WORKS), st.integers(0, 9)),
            min_size=1,
            max_size=5,
        ),
        prompt=st.booleans(),
    )
    def commit(self, works: list[tuple[str, int]], prompt: bool) -> None:
        fleet = self.fleet
        known = sorted(fleet.runs)
        made = []
        for kind, number in works:
            state = STATES[number % len(STATES)]
            run_id = known[number % len(known)] if known else ""
            making: dict[str, Callable[[], object]] = {
                "make": partial(fleet.making, **state),
                "change": partial(fleet.changing, run_id, **state),
                "append": partial(fleet.appending, run_id, 2),
                "delete": partial(fleet.deleting, run_id),
                "task": partial(fleet.tasking, number),
                "untask": partial(fleet.untasking, number),
                "beat": partial(fleet.beating, NODES[number % 2]),
                "leave": partial(fleet.leaving, NODES[number % 2]),
            }
            made.append(making[kind]())
        self.write(*made)
        if prompt:
            while fleet.unpublished:
                self.publish()
            self.wait(0.06)

    @rule()
    def publish(self) -> None:
        commit = self.fleet.next_published()
        if commit is not None:
            self.within(lambda: self.hub.publish(commit))
        self.read_all()

    @rule(seconds=st.sampled_from((0.01, 0.06, 1.1)))
    def wait(self, seconds: float) -> None:
        self.fleet.clock.advance(seconds)
        self.loop.pass_time(seconds)
        self.read_all()

    @rule()
    def beat(self) -> None:
        self.within(self.hub.monitor.heartbeat)
        self.read_all()

    @rule()
    def serve(self) -> None:
        while self.reader.waiting:
            self.look()
            self.answer()

    @rule()
    def look(self) -> None:
        self.reader.look()

    @rule()
    def answer(self) -> None:
        self.within(self.reader.answer)
        self.read_all()

    @precondition(lambda self: len(self.seats) < 5)
    @rule(
        wanted=st.integers(0, len(FILTERS) - 1),
        sort=st.sampled_from(SORTS),
        limit=st.sampled_from((1000, 1000, 2)),
        room=st.sampled_from((1, 1_000_000)),
        prompt=st.booleans(),
    )
    def connect(self, wanted: int, sort: str, limit: int, room: int, prompt: bool) -> None:
        client = Client(
            self.subscription(wanted, sort, limit),
            *self.truth_of(wanted, sort),
            strict=self.part_rows == 500,
        )
        self.seat(client, room, since=None)
        if prompt:
            self.serve()

    @rule()
    def restart(self) -> None:
        """Another server over the same store; what the first had not told is in the store."""
        for seat in self.seats:
            seat.client.read(seat.wire)
            seat.wire.close(1001)
            self.gone.append(seat.client)
        self.seats.clear()
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()
        self.loop.finish(self.hub._owner.stop())
        self.fleet.restart()
        self.reader = HeldReader(self.fleet.store)
        self.hub = self.loop.finish(self.new_hub())

    @rule()
    def forget(self) -> None:
        """Who was away for longer than tombstones live starts over."""
        self.fleet.clock.advance(1)
        self.write(self.fleet.forgetting())

    @precondition(lambda self: self.gone and len(self.seats) < 5)
    @rule(room=st.sampled_from((1, 3, 1_000_000)), prompt=st.booleans())
    def resume(self, room: int, prompt: bool) -> None:
        client = self.gone.pop()
        self.seat(client, room, since=client.resumable)
        if prompt:
            self.serve()

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 4))
    def disconnect(self, which: int) -> None:
        seat = self.seats.pop(which % len(self.seats))
        seat.client.read(seat.wire)
        self.within(lambda: self.hub.monitor.leave(seat.viewer))
        seat.wire.close(1006)
        self.gone.append(seat.client)

    @precondition(lambda self: self.seats)
    @rule(
        which=st.integers(0, 4),
        wanted=st.integers(0, len(FILTERS) - 1),
        sort=st.sampled_from(SORTS),
    )
    def subscribe(self, which: int, wanted: int, sort: str) -> None:
        seat = self.seats[which % len(self.seats)]
        if seat.joining:
            return
        seat.client.subscription = self.subscription(wanted, sort, 1000)
        seat.client.truth, seat.client.order = self.truth_of(wanted, sort)
        self.within(lambda: self.hub.monitor.subscribe(seat.viewer, seat.client.subscription))
        seat.client.complete = False
        seat.client.revision = seat.client.resumable = None
        self.read_all()

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 4), room=st.sampled_from((1, 2, 1_000_000)))
    def drain(self, which: int, room: int) -> None:
        seat = self.seats[which % len(self.seats)]
        self.within(lambda: seat.wire.give_room(room))
        self.read_all()

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 4), times=st.integers(1, 3))
    def stall(self, which: int, times: int) -> None:
        """Nearly always more rows than a mailbox holds, for one who was up to date."""
        seat = self.seats[which % len(self.seats)]
        self.within(lambda: seat.wire.give_room(1000))
        self.serve()
        seat.wire.room = 0
        for time in range(times):
            changed = [("change", 3 * time + row) for row in range(3)]
            self.commit([*changed, ("make", 0), ("make", time)], prompt=True)

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 4), steps=st.integers(1, 3))
    def crawl(self, which: int, steps: int) -> None:
        """A frame at a time, while more changes."""
        seat = self.seats[which % len(self.seats)]
        self.within(lambda: seat.wire.give_room(1000))
        self.serve()
        seat.wire.room = 0
        self.commit([("make", 0)] * (MAILBOX_ROWS - 1), prompt=True)
        for step in range(steps):
            self.within(lambda: seat.wire.give_room(1))
            self.read_all()
            self.commit([("change", step)], prompt=True)

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 4), number=st.integers(0, 9), again=st.booleans())
    def miss(self, which: int, number: int, again: bool) -> None:
        """Something goes while a client is away that was up to date."""
        seat = self.seats[which % len(self.seats)]
        self.within(lambda: seat.wire.give_room(1000))
        self.serve()
        self.commit([("make", 0), ("beat", number), ("task", 0)], prompt=True)
        self.beat()
        self.disconnect(which)
        gone = [("delete", number), ("leave", number), ("untask", number)]
        self.commit(gone, prompt=again)
        if again:
            self.commit([("beat", number)], prompt=True)
        self.resume(room=1_000_000, prompt=True)

    def teardown(self) -> None:
        try:
            while self.fleet.unpublished:
                self.publish()
            for _ in range(40):
                for seat in self.seats:
                    self.within(lambda seat=seat: seat.wire.give_room(1_000_000))
                self.look()
                self.answer()
                self.wait(0.06)
            assert not self.reader.waiting
            self.beat()
            for seat in self.seats:
                assert seat.client.complete
                assert seat.client.revision == self.fleet.revision
                seat.client.compare(self.fleet.revision)
        finally:
            for task in self.tasks:
                task.cancel()
            self.loop.finish(self.hub._owner.stop())
            self.loop.close()
            self.fleet.close()

    # What rules are made of

    def subscription(self, wanted: int, sort: str, limit: int) -> Subscription:
        self.subs += 1
        # Most share a group, some of those an id, as clients with the same subscription do.
        frame = SubscribeFrame(
            id=self.subs % 3,
            filter=FILTERS[wanted],
            topics=TOPICS[self.subs % len(TOPICS)],
            sort=sort,
            limit=limit,
        )
        return subscription_of(frame, self.limits, self.fleet.clock.now_us())

    def truth_of(
        self, wanted: int, sort: str
    ) -> tuple[Callable[[int], Truth], Callable[[int], list[str] | None]]:
        def order(revision: int) -> list[str] | None:
            if revision != self.fleet.revision:
                return None
            found = listing.workflows(self.fleet, FILTERS[wanted], sort=sort)
            return [row.id for row in found.workflows]

        return lambda revision: self.truths[revision][wanted], order

    def seat(self, client: Client, room: int, since: int | None) -> None:
        wire = FakeWire(room)
        viewer = Viewer(wire, VIEWER, client.subscription)
        seat = Seat(client, wire, viewer)
        client.connected()

        async def join() -> None:
            resumed = await self.hub.monitor.join(
                viewer, since=since, store=self.fleet.store.store_id
            )
            self.hub.monitor.begin(viewer, hello(self.fleet, resumed=resumed))
            seat.joining = False

        self.seats.append(seat)
        self.within(lambda: self.tasks.add(self.loop.create_task(join())))
        self.read_all()

    def within(self, act: Any) -> None:
        """Do something on the event loop."""

        async def run() -> None:
            act()

        self.loop.finish(run())

    def read_all(self) -> None:
        for seat in self.seats:
            seat.client.read(seat.wire)


class MonitoringInParts(Monitoring):
    """The same with frames of two rows."""

    part_rows = 2


def hello(fleet: Fleet, *, resumed: bool) -> bytes:
    return frame_of(
        HelloFrame(
            protocol=1,
            protocol_min=1,
            revision=fleet.revision,
            store=fleet.store.store_id,
            server_time="",
            heartbeat_s=5,
            version="0",
            scope="viewer",
            limits={},
            resumed=resumed,
        )
    )


@contextmanager
def parts_of_rows(rows: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "PART_ROWS", rows)
        patch.setattr(snapshots, "PART_ROWS", rows)
        yield


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(240)
def test_every_client_sees_exactly_what_a_list_at_its_revision_says() -> None:
    run_state_machine_as_test(Monitoring, settings=SETTINGS)


@pytest.mark.timeout(240)
def test_frames_in_parts_come_to_the_same_and_may_be_cut_anywhere() -> None:
    with parts_of_rows(2):
        run_state_machine_as_test(MonitoringInParts, settings=SETTINGS)
