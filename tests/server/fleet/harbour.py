"""A fleet over a store in memory: nodes that beat and claim, a scheduler and a sweeper by hand."""

from collections.abc import Sequence
from typing import Any

import msgspec

from runwatch_server import appends, leases, nodes, runs, scheduler, sweeper
from runwatch_server.principals import Principal
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import AgentOffer, Constraints
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    ClaimRequest,
    EventBatch,
    EventInput,
    EventsAnswer,
    Heartbeat,
    HeartbeatAnswer,
    NodePatch,
    ReportedCapacity,
    ReportedRun,
    RunPatch,
)
from tests.server.domain.keeping import ANY_NODE, Keeper

__all__ = ["Harbour", "reason_of", "reported"]


def reported(run: RunRow, epoch: int | None = None) -> ReportedRun:
    """A run as its node names it in a heartbeat."""
    return ReportedRun(
        id=run.id,
        epoch=run.epoch if epoch is None else epoch,
        alive=True,
        spooled_seq=run.last_seq,
        acked_seq=run.last_seq,
    )


def reason_of(error: RefusedError) -> str | None:
    """The reason a refusal gives to programs."""
    return None if error.details is None else error.details.get("reason")


class Harbour(Keeper):
    """What nodes, administrators and time do to the store, each in a commit of its own."""

    def beat(
        self,
        node_id: str = "n1",
        *,
        runs: Sequence[ReportedRun | RunRow] | None = (),
        by: Principal = ANY_NODE,
        slots: int = 4,
        agents: Sequence[str | AgentOffer] | None = (),
        **fields: Any,
    ) -> HeartbeatAnswer:
        """A heartbeat; ``None`` for runs or agents leaves them out."""
        named = [run if isinstance(run, ReportedRun) else reported(run) for run in runs or ()]
        offers = [
            AgentOffer(type=agent) if isinstance(agent, str) else agent for agent in agents or ()
        ]
        body = Heartbeat(
            **{
                "node_id": node_id,
                "process_id": f"{node_id}-p1",
                "started_at": "2026-11-23T08:00:00Z",
                "time": format_time(self.now_us),
                "capacity": ReportedCapacity(max_concurrent=slots),
                "agents": None if agents is None else offers,
                "runs": None if runs is None else named,
                **fields,
            }
        )
        return self.write(lambda tx: nodes.heartbeat(tx, body, by=by, settings=self.settings))

    def place(self) -> int:
        return self.write(lambda tx: scheduler.place(tx, self.settings))

    def claim(
        self,
        run: RunRow,
        node_id: str = "n1",
        *,
        process: str | None = None,
        epoch: int | None = None,
        by: Principal = ANY_NODE,
    ) -> leases.Claim:
        request = ClaimRequest(node_id=node_id, process_id=process or f"{node_id}-p1", epoch=epoch)
        return self.write(
            lambda tx: leases.claim(tx, run.id, request, by=by, settings=self.settings)
        )

    def append(
        self,
        run: RunRow,
        *types: str,
        epoch: int | None = None,
        by: Principal = ANY_NODE,
        **payload: Any,
    ) -> EventsAnswer:
        """Events behind the last one, all with the same payload."""
        last = self.run(run.id).last_seq
        body = EventBatch(
            epoch=epoch,
            events=[
                EventInput(
                    seq=last + 1 + index,
                    type=kind,
                    timestamp=format_time(self.now_us),
                    payload=msgspec.Raw(msgspec.json.encode(payload)),
                )
                for index, kind in enumerate(types)
            ],
        )
        batch = appends.prepare(body, limits=self.settings.limits, now_us=self.now_us)
        return self.write(
            lambda tx: appends.append(tx, run.id, batch, by=by, settings=self.settings)
        )

    def end(self, run: RunRow, status: str = "done") -> EventsAnswer:
        return self.append(run, "run_completed", epoch=self.run(run.id).epoch, status=status)

    def patch_run(self, run: RunRow, status: str, epoch: int | None = None) -> RunRow:
        wanted = RunPatch(status=status, epoch=epoch)  # type: ignore[arg-type]  # one of a table
        return self.write(
            lambda tx: runs.patch_run(tx, run.id, wanted, by=ANY_NODE, settings=self.settings)
        )

    def cancel(self, run: RunRow) -> RunRow:
        return self.write(
            lambda tx: runs.cancel_run(
                tx, run.id, reason="user", by_name="ops", note=None, settings=self.settings
            )
        )

    def drain(self, node_id: str = "n1", stop_after_s: int | None = None) -> NodeRow:
        return self.write(
            lambda tx: nodes.drain_node(
                tx, node_id, stop_after_s=stop_after_s, by_name="ops", settings=self.settings
            )
        )

    def resume(self, node_id: str = "n1") -> NodeRow:
        return self.write(lambda tx: nodes.resume_node(tx, node_id, settings=self.settings))

    def patch_node(self, node_id: str = "n1", **fields: Any) -> NodeRow:
        wanted = NodePatch(**fields)
        return self.write(lambda tx: nodes.patch_node(tx, node_id, wanted, settings=self.settings))

    def delete_node(self, node_id: str = "n1") -> None:
        self.write(lambda tx: nodes.delete_node(tx, node_id))

    def sweep(self, *, amnesty: bool = False) -> sweeper.Swept:
        """One sweep over everything that is due."""

        def work(tx: WriteTx) -> sweeper.Swept:
            node_ids = sweeper.candidates(tx.nodes.all(), tx.now_us, self.settings, amnesty=amnesty)
            return sweeper.sweep(tx, settings=self.settings, amnesty=amnesty, node_ids=node_ids)

        return self.write(work)

    def later(self, seconds: float, *beating: str) -> None:
        """Let time pass; the nodes named beat (without naming runs) and the sweeper sweeps."""
        self.wait(seconds)
        for node_id in beating:
            self.beat(node_id)
        self.sweep()

    def node_row(self, node_id: str = "n1") -> NodeRow:
        row = self.read(lambda tx: tx.nodes.get(node_id))
        assert row is not None
        return row

    def assigned(self, node_id: str = "n1", **task: Any) -> RunRow:
        """A run the scheduler gave to the node, not claimed."""
        run = self.queued_run(constraints=Constraints(node_id=node_id), **task)
        self.place()
        row = self.run(run.id)
        assert (row.status, row.node_id) == ("assigned", node_id)
        return row

    def held(self, node_id: str = "n1", **task: Any) -> RunRow:
        """A run the node claimed."""
        return self.claim(self.assigned(node_id, **task), node_id).row

    def running(self, node_id: str = "n1", **task: Any) -> RunRow:
        """A run the node claimed and began."""
        run = self.held(node_id, **task)
        self.append(run, "run_started", epoch=run.epoch)
        return self.run(run.id)
