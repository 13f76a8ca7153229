"""The pure folds of the feed, `fold(fleet, frames)` and `next_link(link, item, now)`; no network.

Each gives a new record and leaves the old one as it was, so a screen may hold one as long as it
likes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, assert_never

from runwatch_console.accountrows import AccountRow, account_row
from runwatch_console.feeditems import Connected, Connecting, Disconnected, FeedItem, Frame
from runwatch_console.fleet import Edge, Fleet
from runwatch_console.formats import moment_s
from runwatch_console.link import Link
from runwatch_console.looks import look_of_run
from runwatch_console.ports import FleetFrame
from runwatch_console.rows import NodeRow, RunRow, node_row, run_row
from runwatch_shared.text import clean
from runwatch_shared.wire import (
    AccountChanges,
    ChangeFrame,
    ErrorFrame,
    HeartbeatFrame,
    NodeChanges,
    PongFrame,
    ResyncFrame,
    SnapshotFrame,
)

MOST_RUNS: Final = 10_000
"""The server sends every run that changes, so that a console that stays on would come to hold all
of them. Beyond it those that ended first are let go: they can be asked for."""
KEPT_RUNS: Final = 5_000


def count_looks(runs: Mapping[str, RunRow]) -> dict[str, int]:
    """How many rows have each look; keys only where there is one."""
    return dict(Counter(look_of_run(run).word for run in runs.values()))


def fold(fleet: Fleet, frames: Sequence[FleetFrame]) -> Fleet:
    """The fleet after these frames (contract 7.2)."""
    folding = _Folding(fleet)
    for frame in frames:
        folding.take(frame)
    return folding.result()


def edge_of(runs: Mapping[str, RunRow], total: int | None) -> Edge | None:
    """Where a snapshot by attention, then the newest change, ends; None: it is whole."""
    if total is None or total <= len(runs):
        return None
    ended = [run.updated_s for run in runs.values() if run.attention == 0]
    known = [moment for moment in ended if moment is not None]
    # With nothing that ended among them, even some that are under way had no room.
    return Edge(until_s=min(known) if known and len(known) == len(ended) else None)


class _Folding:
    """One fold under way. Mappings are copied once a fold, at the first change, not once a frame,
    and what every frame brings is put into the record once, at the end.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.runs: dict[str, RunRow] | None = None
        self.nodes: dict[str, NodeRow] | None = None
        self.accounts: dict[str, AccountRow] | None = None
        self.looks = dict(fleet.looks)
        self.changed: set[str] | None = set()
        self.removed: set[str] = set()
        self.revision, self.server_s = fleet.revision, fleet.server_s
        self.total, self.stats = fleet.total, fleet.stats

    def take(self, frame: FleetFrame) -> None:
        match frame:
            case SnapshotFrame():
                self._snapshot(frame)
            case ChangeFrame():
                self._change(frame)
            case ResyncFrame():
                # The old rows stay on the screen, dimmed, until the whole new snapshot is here.
                self._set(arriving_runs=None, arriving_nodes={}, arriving_accounts={})
            case HeartbeatFrame() | PongFrame():
                pass
            case ErrorFrame():
                self._set(problem=clean(f"{frame.code}: {frame.error}", limit=300, fold=True))
                return
            case _:
                assert_never(frame)
        self.revision = frame.revision
        self.server_s = moment_s(frame.server_time) or self.server_s

    def result(self) -> Fleet:
        if self.runs is not None and len(self.runs) > MOST_RUNS and self.fleet.loaded:
            self._let_go(self.runs)
        return replace(
            self.fleet,
            runs=self.fleet.runs if self.runs is None else self.runs,
            nodes=self.fleet.nodes if self.nodes is None else self.nodes,
            accounts=self.fleet.accounts if self.accounts is None else self.accounts,
            looks=self.looks,
            stats=self.stats,
            total=self.total,
            revision=self.revision,
            server_s=self.server_s,
            changed=None if self.changed is None else frozenset(self.changed),
            removed=frozenset(self.removed),
        )

    def _let_go(self, runs: dict[str, RunRow]) -> None:
        """Hold no more than `KEPT_RUNS`, and whatever is under way."""
        ended = sorted((run.updated_s or 0.0, run.id) for run in runs.values() if run.ended)
        gone = ended[: len(runs) - KEPT_RUNS]
        if not gone:
            return
        for _, run_id in gone:
            self._put_run(run_id, None)
        until_s: float | None = gone[-1][0]
        if (edge := self.fleet.edge) is not None:
            until_s = None if edge.until_s is None else max(edge.until_s, gone[-1][0])
        self._set(edge=Edge(until_s=until_s))

    def _set(self, **values: object) -> None:
        self.fleet = replace(self.fleet, **values)  # type: ignore[arg-type]  # names are checked at run time

    def _snapshot(self, frame: SnapshotFrame) -> None:
        first = frame.part == 1 or self.fleet.arriving_runs is None
        runs = {} if first else dict(self.fleet.arriving_runs or {})
        nodes = {} if first else dict(self.fleet.arriving_nodes)
        accounts = {} if first else dict(self.fleet.arriving_accounts)
        runs.update((row.id, row) for row in map(run_row, frame.workflows or ()))
        nodes.update((row.id, row) for row in map(node_row, frame.nodes or ()))
        accounts.update((row.id, row) for row in map(account_row, frame.accounts or ()))
        # Before anything was shown, each part is shown as it comes.
        if frame.last or not self.fleet.loaded:
            self.runs, self.nodes, self.accounts = runs, nodes, accounts
            self.looks = count_looks(runs)
            self.changed = None
        if frame.last:
            self.total = frame.total
            self._set(
                loaded=True,
                arriving_runs=None,
                arriving_nodes={},
                arriving_accounts={},
                edge=edge_of(runs, frame.total),
            )
        else:
            self._set(
                arriving_runs=dict(runs),
                arriving_nodes=dict(nodes),
                arriving_accounts=dict(accounts),
            )
        if frame.stats is not None:
            self.stats = frame.stats

    def _change(self, frame: ChangeFrame) -> None:
        if frame.workflows is not None:
            for key in frame.workflows.remove:
                self.removed.add(key.id)
                self._put_run(key.id, None)
            for summary in frame.workflows.upsert:
                self._put_run(summary.id, run_row(summary))
        if frame.nodes is not None:
            self._change_nodes(frame.nodes)
        if frame.accounts is not None:
            self._change_accounts(frame.accounts)
        if frame.stats is not None:
            self.stats = frame.stats
        if frame.total is not None:
            self.total = frame.total
        elif self.total is not None:
            self.total = max(0, self.total + frame.entered - frame.left)

    def _change_nodes(self, changes: NodeChanges) -> None:
        if self.nodes is None:
            self.nodes = dict(self.fleet.nodes)
        for node_id in changes.remove:
            self.nodes.pop(node_id, None)
        for row in map(node_row, changes.upsert):
            self.nodes[row.id] = row

    def _change_accounts(self, changes: AccountChanges) -> None:
        if self.accounts is None:
            self.accounts = dict(self.fleet.accounts)
        for account_id in changes.remove:
            self.accounts.pop(account_id, None)
        for row in map(account_row, changes.upsert):
            self.accounts[row.id] = row

    def _put_run(self, run_id: str, row: RunRow | None) -> None:
        if self.runs is None:
            self.runs = dict(self.fleet.runs)
        run_id = row.id if row is not None else run_id
        old = self.runs.pop(run_id, None) if row is None else self.runs.get(run_id)
        if old is not None:
            self._count(old, -1)
        if row is not None:
            self.runs[run_id] = row
            self._count(row, +1)
        if self.changed is not None and (row is not None or old is not None):
            self.changed.add(run_id)

    def _count(self, run: RunRow, step: int) -> None:
        word = look_of_run(run).word
        count = self.looks.get(word, 0) + step
        if count:
            self.looks[word] = count
        else:
            self.looks.pop(word, None)


def next_link(link: Link, item: FeedItem, now_mono_s: float) -> Link:
    """The link after an item of the feed."""
    match item:
        case Connecting():
            return replace(link, attempt=item.attempt, retry_mono_s=None)
        case Connected():
            hello = item.hello
            return replace(
                link,
                connected=True,
                ever_connected=True,
                attempt=0,
                heartbeat_s=float(hello.heartbeat_s),
                scope=hello.scope,
                server_version=clean(hello.version, limit=40),
                frame_mono_s=now_mono_s,
                server_s=moment_s(hello.server_time),
                loss=None,
                lost_mono_s=None,
                retry_mono_s=None,
                reconnected_mono_s=now_mono_s if link.ever_connected else None,
                resumed=hello.resumed,
            )
        case Frame():
            if isinstance(item.frame, ErrorFrame):
                return replace(link, frame_mono_s=now_mono_s)
            server_s = moment_s(item.frame.server_time)
            return replace(link, frame_mono_s=now_mono_s, server_s=server_s or link.server_s)
        case Disconnected():
            since = now_mono_s if link.lost_mono_s is None else link.lost_mono_s
            retry = None if item.retry_in_s is None else now_mono_s + item.retry_in_s
            loss = replace(
                item,
                detail=clean(item.detail, limit=300, fold=True),
                fingerprint=clean(item.fingerprint, limit=120) if item.fingerprint else None,
                known_fingerprint=clean(item.known_fingerprint, limit=120),
                known_place=clean(item.known_place, limit=400),
            )
            # No attempt is under way: what is not tried again by itself must not say that it is.
            return replace(
                link,
                connected=False,
                attempt=0,
                loss=loss,
                lost_mono_s=since,
                retry_mono_s=retry,
            )
        case _:
            assert_never(item)
