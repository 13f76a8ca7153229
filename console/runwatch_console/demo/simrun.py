"""One run of the made-up fleet: its events change it as contract 9.3 says, and it tells its row."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from runwatch_console.demo.names import AgentKind
from runwatch_console.demo.stories import Beat
from runwatch_shared.models import (
    Burn,
    Event,
    RunId,
    StatusSource,
    Usage,
    Waiting,
    WorkflowSummary,
)
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_optional_time, format_time

KEPT_EVENTS: Final = 2_000
"""Of a run; what is older is gone, as by retention."""
WINDOW: Final = 12
LOOPING: Final = 4
STALLED_US: Final = 300 * MICROSECONDS_PER_SECOND
SLOW_US: Final = 45 * 60 * MICROSECONDS_PER_SECOND
STUCK_US: Final = 600 * MICROSECONDS_PER_SECOND
WAITING_LONG_US: Final = 3600 * MICROSECONDS_PER_SECOND
DEADLINE_US: Final = 3 * WAITING_LONG_US
ENDED: Final = frozenset({"done", "failed", "cancelled", "timeout"})
_STATES: Final = {
    "queued": "pending",
    "assigned": "pending",
    "running": "running",
    "done": "completed",
}
_ATTENTION: Final = {"waiting": 4, "unknown": 3, "running": 2, "pending": 1}


class SimRun:
    """See the module. Moments are microseconds since the epoch."""

    def __init__(
        self, run_id: str, name: str, agent: AgentKind, *, task_id: str, at_us: int
    ) -> None:
        self.id = run_id
        self.name = name
        self.agent = agent
        self.task_id = task_id
        self.created_us = self.updated_us = at_us
        self.labels: dict[str, str] = {}
        self.prompt = ""
        self.argv: tuple[str, ...] = ()
        self.tale: Iterator[Beat] | None = None
        self.status = "queued"
        self.node = ""
        self.node_silent = False
        self.cancelling = False
        self.parent_id: str | None = None
        self.started_us: int | None = None
        self.ended_us: int | None = None
        self.active_us: int | None = None
        self.activity = ""
        self.queue_reason = ""
        self.queue_code = ""
        self.error = ""
        self.error_code = ""
        self.exit_code: int | None = None
        self.progress = 50
        self.health = "ok"
        self.health_us: int | None = None
        self.health_reason = ""
        self.wait: dict[str, Any] | None = None
        self.wait_us = 0
        self.tool_calls = 0
        self.tool_failures = 0
        self.open_calls: dict[str, str] = {}
        self.recent: deque[str] = deque(maxlen=WINDOW)
        self.tokens = [0, 0, 0, 0]
        self.cost_usd: float | None = None
        self.usage_us: int | None = None
        self.last_seq = 0
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.revision = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ENDED

    @property
    def state(self) -> str:
        """Contract 6.2."""
        if self.ended:
            return "completed" if self.status == "done" else "failed"
        if self.node_silent:
            return "unknown"
        if self.wait is not None:
            return "waiting"
        return _STATES[self.status]

    # Events.

    @property
    def first_seq(self) -> int:
        """Of the oldest event that is kept; 0 for none."""
        return self.events[0].seq if self.events else 0

    def rising(self, after_seq: int) -> Iterator[Event]:
        """See `held.pages.EventLog`."""
        return iter([event for event in self.events if event.seq > after_seq])

    def falling(self, before_seq: int | None) -> Iterator[Event]:
        """See `held.pages.EventLog`."""
        known = [e for e in self.events if before_seq is None or e.seq < before_seq]
        return reversed(known)

    def take(self, beat: Beat, at_us: int) -> None:
        """An event comes."""
        self.last_seq += 1
        moment = format_time(at_us)
        self.events.append(
            Event(
                id=self.last_seq,
                run_id=RunId(self.id),
                seq=self.last_seq,
                epoch=1,
                type=beat.type,
                timestamp=moment,
                received_at=moment,
                level=beat.level,  # type: ignore[arg-type]  # one of the four
                payload=msgspec.Raw(msgspec.json.encode(beat.payload)),
            )
        )
        if beat.type != "heartbeat":
            self.active_us = at_us
        if (change := _CHANGES.get(beat.type)) is not None:
            change(self, beat.payload, at_us)
        if (usage := beat.payload.get("usage")) is not None:
            self._count(usage, at_us)

    def _count(self, usage: dict[str, Any], at_us: int) -> None:
        names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        self.tokens = [had + usage[name] for had, name in zip(self.tokens, names, strict=True)]
        self.cost_usd = (self.cost_usd or 0.0) + usage["cost_usd"]
        self.usage_us = at_us

    def started(self, _: Any, at_us: int) -> None:
        """It runs."""
        self.status, self.started_us, self.updated_us = "running", at_us, at_us
        self.activity, self.queue_reason, self.queue_code = "started", "", ""

    def said(self, payload: Any, _: int) -> None:
        """Its words are what it does."""
        self.activity = str(payload["content"]).split("\n")[0][:160]

    def called(self, payload: Any, _: int) -> None:
        """A tool is open."""
        tool, given = payload["tool"], payload["input"]
        self.tool_calls += 1
        self.open_calls[payload["id"]] = tool
        self.recent.append(f"{tool} {given}")
        self.activity = f"{tool}: {next(iter(given.values()))}"[:160]

    def closed(self, payload: Any, _: int) -> None:
        """A tool is done."""
        self.open_calls.pop(payload["id"], None)
        self.tool_failures += payload["success"] is False

    def commanded(self, payload: Any, _: int) -> None:
        """A command is open."""
        self.tool_calls += 1
        self.open_calls[payload["id"]] = "command"
        self.activity = f"$ {' '.join(payload['argv'])}"[:160]

    def printed(self, payload: Any, _: int) -> None:
        """Output, or the command's end."""
        if (code := payload.get("exit_code")) is not None:
            self.open_calls.pop(payload["id"], None)
            self.tool_failures += code != 0

    def moved(self, payload: Any, _: int) -> None:
        """Progress."""
        self.progress = max(1, min(99, round(payload["progress"] * 100)))
        self.activity = payload["message"]

    def asked(self, payload: Any, at_us: int) -> None:
        """It waits for a person."""
        self.wait, self.wait_us, self.updated_us = payload, at_us, at_us
        self.activity = payload["prompt"][:160]

    def answered(self, _: Any, at_us: int) -> None:
        """It waits no more."""
        self.wait, self.updated_us = None, at_us

    def over(self, payload: Any, at_us: int) -> None:
        """Its end."""
        self.status = payload.get("status", "failed")
        self.ended_us = self.updated_us = at_us
        self.exit_code = payload.get("exit_code")
        self.error = payload.get("error", "" if self.status != "failed" else "exit 2")
        self.error_code = payload.get("error_code", "")
        self.open_calls.clear()
        self.wait, self.cancelling, self.health, self.health_us = None, False, "ok", None

    # Health.

    def judge(self, now_us: int) -> bool:
        """Set or clear the flag (contract 6.3); whether it changed."""
        health, reason = self._health(now_us)
        if health == self.health:
            return False
        self.health, self.health_reason = health, reason
        self.health_us = None if health == "ok" else now_us
        self.updated_us = now_us
        return True

    def _health(self, now_us: int) -> tuple[str, str]:
        if self.ended or self.node_silent:
            return "ok", ""
        if self.wait is not None:
            long = now_us - self.wait_us > WAITING_LONG_US
            return ("waiting_long", "waiting over 1h") if long else ("ok", "")
        if self.status != "running":
            stuck = now_us - self.created_us > STUCK_US
            return ("stuck_queued", "queued over 10m") if stuck else ("ok", "")
        call, count = max(Counter(self.recent).items(), key=lambda pair: pair[1], default=("", 0))
        if count >= LOOPING:
            return "looping", f"same {call.split()[0]} call {count} of last {len(self.recent)}"
        if not self.open_calls and now_us - (self.active_us or now_us) > STALLED_US:
            return "stalled", "silent over 5m, no tool in flight"
        if now_us - (self.started_us or now_us) > SLOW_US:
            return "slow", "running over 45m"
        return "ok", ""

    # Its row.

    def summary(self, now_us: int) -> WorkflowSummary:
        """Contract 5.6."""
        state = self.state
        troubled = self.health != "ok" and state != "waiting"
        begun, ended = self.started_us, self.ended_us
        return WorkflowSummary(
            id=self.id,
            type="run",
            name=self.name,
            state=state,  # type: ignore[arg-type]  # one of the six
            progress=self._progress(),
            status=self.status,
            cancelling=self.cancelling,
            event_count=self.last_seq,
            last_seq=self.last_seq,
            start_time=format_time(self.created_us),
            started_at=format_optional_time(begun),
            end_time=format_optional_time(ended),
            update_time=format_time(self.updated_us),
            duration_ms=(ended - begun) // 1000
            if ended is not None and begun is not None
            else None,
            queue_wait_ms=(begun - self.created_us) // 1000 if begun is not None else None,
            last_activity_at=format_optional_time(self.active_us),
            activity_text=self.activity or None,
            node_id=self.node or None,  # type: ignore[arg-type]  # a name
            agent_type=self.agent.type,
            task_id=self.task_id,  # type: ignore[arg-type]  # a name
            task_name=self.name,
            labels=self.labels,
            error=self.error or None,
            error_code=self.error_code or None,
            exit_code=self.exit_code,
            health=self.health,  # type: ignore[arg-type]  # one of the six
            health_reason=self.health_reason or None if self.health != "ok" else None,
            health_since=format_optional_time(self.health_us),
            waiting=self._waiting(),
            queue_reason=self.queue_reason or None,
            queue_reason_code=self.queue_code or None,  # type: ignore[arg-type]  # of the list
            usage=self._usage(),
            burn=self._burn(now_us),
            tool_calls=self.tool_calls,
            tool_failures=self.tool_failures,
            open_tools=len(self.open_calls),
            revision=self.revision,
            status_source=self._source(),
            attention=3 if troubled and not self.ended else _ATTENTION.get(state, 0),
            metadata={"task_id": self.task_id},
        )

    def _progress(self) -> int:
        return 100 if self.ended else {"queued": 10, "assigned": 25}.get(self.status, self.progress)

    def _source(self) -> StatusSource:
        at = format_time(self.updated_us)
        if self.node_silent and not self.ended:
            return StatusSource(kind="inferred", at=at, note=f"{self.node} is silent")
        return StatusSource(kind="scheduler" if self.status == "queued" else "event", at=at)

    def _waiting(self) -> Waiting | None:
        if self.wait is None or self.node_silent:
            return None
        return Waiting(
            kind=self.wait["kind"],
            since=format_time(self.wait_us),
            prompt=self.wait["prompt"],
            deadline=format_time(self.wait_us + DEADLINE_US),
            on_expiry="deny",
            open=1,
            holds_slot=True,
        )

    def _usage(self) -> Usage | None:
        if self.usage_us is None:
            return None
        return Usage(
            input_tokens=self.tokens[0],
            output_tokens=self.tokens[1],
            cache_read_tokens=self.tokens[2],
            cache_write_tokens=self.tokens[3],
            total_tokens=sum(self.tokens),
            cost_usd=self.cost_usd,
            cost_source="agent",
            partial=False,
            model=self.agent.model,
            as_of=format_time(self.usage_us),
        )

    def rates(self, now_us: int) -> tuple[float, float] | None:
        """Dollars an hour and tokens a minute since it began; None unless it runs."""
        if self.usage_us is None or self.started_us is None or self.ended:
            return None
        hours = max(1 / 60, (now_us - self.started_us) / MICROSECONDS_PER_SECOND / 3600)
        return round((self.cost_usd or 0.0) / hours, 3), round(sum(self.tokens) / hours / 60, 1)

    def _burn(self, now_us: int) -> Burn | None:
        rates = self.rates(now_us)
        if rates is None:
            return None
        return Burn(
            cost_usd_per_h=rates[0],
            tokens_per_min=rates[1],
            window_s=600,
            as_of=format_time(now_us),
        )


_CHANGES: Final = {
    "run_started": SimRun.started,
    "message": SimRun.said,
    "thinking": lambda run, _, __: setattr(run, "activity", "thinking"),
    "tool_use_start": SimRun.called,
    "tool_result": SimRun.closed,
    "command": SimRun.commanded,
    "command_output": SimRun.printed,
    "progress": SimRun.moved,
    "approval_request": SimRun.asked,
    "approval_response": SimRun.answered,
    "run_completed": SimRun.over,
    "run_failed": SimRun.over,
}
