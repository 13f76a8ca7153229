"""However a connection is cut, nothing is missed: the position against a model of the server."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.ports import FleetFrame
from runwatch_console.position import Position
from runwatch_shared.wire import ChangeFrame, SnapshotFrame
from tests.console.network.records import change, heartbeat, hello, snapshot, summary, workflows

IDS = ("a", "b", "c", "d", "e")


class ModelServer:
    """Rows with the revision of their last change; frames as contract 7.2 has them."""

    def __init__(self) -> None:
        self.revision = 1
        self.rows: dict[str, int] = {}

    def touch(self, run_id: str) -> None:
        self.revision += 1
        self.rows[run_id] = self.revision

    def frames(self, since: int | None, part_rows: int) -> Iterator[FleetFrame]:
        changed = sorted((rev, run_id) for run_id, rev in self.rows.items() if rev > (since or 0))
        parts = [changed[at : at + part_rows] for at in range(0, len(changed), part_rows)] or [[]]
        previous = since or 0
        for number, part in enumerate(parts, 1):
            rows = [summary(run_id, revision=rev) for rev, run_id in part]
            last = number == len(parts)
            if since is None:
                yield snapshot(self.revision, part=number, last=last, workflows=rows)
                continue
            reached = self.revision if last else part[-1][0]
            total = len(self.rows) if last else None
            yield change(previous, reached, workflows=workflows(*rows), total=total)
            previous = reached


class ModelClient:
    """What a console holds: rows by id; a snapshot replaces them when it is whole."""

    def __init__(self) -> None:
        self.position = Position()
        self.rows: dict[str, int] = {}
        self.arriving: dict[str, int] = {}

    def take(self, frame: FleetFrame) -> None:
        assert self.position.follow(frame)
        if isinstance(frame, SnapshotFrame):
            if frame.part == 1:
                self.arriving = {}
            self.arriving |= {row.id: row.revision for row in frame.workflows or ()}
            if frame.last:
                self.rows = self.arriving
        elif isinstance(frame, ChangeFrame) and frame.workflows is not None:
            self.rows |= {row.id: row.revision for row in frame.workflows.upsert}


connections = st.lists(
    st.tuples(
        st.lists(st.sampled_from(IDS), max_size=6),  # what changes while nobody is connected
        st.integers(1, 3),  # rows in a part
        st.integers(0, 6),  # frames that arrive before the cut
        st.lists(st.sampled_from(IDS), max_size=4),  # what changes while the feed is live
        st.booleans(),  # whether a heartbeat ends it
    ),
    max_size=8,
)


@given(connections)
def test_after_any_cuts_the_rows_are_those_of_the_server(
    scenes: list[tuple[list[str], int, int, list[str], bool]],
) -> None:
    server, client = ModelServer(), ModelClient()
    for before, part_rows, arriving, live, beats in [*scenes, ([], 2, 99, [], True)]:
        for run_id in before:
            server.touch(run_id)
        query = client.position.query()
        since = int(query["since"]) if query else None
        client.position.greet(hello(server.revision, resumed=since is not None))
        frames = list(server.frames(since, part_rows))
        for frame in frames[:arriving]:
            client.take(frame)
        if arriving < len(frames):
            continue
        for run_id in live:
            previous = server.revision
            server.touch(run_id)
            row = summary(run_id, revision=server.revision)
            client.take(change(previous, server.revision, workflows=workflows(row)))
        if beats:
            client.take(heartbeat(server.revision))
    assert client.rows == server.rows
    assert client.position.since == server.revision


def test_a_change_before_any_snapshot_does_not_follow() -> None:
    position = Position()
    position.greet(hello())
    assert not position.follow(change(812, 813))


def test_an_unknown_frame_kind_moves_nothing() -> None:
    position = Position()
    position.greet(hello())
    assert position.follow(snapshot())
    assert position.follow(heartbeat(700))
    assert position.since == 812
