"""Heartbeats: who is refused, what is taken in, what is never overwritten, what is told (11.1)."""

from typing import Any

import pytest

from runwatch_server.node_reports import heartbeat_interval_s
from runwatch_server.rows import RunRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import AgentOffer, Login, Spool
from runwatch_shared.settings import LeaseTimes
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import ReportedCapacity, ReportedRun
from tests.server.domain.keeping import node
from tests.server.domain.making import SECOND_US
from tests.server.fleet.harbour import Harbour, reported


def refused(harbour: Harbour, *args: Any, **beat: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        harbour.beat(*args, **beat)
    return caught.value


def test_a_first_heartbeat_registers_the_node_with_what_it_says(harbour: Harbour) -> None:
    answer = harbour.beat(
        slots=3,
        agents=["claude-code"],
        hostname="rack-1",
        ips="10.0.0.1,10.0.0.2",
        labels={"gpu": "no"},
        version="0.1.0",
        runtimes=["process", "podman"],
        logins=[Login(agent_type="claude-code", account_id="a1", state="ok")],
        spool=Spool(events=3, bytes=100, limit_bytes=1000),
        status="unhealthy",
        time=format_time(harbour.now_us + 1_500_000),
    )
    row = harbour.node_row()
    assert (row.status, row.max_concurrent, row.hostname) == ("unhealthy", 3, "rack-1")
    assert (row.labels, row.runtimes, row.clock_skew_ms) == (
        {"gpu": "no"},
        ["process", "podman"],
        1500,
    )
    assert row.spool is not None
    assert row.spool.bytes == 100
    assert (answer.status, answer.interval_s) == ("ok", 10)
    assert answer.server_time == format_time(harbour.now_us)
    assert answer.leases == []


@pytest.mark.parametrize(
    ("lease", "interval_s"),
    [
        (LeaseTimes(), 10),
        (LeaseTimes(ttl_s=20), 5),
        (LeaseTimes(node_offline_s=6), 2),
        (LeaseTimes(ttl_s=3), 1),
    ],
)
def test_nodes_are_asked_to_beat_oftener_where_leases_are_shorter(
    lease: LeaseTimes, interval_s: int
) -> None:
    assert heartbeat_interval_s(lease) == interval_s


def test_what_a_heartbeat_leaves_out_stays(harbour: Harbour) -> None:
    harbour.beat(labels={"a": "1"}, hostname="h", version="1")
    harbour.beat(agents=None, capacity=None)
    row = harbour.node_row()
    assert (row.labels, row.hostname, row.version, row.max_concurrent) == ({"a": "1"}, "h", "1", 4)


def test_a_heartbeat_never_overwrites_what_an_administrator_set(harbour: Harbour) -> None:
    harbour.beat(labels={"gpu": "no", "zone": "a"}, slots=4)
    harbour.patch_node(
        display_name="Big one", labels={"gpu": "yes", "zone": None}, max_concurrent_override=2
    )
    harbour.drain()
    harbour.beat(labels={"gpu": "no", "zone": "b", "disk": "ssd"}, slots=16)
    row = harbour.node_row()
    assert row.labels == {"gpu": "yes", "disk": "ssd"}
    assert (row.capacity, row.max_concurrent) == (2, 16)
    assert (row.admin_status, row.status, row.display_name) == ("draining", "draining", "Big one")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"node_id": "a b"}, "node_id"),
        ({"process_id": "\u202ex"}, "process_id"),
        ({"hostname": "a\x1b[31m"}, "hostname"),
        ({"version": "v" * 256}, "version"),
        ({"labels": {"k": "a\nb"}}, "labels.k"),
        ({"labels": {f"k{n}": "v" for n in range(33)}}, "labels"),
        ({"capacity": ReportedCapacity(max_concurrent=-1)}, "capacity.max_concurrent"),
        ({"capacity": ReportedCapacity(max_concurrent=2**70)}, "capacity.max_concurrent"),
        ({"started_at": "yesterday"}, "started_at"),
        ({"time": "2026-11-23T10:00:00"}, "time"),
        ({"spool": Spool(events=-1, bytes=0, limit_bytes=0)}, "spool"),
        ({"runtimes": ["r"] * 33}, "runtimes"),
        ({"logins": [Login(agent_type="a\x00", state="ok")]}, "logins[0].agent_type"),
    ],
)
def test_a_heartbeat_that_does_not_fit_is_refused_by_field(
    harbour: Harbour, fields: dict[str, Any], field: str
) -> None:
    error = refused(harbour, **fields)
    assert (error.status, error.field) == (400, field)
    assert harbour.read(lambda tx: tx.nodes.all()) == []


def test_a_reason_of_an_agent_is_cleaned_not_refused(harbour: Harbour) -> None:
    harbour.beat(
        agents=[AgentOffer(type="claude-code", ready=False, reason="no \x1b[31mlogin\nhere")]
    )
    assert harbour.node_row().agents[0].reason == "no login here"


def test_a_token_of_one_node_cannot_beat_for_another(harbour: Harbour) -> None:
    assert refused(harbour, by=node("n2")).code == "not_your_node"
    harbour.beat(by=node("n1"))


def test_of_two_processes_with_one_id_the_later_started_wins(harbour: Harbour) -> None:
    harbour.beat(process_id="old", started_at="2026-11-23T08:00:00Z")
    harbour.beat(process_id="new", started_at="2026-11-23T09:00:00Z")
    before = harbour.node_row()
    error = refused(harbour, process_id="old", started_at="2026-11-23T08:00:00Z")
    assert (error.code, error.status) == ("node_conflict", 409)
    assert harbour.node_row() == before
    harbour.beat(process_id="new", started_at="2026-11-23T09:00:00Z")


def test_a_process_whose_rival_fell_silent_is_taken_in(harbour: Harbour) -> None:
    harbour.beat(process_id="future", started_at="2099-01-01T00:00:00Z")
    harbour.wait(44)
    assert refused(harbour, process_id="now").code == "node_conflict"
    harbour.wait(2)
    harbour.beat(process_id="now")
    assert harbour.node_row().process_id == "now"


def test_the_process_of_a_deleted_node_is_told_and_a_new_start_registers_anew(
    harbour: Harbour,
) -> None:
    harbour.beat()
    harbour.delete_node()
    error = refused(harbour)
    assert (error.code, error.status) == ("node_deleted", 409)
    harbour.beat(process_id="n1-p2")
    assert harbour.node_row().status == "online"


def test_leases_are_granted_for_runs_named_with_their_epoch(harbour: Harbour) -> None:
    harbour.beat()
    held, other = harbour.running(), harbour.held()
    harbour.wait(10)
    answer = harbour.beat(runs=[held, reported(other, epoch=other.epoch + 1)])
    (lease,) = answer.leases
    assert (lease.run_id, lease.epoch, lease.ttl_s) == (held.id, 1, 45)
    assert lease.expires_at == format_time(harbour.now_us + 45 * SECOND_US)
    assert answer.directives.lost_runs == [other.id]


def test_runs_that_ended_moved_or_never_were_are_lost_until_they_are_not_named(
    harbour: Harbour,
) -> None:
    harbour.beat("n1")
    harbour.beat("n2")
    ended, elsewhere, unclaimed = harbour.running(), harbour.running("n2"), harbour.assigned()
    harbour.end(ended)
    unknown = ReportedRun(id="run-ffffffffffff", epoch=1, alive=True, spooled_seq=0, acked_seq=0)
    named: list[RunRow | ReportedRun] = [ended, elsewhere, unknown, reported(unclaimed, epoch=0)]
    for _ in range(2):
        answer = harbour.beat("n1", runs=named)
        assert answer.directives.lost_runs == [ended.id, elsewhere.id, "run-ffffffffffff"]
        assert answer.directives.cancel_runs == []
    assert harbour.beat("n1").directives.lost_runs == []


def test_a_cancel_is_told_until_the_run_ends_and_delivered_once(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.cancel(run)
    harbour.wait(7)
    for _ in range(2):
        answer = harbour.beat(runs=[run])
        assert answer.directives.cancel_runs == [run.id]
        assert answer.directives.cancel_reasons == {run.id: "user"}
        harbour.wait(5)
    cancel = harbour.run(run.id).cancel
    assert cancel is not None
    assert cancel.delivered_us == harbour.now_us - 10 * SECOND_US
    harbour.end(run, "cancelled")
    answer = harbour.beat(runs=[run])
    assert (answer.directives.cancel_runs, answer.directives.lost_runs) == ([], [run.id])


@pytest.mark.parametrize("status", ["draining", "maintenance"])
def test_a_node_set_aside_is_told_to_claim_nothing_more(harbour: Harbour, status: str) -> None:
    assert harbour.beat().directives.drain is False
    harbour.patch_node(status=status)
    assert harbour.beat().directives.drain is True
    harbour.patch_node(status="online")
    assert harbour.beat().directives.drain is False


def test_a_heartbeat_with_running_runs_takes_an_implicit_lease(harbour: Harbour) -> None:
    harbour.beat("n1", runs=None)
    run = harbour.assigned(timeout_s=100)
    answer = harbour.beat("n1", runs=None, running_runs=[run.id])
    row = harbour.run(run.id)
    assert (row.lease_kind, row.epoch, row.process_id) == ("implicit", 1, None)
    assert (row.status, row.claimed_us) == ("assigned", harbour.now_us)
    assert row.deadline_us == harbour.now_us + 100 * SECOND_US
    assert [lease.run_id for lease in answer.leases] == [run.id]
    for _ in range(3):
        harbour.wait(30)
        harbour.beat("n1", runs=None, running_runs=[run.id])
        harbour.sweep()
    assert harbour.run(run.id).node_silent is False


def test_a_node_without_runs_finds_lost_ones_among_those_to_cancel(harbour: Harbour) -> None:
    harbour.beat("n1", runs=None)
    run = harbour.assigned()
    harbour.beat("n1", runs=None, running_runs=[run.id])
    harbour.cancel(run)
    answer = harbour.beat("n1", runs=None, running_runs=[run.id, "run-ffffffffffff"])
    assert answer.directives.cancel_runs == [run.id, "run-ffffffffffff"]
    assert answer.directives.lost_runs == ["run-ffffffffffff"]


def test_a_run_that_had_a_claim_is_not_taken_by_being_named_without_epoch(
    harbour: Harbour,
) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.wait(10)
    answer = harbour.beat("n1", runs=None, running_runs=[run.id])
    assert (answer.leases, answer.directives.lost_runs) == ([], [])
    assert harbour.run(run.id).epoch == 1


def test_a_node_that_reports_itself_draining_gives_back_what_it_has_not_claimed(
    harbour: Harbour,
) -> None:
    harbour.beat()
    unclaimed, held = harbour.assigned(), harbour.held()
    harbour.beat(runs=[held], status="draining")
    assert harbour.run(unclaimed.id).status == "queued"
    assert harbour.run(held.id).status == "assigned"
    assert harbour.node_row().status == "draining"


def test_beats_that_say_nothing_new_do_not_move_updated_at(harbour: Harbour) -> None:
    harbour.beat()
    first = harbour.node_row()
    harbour.wait(10)
    harbour.beat(spool=Spool(events=1, bytes=1, limit_bytes=9))
    row = harbour.node_row()
    assert row.last_heartbeat_us == harbour.now_us
    assert row.updated_us == first.updated_us
    harbour.beat(labels={"a": "b"})
    assert harbour.node_row().updated_us == harbour.now_us
