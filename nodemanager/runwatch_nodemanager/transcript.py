"""What the records of a run's log mean, as events without numbers; reads no files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, get_args

import msgspec

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.protocol import Adapter, Agent, Draft, End, Json, Stream
from runwatch_nodemanager.assignment import Assignment
from runwatch_nodemanager.changes.report import Changes
from runwatch_nodemanager.line_joiner import LineJoiner, StreamState
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.spool import Hole, Record
from runwatch_shared.models import CancelReason

STREAM_OF_KIND: Final[dict[int, tuple[Stream, bool]]] = {
    kinds.LINE: ("stdout", True),
    kinds.PART: ("stdout", False),
    kinds.ERROR_LINE: ("stderr", True),
    kinds.ERROR_PART: ("stderr", False),
}
"""Which stream, and whether the line ends."""
STREAMS: Final[tuple[Stream, ...]] = ("stdout", "stderr")

CANCEL_REASONS: Final[frozenset[str]] = frozenset(get_args(CancelReason))


class TranscriptState(msgspec.Struct, frozen=True, kw_only=True):
    """All that later events depend on."""

    moment_us: int = 0
    adapter: dict[str, Any] | None = None
    streams: dict[str, StreamState] = {}
    stopping: str | None = None


class Transcript:
    """One run, record by record, from the beginning or from a saved state.

    Args:
        rules: What is secret once lines were decoded and put together: what the log holds was
            searched as it came, where an answer may be in pieces.
    """

    def __init__(
        self,
        assignment: Assignment,
        agent: Agent,
        *,
        runtime_name: str,
        saved: TranscriptState | None = None,
        rules: Rules | None = None,
    ) -> None:
        if assignment.snapshot is None:
            raise ValueError("an assignment that was claimed has a snapshot")
        start = saved or TranscriptState()
        self._assignment = assignment
        self._snapshot = assignment.snapshot
        self._runtime_name = runtime_name
        self._rules = rules
        self._stopping = start.stopping
        # Read again from the beginning, a run's output must give the same events again.
        memory = assignment.memory if start.adapter is None else start.adapter
        self._adapter: Adapter = agent.adapter(assignment.snapshot, memory)
        self._joiner = LineJoiner(whole_lines=self._adapter.whole_lines, saved=dict(start.streams))
        self.moment_us = start.moment_us
        """When the newest record was written."""
        self.ended_by: str | None = None
        """Who ended it, an `End.reason`; None also while it has not ended."""
        self.changes = Changes()
        """What the run changed; to be set before its last record is read."""
        self.terminal: Draft | None = None
        """The terminal event, once its record was read."""
        self._of_kind: dict[int, Callable[[Record], list[Draft]]] = {
            **dict.fromkeys(STREAM_OF_KIND, self._output),
            kinds.STARTED: self._started,
            kinds.REFUSED: self._refused,
            kinds.STOPPING: self._stopped,
            kinds.EXITED: self._exited,
            kinds.GONE: self._gone,
            kinds.DROPPED: self._dropped,
        }

    @property
    def aligned(self) -> bool:
        """Whether ``save`` tells everything."""
        return self._joiner.aligned

    def save(self) -> TranscriptState:
        return TranscriptState(
            moment_us=self.moment_us,
            adapter=self._hidden(self._adapter.save()),
            streams=dict(self._joiner.save()),
            stopping=self._stopping,
        )

    def read(self, found: Record | Hole) -> list[Draft]:
        """The events of one record; all of them are of the moment ``moment_us``."""
        if isinstance(found, Hole):
            return [self._told(draft) for draft in self._hole(found)]
        self.moment_us = found.moment_us
        reader = self._of_kind.get(found.kind)
        return [self._told(draft) for draft in reader(found)] if reader else []

    def _hidden(self, facts: Json) -> Json:
        """Without what is secret; plain lines were searched as they are."""
        if self._rules is None or not self._adapter.whole_lines:
            return facts
        hidden: Json = self._rules.tree(facts)
        return hidden

    def _told(self, draft: Draft) -> Draft:
        payload = self._hidden(draft.payload)
        # Its line holds the same in a spelling that was not found there.
        return draft if payload == draft.payload else Draft(draft.type, payload)

    def _output(self, record: Record) -> list[Draft]:
        stream, ended = STREAM_OF_KIND[record.kind]
        ready = self._joiner.feed(stream, record.payload, ended=ended, moment_us=record.moment_us)
        if ready is None or isinstance(ready, Draft):
            return [ready] if ready else []
        return self._adapter.line(ready)

    def _rest(self, streams: Sequence[Stream] = STREAMS) -> list[Draft]:
        """Events of lines whose end will not come."""
        drafts: list[Draft] = []
        for stream in streams:
            ready = self._joiner.give_up(stream, self.moment_us)
            if isinstance(ready, Draft):
                drafts.append(ready)
            elif ready is not None:
                drafts += self._adapter.line(ready)
        return drafts

    def _hole(self, hole: Hole) -> list[Draft]:
        facts: Json = {
            "code": "spool_corrupt",
            "message": "part of the output was damaged on the node's disk and is lost here",
            "lost_bytes": hole.lost_bytes,
        }
        if hole.records is not None:
            facts["lost_records"] = hole.records
        return [*self._rest(), Draft("warning", facts)]

    def _started(self, record: Record) -> list[Draft]:
        assignment, facts = self._assignment, _facts(record)
        agent: Json = {"type": self._snapshot.agent.type}
        if assignment.agent_version is not None:
            agent["version"] = assignment.agent_version
        if self._snapshot.agent.model is not None:
            agent["model"] = self._snapshot.agent.model
        payload: Json = {
            "node_id": assignment.node_id,
            "runtime": facts.get("runtime") or self._runtime_name,
            "pid": facts.get("pid"),
            "agent": agent,
            "workspace": {"type": assignment.workspace_type, "path": assignment.workspace},
        }
        if facts.get("container"):
            payload["container"] = facts["container"]
        began = self._adapter.started(assignment.argv, assignment.workspace)
        return [Draft("run_started", payload), *self._unprotected(), *began]

    def _unprotected(self) -> list[Draft]:
        names = ", ".join(self._assignment.unprotected)
        if not names:
            return []
        message = f"too short or too usual to be found in the output and replaced there: {names}"
        return [Draft("warning", {"code": "secret_too_short", "message": message})]

    def _dropped(self, record: Record) -> list[Draft]:
        facts = _facts(record)
        lost = {"lost_bytes": facts.get("bytes"), "lost_lines": facts.get("lines")}
        message = "output was dropped: the run's log was full and the server did not take it"
        # What is written next is no part of a line that was begun before.
        hit = facts.get("streams", STREAMS)
        rest = self._rest([stream for stream in STREAMS if stream in hit])
        return [*rest, Draft("warning", {"code": "output_dropped", "message": message, **lost})]

    def _stopped(self, record: Record) -> list[Draft]:
        self._stopping = str(_facts(record).get("reason"))
        return []

    def _refused(self, record: Record) -> list[Draft]:
        facts = _facts(record)
        if facts.get("reason") is not None:
            return self._finish(End(reason=str(facts["reason"])))
        error = str(facts.get("error", "the agent could not be started"))
        return self._finish(
            End(error=error, error_code=str(facts.get("error_code", "start_failed")))
        )

    def _exited(self, record: Record) -> list[Draft]:
        facts = _facts(record)
        return self._finish(
            End(
                code=facts.get("code"),
                signal=facts.get("signal"),
                reason=facts.get("reason"),
                duration_ms=facts.get("duration_ms"),
            )
        )

    def _gone(self, record: Record) -> list[Draft]:
        error = str(_facts(record).get("error", "the agent is gone"))
        end = End(error=error, error_code="interrupted", reason=self._stopping)
        if self._stopping in CANCEL_REASONS:
            end = End(reason=self._stopping)
        *before, last = self._finish(end)
        message = "the agent's supervisor is gone: what it had not written yet is lost here"
        return [*before, Draft("warning", {"code": "output_unknown", "message": message}), last]

    def _finish(self, end: End) -> list[Draft]:
        rest = self._rest()
        *before, last = self._adapter.end(end)
        artifacts = self.changes.artifacts()
        told = replace(last, payload={**last.payload, **artifacts}) if artifacts else last
        self.terminal = self._told(told)
        self.ended_by = end.reason
        return [*rest, *before, *self.changes.drafts(), self.terminal]


def _facts(record: Record) -> Json:
    try:
        facts = json.loads(record.payload)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
