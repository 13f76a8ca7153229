"""Two nodes, restarts, cut networks and processes that wake too late, in any order: an epoch has
one author, no acknowledged event is lost, and every run ends exactly once.
"""

from contextlib import suppress
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runwatch_shared.errors import RefusedError
from runwatch_shared.states import is_terminal
from runwatch_shared.wire import ReportedRun
from tests.server.domain.keeping import node
from tests.server.fleet.harbour import Harbour
from tests.server.fleet.invariants import check_run, check_slots, check_steps, check_verified

NODES: Final = ("n1", "n2")
names = st.sampled_from(NODES)
picks = st.integers(0, 20)


class Process:
    """A node manager's process: what it believes to hold, and under which epoch."""

    def __init__(self, node_id: str, number: int) -> None:
        self.node_id = node_id
        self.id = f"{node_id}-p{number}"
        self.started_at = f"2026-11-23T08:00:{number % 60:02}Z"
        self.held: dict[str, int] = {}


class FleetMachine(RuleBasedStateMachine):
    """The model: who wrote what under which epoch, as the server acknowledged it."""

    def __init__(self) -> None:
        super().__init__()
        self.harbour = Harbour()
        self.seen = 0
        self.number = 0
        self.runs: list[str] = []
        self.processes = {name: Process(name, 0) for name in NODES}
        self.zombies: list[Process] = []
        self.cut: set[str] = set()
        self.authors: dict[tuple[str, int], str] = {}
        self.acknowledged: dict[str, list[tuple[int, int]]] = {}
        for name in NODES:
            self._beat(name)

    def teardown(self) -> None:
        try:
            self._settle()
            check_verified(self.harbour)
        finally:
            self.harbour.store.close()

    # What happens

    @rule(retry=st.booleans())
    def queue(self, retry: bool) -> None:
        if len(self.runs) < 6:
            run = self.harbour.queued_run(retry_on_lost=retry, timeout_s=600)
            self.runs.append(run.id)
            self.acknowledged[run.id] = []

    @rule()
    def schedule(self) -> None:
        self.harbour.place()

    @rule(name=names)
    def claim(self, name: str) -> None:
        """A node claims what it is given, as its poll would tell it."""
        if name in self.cut:
            return
        process = self.processes[name]
        for row in self.harbour.read(lambda tx: tx.runs.active_on(name)):
            if row.lease_kind is None:
                claim = self.harbour.claim(row, name, process=process.id)
                assert claim.next_seq == row.last_seq + 1
                process.held[row.id] = claim.row.epoch

    @rule(name=names, which=picks, count=st.integers(1, 3))
    def report(self, name: str, which: int, count: int) -> None:
        if name not in self.cut:
            self._append(self.processes[name], which, ["message"] * count)

    @rule(name=names, which=picks, status=st.sampled_from(["done", "failed"]))
    def finish(self, name: str, which: int, status: str) -> None:
        if name not in self.cut:
            self._append(self.processes[name], which, ["run_completed"], status=status)

    @rule(which=picks, run=picks)
    def wake_too_late(self, which: int, run: int) -> None:
        """A process that was replaced writes under the epoch it knew."""
        if self.zombies:
            self._append(self.zombies[which % len(self.zombies)], run, ["message"])

    @rule(name=names)
    def beat(self, name: str) -> None:
        if name not in self.cut:
            self._beat(name)

    @rule(name=names, keeps=st.booleans())
    def restart(self, name: str, keeps: bool) -> None:
        """A new process, which adopts what the disk says it held, or finds the disk gone."""
        if name in self.cut:
            return
        old = self.processes[name]
        self.number += 1
        fresh = self.processes[name] = Process(name, self.number)
        self.zombies = [*self.zombies, old][-4:]
        self._beat(name)
        for run_id, epoch in old.held.items() if keeps else ():
            row = self.harbour.run(run_id)
            with suppress(RefusedError):
                claim = self.harbour.claim(row, name, process=fresh.id, epoch=epoch)
                fresh.held[run_id] = claim.row.epoch
                assert claim.row.epoch == epoch + 1

    @rule(name=names)
    def cut_off(self, name: str) -> None:
        self.cut.add(name)

    @rule(name=names)
    def reconnect(self, name: str) -> None:
        self.cut.discard(name)

    @rule(seconds=st.sampled_from([1, 10, 16, 31, 46, 61, 601]), keep=st.booleans())
    def wait(self, seconds: int, keep: bool) -> None:
        """Time passes in steps of a heartbeat; the sweeper sweeps, nodes beat if they can."""
        while seconds > 0:
            self.harbour.wait(min(10, seconds))
            seconds -= 10
            for name in NODES if keep else ():
                if name not in self.cut:
                    self._beat(name)
            self.harbour.sweep()

    @rule(which=picks)
    def cancel(self, which: int) -> None:
        if self.runs:
            with suppress(RefusedError):
                self.harbour.cancel(self.harbour.run(self.runs[which % len(self.runs)]))

    @rule(name=names, stop_after_s=st.sampled_from([None, 0, 20]))
    def drain(self, name: str, stop_after_s: int | None) -> None:
        self.harbour.drain(name, stop_after_s)

    @rule(name=names)
    def resume(self, name: str) -> None:
        self.harbour.resume(name)

    # What always holds

    @invariant()
    def statuses_follow_the_table(self) -> None:
        self.seen = check_steps(self.harbour, self.seen)

    @invariant()
    def slots_are_counted(self) -> None:
        check_slots(self.harbour)

    @invariant()
    def what_was_acknowledged_is_stored(self) -> None:
        for run_id in self.runs:
            check_run(self.harbour, run_id)
            stored = [(event.seq, event.epoch) for event in self.harbour.events(run_id)]
            mine = self.acknowledged[run_id]
            assert [one for one in stored if one in set(mine)] == mine
            assert len(stored) - len(mine) <= 1, "only the server's own end may be there besides"

    # How

    def _beat(self, name: str) -> None:
        process = self.processes[name]
        answer = self.harbour.beat(
            name,
            process_id=process.id,
            started_at=process.started_at,
            slots=2,
            runs=[
                ReportedRun(id=run_id, epoch=epoch, alive=True, spooled_seq=0, acked_seq=0)
                for run_id, epoch in process.held.items()
            ],
        )
        for lost in answer.directives.lost_runs:
            process.held.pop(lost, None)
        for run_id in answer.directives.cancel_runs:
            if run_id in process.held and len(run_id + name) % 2:
                self._write(process, run_id, ["run_completed"], status="cancelled")

    def _append(self, process: Process, which: int, types: list[str], **payload: Any) -> None:
        held = sorted(process.held)
        if held:
            self._write(process, held[which % len(held)], types, **payload)

    def _write(self, process: Process, run_id: str, types: list[str], **payload: Any) -> None:
        """Report behind what is stored; what is acknowledged stays, and is of one author."""
        row, epoch = self.harbour.run(run_id), process.held[run_id]
        try:
            answer = self.harbour.append(
                row, *types, epoch=epoch, by=node(process.node_id), **payload
            )
        except RefusedError:
            assert epoch != row.epoch or is_terminal(row.status)
            process.held.pop(run_id)
            return
        assert answer.created == len(types)
        assert (row.epoch, row.node_id) == (epoch, process.node_id)
        author = self.authors.setdefault((run_id, epoch), process.id)
        assert author == process.id
        first = row.last_seq + 1
        self.acknowledged[run_id] += [(first + index, epoch) for index in range(len(types))]

    def _settle(self) -> None:
        """Everybody comes back, and whoever is given a run ends it."""
        self.cut.clear()
        for name in NODES:
            self.harbour.resume(name)
        for _ in range(20):
            rows = [self.harbour.run(run_id) for run_id in self.runs]
            if all(is_terminal(row.status) for row in rows):
                break
            for name in NODES:
                self._beat(name)
            self.harbour.place()
            for name in NODES:
                self.claim(name)
                for run_id in list(self.processes[name].held):
                    if not is_terminal(self.harbour.run(run_id).status):
                        self._write(self.processes[name], run_id, ["run_completed"], status="done")
            self.harbour.wait(61)
            self.harbour.sweep()
        for run_id in self.runs:
            assert is_terminal(self.harbour.run(run_id).status)
        self.statuses_follow_the_table()
        self.what_was_acknowledged_is_stored()
        check_slots(self.harbour)


TestFleet = FleetMachine.TestCase
TestFleet.settings = settings(deadline=None, max_examples=40, stateful_step_count=40)
