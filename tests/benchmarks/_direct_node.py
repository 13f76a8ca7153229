"""`… -m tests.benchmarks._direct_node SERVER DATA_DIR NODE_ID FILE`: what a node does with an
agent's output, without supervisor and log: read, redact, cut into lines, make events, send.

It carries out each run it is given by reading `cat FILE`, whatever the run says, until it is ended.
Nothing of it is on disk, so all is lost with it; that is what the log is compared with.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import msgspec

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.command import CommandAgent
from runwatch_nodemanager.agents.protocol import Draft
from runwatch_nodemanager.assignment import Assignment
from runwatch_nodemanager.credentials import find_access
from runwatch_nodemanager.events import number_draft
from runwatch_nodemanager.link import Link
from runwatch_nodemanager.output_stream import OutputStream
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.spool import Record
from runwatch_nodemanager.supervisor import READ_BYTES
from runwatch_nodemanager.transcript import Transcript
from runwatch_shared.clock import SystemClock
from runwatch_shared.models import AgentOffer
from runwatch_shared.settings import Limits, NodeSettings
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import ClaimAnswer, EventInput, Heartbeat, ReportedCapacity

BEAT_S: Final = 5.0
LIMITS: Final = Limits()


class DirectNode:
    """One node that runs one thing at a time."""

    def __init__(self, link: Link, file: str) -> None:
        self._link = link
        self._file = file
        self._clock = SystemClock()
        self._started_at = format_time(self._clock.now_us())

    async def beat(self) -> None:
        """Heartbeats, for ever."""
        while True:
            now = format_time(self._clock.now_us())
            await self._link.heartbeat(
                Heartbeat(
                    node_id=self._link.node_id,
                    process_id=self._link.process_id,
                    started_at=self._started_at,
                    time=now,
                    status="online",
                    capacity=ReportedCapacity(max_concurrent=1, available=1),
                    agents=[AgentOffer(type="command", ready=True)],
                    runs=[],
                )
            )
            await asyncio.sleep(BEAT_S)

    async def serve(self) -> None:
        """Carry out run after run, for ever."""
        while True:
            for run in (await self._link.runs(wait_s=20)).runs:
                await self.carry_out(await self._link.claim(run.id))

    async def carry_out(self, claim: ClaimAnswer) -> None:
        assignment = Assignment(
            run_id=claim.run.id,
            phase="claimed",
            node_id=self._link.node_id,
            snapshot=claim.run.snapshot,
        )
        transcript = Transcript(assignment, CommandAgent(), runtime_name="process")
        stream = OutputStream(Rules(), kinds.LINE, kinds.PART)
        batch: list[EventInput] = []
        seq = claim.next_seq - 1
        index = 0

        async def take(kind: int, payload: bytes) -> None:
            nonlocal seq, index, batch
            index += 1
            moment_us = self._clock.now_us()
            record = Record(kind=kind, index=index, moment_us=moment_us, payload=payload)
            drafts: list[Draft] = transcript.read(record)
            for draft in drafts:
                seq += 1
                made = number_draft(
                    draft, seq=seq, moment_us=moment_us, limit_bytes=LIMITS.event_bytes
                )
                batch.append(made.event)
            if len(batch) >= LIMITS.batch_events or kind == kinds.EXITED:
                await self._link.report(claim.run.id, claim.lease.epoch, batch)
                batch = []

        agent = await asyncio.create_subprocess_exec(
            "cat", self._file, stdout=asyncio.subprocess.PIPE, limit=READ_BYTES
        )
        await take(kinds.STARTED, msgspec.json.encode({"pid": agent.pid, "argv0": "cat"}))
        assert agent.stdout is not None
        while chunk := await agent.stdout.read(READ_BYTES):
            for kind, payload in stream.feed(chunk):
                await take(kind, payload)
        for kind, payload in stream.end():
            await take(kind, payload)
        await take(kinds.EXITED, msgspec.json.encode({"code": await agent.wait()}))


async def main(server: str, data_dir: str, node_id: str, file: str) -> None:
    settings = NodeSettings(server=server, data_dir=data_dir, node_id=node_id)
    link = Link(
        lambda: find_access(settings), node_id=node_id, process_id="direct", clock=SystemClock()
    )
    async with link:
        node = DirectNode(link, file)
        async with asyncio.TaskGroup() as group:
            group.create_task(node.beat())
            group.create_task(node.serve())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], str(Path(sys.argv[2])), sys.argv[3], sys.argv[4]))
