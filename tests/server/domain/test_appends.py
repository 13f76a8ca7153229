"""Which batches may be appended, judged in the order of contract 9.1, and what is refused changes
nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_server import appends, retention, runs
from runwatch_server.principals import Principal
from runwatch_server.rows import RunRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits
from runwatch_shared.wire import EventBatch, EventInput, EventsAnswer
from tests.server.domain.keeping import ADMIN, ANY_NODE, OPERATOR, Keeper, node
from tests.server.domain.making import NOW_US, SECOND_US

LONG = b'{"a":"%s"}' % (b"x" * 300_000)
Lines = list[tuple[int, str, dict[str, Any]]]


def line(seq: int, text: str = "x", kind: str = "message") -> tuple[int, str, dict[str, Any]]:
    return (seq, kind, {"content": text})


def batch(lines: Lines, epoch: int | None) -> appends.Prepared:
    body = EventBatch(
        epoch=epoch,
        events=[
            EventInput(
                seq=seq,
                type=kind,
                timestamp="2026-11-23T10:00:00.000000Z",
                payload=msgspec.Raw(msgspec.json.encode(payload)),
            )
            for seq, kind, payload in lines
        ],
    )
    return appends.prepare(body, limits=Limits(), now_us=NOW_US)


class Held:
    """A run that node n1 holds under epoch 1, and ways to report to it."""

    def __init__(self, keeper: Keeper, **changes: Any) -> None:
        self.keeper = keeper
        self.by: Principal = node("n1")
        keeper.online_node("n1")
        row = keeper.queued_run()
        held = msgspec.structs.replace(
            row,
            **{
                "status": "assigned",
                "node_id": "n1",
                "assigned_us": keeper.now_us,
                "claimed_us": keeper.now_us,
                "epoch": 1,
                "lease_kind": "explicit",
                "process_id": "p1",
                "holders": ("n1",),
                **changes,
            },
        )
        self.id = keeper.write(lambda tx: tx.runs.save(row, held)).id

    @property
    def row(self) -> RunRow:
        return self.keeper.run(self.id)

    def send(
        self, *lines: tuple[int, str, dict[str, Any]], epoch: int | None = 1, by: Any = None
    ) -> EventsAnswer:
        prepared = batch(list(lines), epoch)
        return self.keeper.write(
            lambda tx: appends.append(
                tx, self.id, prepared, by=by or self.by, settings=self.keeper.settings
            )
        )

    def refused(
        self, *lines: tuple[int, str, dict[str, Any]], epoch: int | None = 1, by: Any = None
    ) -> RefusedError:
        """The refusal of a batch, after seeing that it changed nothing."""
        before, events = self.row, self.keeper.events(self.id)
        with pytest.raises(RefusedError) as refusal:
            self.send(*lines, epoch=epoch, by=by)
        assert self.row == before
        assert self.keeper.events(self.id) == events
        return refusal.value


@pytest.fixture
def held(keeper: Keeper) -> Held:
    return Held(keeper)


def test_new_events_are_stored_in_order_and_the_run_begins(held: Held) -> None:
    answer = held.send(line(1), line(2), line(5))

    assert (answer.created, answer.duplicates, answer.last_seq, answer.status) == (
        3,
        0,
        5,
        "running",
    )
    assert answer.lease is not None
    assert answer.lease.epoch == 1
    assert [event.seq for event in held.keeper.events(held.id)] == [1, 2, 5]
    assert (held.row.status, held.row.seq_holes) == ("running", 2)


def test_the_same_batch_again_is_all_duplicates(held: Held) -> None:
    held.send(line(1), line(2))

    answer = held.send(line(1), line(2))

    assert (answer.created, answer.duplicates, answer.last_seq) == (0, 2, 2)


def test_an_overlapping_batch_adds_only_its_new_tail(held: Held) -> None:
    held.send(line(1), line(2))

    answer = held.send(line(2), line(3))

    assert (answer.created, answer.duplicates, answer.last_seq) == (1, 1, 3)


def test_a_payload_that_differs_only_in_spelling_is_the_same_event(held: Held) -> None:
    held.send((1, "message", {"a": 1, "content": "é"}))
    other = EventBatch(
        epoch=1,
        events=[
            EventInput(
                seq=1,
                type="message",
                timestamp="2026-11-23T11:00:00+01:00",
                payload=msgspec.Raw(b'{ "content" : "\\u00e9", "a": 1 }'),
            )
        ],
    )
    prepared = appends.prepare(other, limits=Limits(), now_us=NOW_US)

    answer = held.keeper.write(
        lambda tx: appends.append(tx, held.id, prepared, by=held.by, settings=held.keeper.settings)
    )

    assert answer.duplicates == 1


def test_a_used_seq_with_other_content_is_a_conflict(held: Held) -> None:
    held.send(line(1), line(2))

    refusal = held.refused(line(2, "other"), line(3))

    assert refusal.code == "seq_conflict"
    assert refusal.details == {"seq": 2, "last_seq": 2, "reason": "different"}


def test_a_seq_below_the_last_that_was_never_stored_is_a_conflict(held: Held) -> None:
    held.send(line(1), line(5))

    refusal = held.refused(line(3))

    assert refusal.details == {"seq": 3, "last_seq": 5, "reason": "below_last"}


def test_an_unknown_run_is_404(held: Held) -> None:
    with pytest.raises(RefusedError) as refusal:
        held.keeper.write(
            lambda tx: appends.append(
                tx,
                "run-ffffffffffff",
                batch([line(1)], 1),
                by=held.by,
                settings=held.keeper.settings,
            )
        )

    assert (refusal.value.code, refusal.value.details) == ("not_found", {"kind": "run"})


def test_a_bound_node_that_never_held_the_run_is_refused(held: Held) -> None:
    assert held.refused(line(1), by=node("n2")).code == "not_your_run"


def test_an_older_epoch_has_lost_its_lease(held: Held) -> None:
    held.send(line(1))
    before = held.row
    held.keeper.write(
        lambda tx: tx.runs.save(before, msgspec.structs.replace(before, epoch=2, process_id="p2"))
    )

    refusal = held.refused(line(2), epoch=1)

    assert refusal.code == "lease_lost"
    assert refusal.details == {
        "epoch": 1,
        "current_epoch": 2,
        "status": "running",
        "last_seq": 1,
        "reason": "superseded",
    }


def test_a_lost_answer_can_be_asked_for_again_whatever_happened_since(held: Held) -> None:
    held.send(line(1))
    before = held.row
    taken = msgspec.structs.replace(before, epoch=2, node_id="n2", holders=("n1", "n2"))
    held.keeper.write(lambda tx: tx.runs.save(before, taken))

    answer = held.send(line(1), epoch=1)

    assert (answer.created, answer.duplicates) == (0, 1)


def test_what_retention_took_of_a_run_under_way_may_be_sent_again_by_its_holder(held: Held) -> None:
    lines = [line(seq) for seq in range(1, 6)]
    held.send(*lines)
    held.keeper.write(lambda tx: retention.remove_events(tx, held.row, limit=3))
    answer = held.send(*lines, line(6))
    assert (answer.created, answer.duplicates) == (1, 5)
    again = held.send(line(1), line(2))
    assert (again.created, again.duplicates) == (0, 2)
    assert held.refused(line(1), epoch=0).code == "lease_lost"
    held.send((7, "run_completed", {"status": "done"}))
    assert held.refused(line(1), epoch=2).code == "lease_lost"


def test_an_explicit_lease_needs_its_epoch(held: Held) -> None:
    assert held.refused(line(1), epoch=None).code == "lease_required"


def test_after_the_end_nothing_is_taken_but_repeats_are_answered(held: Held) -> None:
    end = (2, "run_completed", {"status": "done", "exit_code": 0})
    held.send(line(1), end)

    again = held.send(line(1), end)
    refusal = held.refused(line(3))

    assert (again.duplicates, again.status, again.lease) == (2, "done", None)
    assert refusal.code == "run_finished"
    assert refusal.details is not None
    assert (refusal.details["status"], refusal.details["last_seq"]) == ("done", 2)


def test_the_end_frees_the_slot_and_the_task_follows(held: Held) -> None:
    before = held.row
    held.keeper.online_node("n1", allocated=1, active_runs=1)

    held.send((1, "run_failed", {"error": "no", "exit_code": 1}))

    after = held.keeper.read(lambda tx: (tx.nodes.get("n1"), tx.tasks.get(before.task_id)))
    assert after[0] is not None
    assert after[1] is not None
    assert (after[0].allocated, after[0].active_runs) == (0, 0)
    assert (after[1].status, after[1].runs_active) == ("failed", 0)
    assert held.keeper.read(lambda tx: tx.leases.get(held.id)) is None


def test_a_node_that_does_not_claim_takes_an_implicit_lease_by_its_first_event(
    keeper: Keeper,
) -> None:
    held = Held(keeper, claimed_us=None, epoch=0, lease_kind=None, process_id=None, holders=())
    held.by = ANY_NODE

    answer = held.send(line(1), epoch=None)

    assert answer.created == 1
    assert (held.row.lease_kind, held.row.epoch, held.row.status) == ("implicit", 1, "running")
    assert [event.epoch for event in keeper.events(held.id)] == [1]
    assert held.send(line(2), epoch=None).created == 1


@pytest.mark.parametrize("by", [OPERATOR, ADMIN])
def test_a_script_may_report_a_queued_run_which_is_external_then(
    keeper: Keeper, by: Principal
) -> None:
    row = keeper.queued_run()
    prepared = batch([line(1)], None)

    answer = keeper.write(
        lambda tx: appends.append(tx, row.id, prepared, by=by, settings=keeper.settings)
    )

    after = keeper.run(row.id)
    assert (answer.status, answer.lease) == ("running", None)
    assert (after.origin, after.lease_kind, after.node_id) == ("external", "external", None)


def test_a_node_cannot_report_a_queued_run_without_a_lease(keeper: Keeper) -> None:
    row = keeper.queued_run()

    with pytest.raises(RefusedError) as refusal:
        keeper.write(
            lambda tx: appends.append(
                tx, row.id, batch([line(1)], None), by=ANY_NODE, settings=keeper.settings
            )
        )

    assert refusal.value.code == "lease_required"
    assert keeper.events(row.id) == []


def test_an_answer_carries_the_cancel_and_marks_it_delivered(held: Held) -> None:
    held.send(line(1))
    held.keeper.write(
        lambda tx: runs.cancel_run(
            tx,
            held.id,
            reason="user",
            by_name="ops",
            note=None,
            settings=held.keeper.settings,
        )
    )

    answer = held.send(line(2))

    assert answer.cancel == "user"
    assert held.row.cancel is not None
    assert held.row.cancel.delivered_us == held.keeper.now_us


@pytest.mark.parametrize(
    ("events", "field", "code"),
    [
        ([], "events", "invalid_field"),
        ([{"seq": 0, "type": "message"}], "events[0].seq", "invalid_field"),
        ([{"seq": 2}, {"seq": 2}], "events[1].seq", "invalid_field"),
        ([{"seq": 2**53}], "events[0].seq", "invalid_field"),
        ([{"seq": 2**70}], "events[0].seq", "invalid_field"),
        ([{"seq": 1, "type": "nonsense"}], "events[0].type", "invalid_value"),
        ([{"seq": 1, "type": "x_"}], "events[0].type", "invalid_value"),
        ([{"seq": 1, "timestamp": "2026-11-23T10:00:00"}], "events[0].timestamp", "invalid_field"),
        ([{"seq": 1, "timestamp": "later"}], "events[0].timestamp", "invalid_field"),
        ([{"seq": 1, "payload": b"[]"}], "events[0].payload", "invalid_field"),
        ([{"seq": 1, "payload": LONG}], "events[0].payload", "event_too_large"),
        ([{"seq": 1, "raw": "x" * 300_000}], "events[0].raw", "event_too_large"),
        ([{"seq": 1, "type": "run_failed"}, {"seq": 2}], "events[1].type", "invalid_field"),
        ([{"seq": n + 1} for n in range(1001)], "events", "batch_too_large"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_by_name(
    events: list[dict[str, Any]], field: str, code: str
) -> None:
    body = EventBatch(
        events=[
            EventInput(
                seq=given["seq"],
                type=given.get("type", "message"),
                timestamp=given.get("timestamp", "2026-11-23T10:00:00Z"),
                payload=msgspec.Raw(given.get("payload", b"{}")),
                raw=given.get("raw"),
            )
            for given in events
        ]
    )

    with pytest.raises(RefusedError) as refusal:
        appends.prepare(body, limits=Limits(), now_us=NOW_US)

    assert (refusal.value.code, refusal.value.field) == (code, field)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 12), st.booleans()), min_size=1, max_size=15
    )
)
def test_retried_split_and_reordered_batches_have_the_effect_of_sending_each_once(
    sends: list[tuple[int, int, bool]],
) -> None:
    """The model is the list a node wrote: the store always holds a prefix of it."""
    keeper = Keeper()
    held = Held(keeper)
    written = [line(seq, f"line {seq}") for seq in range(1, 43)]
    acknowledged = 0
    for start, length, honest in sends:
        piece = written[start : start + length] if honest else written[:length]
        if piece[0][0] > acknowledged + 1:
            piece = written[acknowledged : acknowledged + length]
        answer = held.send(*piece)
        assert answer.created + answer.duplicates == len(piece)
        acknowledged = max(acknowledged, answer.last_seq)
        keeper.wait(1)

    stored = [
        (event.seq, msgspec.json.decode(event.payload or b"{}")["content"])
        for event in keeper.events(held.id)
    ]
    assert stored == [(seq, payload["content"]) for seq, _, payload in written[:acknowledged]]
    assert held.row.event_count == acknowledged
    keeper.store.close()
    assert NOW_US + len(sends) * SECOND_US == keeper.now_us
