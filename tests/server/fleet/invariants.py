"""What holds of a fleet after whatever happened to it."""

from collections.abc import Sequence

from runwatch_server.fold import is_end
from runwatch_server.storage.keeping.sql_snapshot import SqlSnapshot
from runwatch_server.storage.keeping.verifying import Verification
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.sql.reading import ReadTransaction
from runwatch_shared.states import is_terminal, may_follow
from tests.server.fleet.harbour import Harbour


def check_history(commits: Sequence[Commit]) -> None:
    """Statuses move only along the table, epochs only up, and nothing follows an end."""
    for commit in commits:
        for change in commit.runs:
            before, after = change.before, change.after
            if before is None or after is None:
                continue
            assert after.epoch >= before.epoch
            if is_terminal(before.status):
                assert after.status == before.status
                assert after.last_seq == before.last_seq


def check_steps(harbour: Harbour, seen: int) -> int:
    """`check_history` for commits of one work each, where no two changes are merged."""
    check_history(harbour.commits[seen:])
    for commit in harbour.commits[seen:]:
        for change in commit.runs:
            if change.before is None or change.after is None:
                continue
            was, now = change.before.status, change.after.status
            # One commit may begin a run and end it: two steps of the table.
            both = may_follow(was, "running") and may_follow("running", now)
            assert was == now or may_follow(was, now) or both
    return len(harbour.commits)


def check_run(harbour: Harbour, run_id: str) -> None:
    """One run with its events and lease."""
    row = harbour.run(run_id)
    ends = [event.seq for event in harbour.events(run_id) if is_end(event)]
    lease = harbour.read(lambda tx: tx.leases.get(run_id))
    if is_terminal(row.status):
        assert ends == [row.last_seq]
        assert (row.lease_kind, lease) == (None, None)
        assert row.finished_us is not None
    else:
        assert ends == []
    if row.lease_kind == "explicit":
        assert row.process_id is not None
        assert (lease is None) == (row.lease_ended_us is not None)
        assert lease is None or (lease.epoch, lease.node_id) == (row.epoch, row.node_id)
    if row.status == "queued":
        assert (row.node_id, row.lease_kind, row.deadline_us) == (None, None, None)
        assert row.queue_reason
    else:
        assert row.queue_reason is None


def check_slots(harbour: Harbour) -> None:
    """Nodes count what they have."""
    for node in harbour.read(lambda tx: tx.nodes.all()):
        active = harbour.read(lambda tx, node=node: tx.runs.active_on(node.id))  # type: ignore[misc]
        assert node.allocated == node.active_runs == len(active)


def check_verified(harbour: Harbour) -> None:
    """What `monitor-server verify` looks at agrees."""
    with harbour.store.read() as tx:
        assert isinstance(tx, ReadTransaction)
        assert list(Verification(SqlSnapshot(tx._connection)).wrong()) == []
