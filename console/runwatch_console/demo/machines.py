"""The nodes of the made-up fleet, and the login one of them waits for."""

from dataclasses import dataclass
from random import Random
from typing import Final

import msgspec

from runwatch_console.demo import names
from runwatch_console.demo.login import PHASES
from runwatch_console.demo.logins import OPS, TEAM
from runwatch_console.demo.wish import Wish
from runwatch_shared.ledger import LedgerAnswer, LedgerRow
from runwatch_shared.models import (
    AgentOffer,
    Capacity,
    Login,
    Node,
    NodeId,
    NodeLedger,
    Spool,
    StatusSource,
    Waiting,
    WorkflowSummary,
)
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time

DRAINING_NODE: Final = "n4"
SILENT_FOR_US: Final = 190 * MICROSECONDS_PER_SECOND
OFFLINE_AFTER_US: Final = 45 * MICROSECONDS_PER_SECOND
LEAST_SLOTS: Final = 5
RUNS_A_SLOT: Final = 18
LOGIN_ID: Final = "act-00000000d3a0"
CODE_US: Final = 15 * 60 * MICROSECONDS_PER_SECOND


@dataclass(slots=True)
class Machine:
    """One node."""

    id: str
    hostname: str
    display_name: str
    capacity: int
    started_us: int
    beat_us: int

    @property
    def silent(self) -> bool:
        """Whether nothing is heard of it any more."""
        return self.id == names.SILENT_NODE

    @property
    def takes_runs(self) -> bool:
        """Whether new runs may go there."""
        return not self.silent and self.id != DRAINING_NODE

    def beat(self, now_us: int) -> None:
        """A heartbeat, unless it is silent."""
        if not self.silent:
            self.beat_us = now_us

    def record(self, *, allocated: int, now_us: int, revision: int) -> Node:
        """Contract 5.5."""
        draining = self.id == DRAINING_NODE
        status = "offline" if self.silent else "draining" if draining else "online"
        no_login = self.id == names.LOGIN_MISSING_NODE
        offers = [
            AgentOffer(type=kind.type, version="2.1")
            for kind in (names.CLAUDE, names.GEMINI, names.QWEN, names.COMMAND)
        ]
        codex = AgentOffer(
            type=names.CODEX.type,
            version="0.46",
            ready=not no_login,
            reason="login missing" if no_login else None,
        )
        return Node(
            id=NodeId(self.id),
            display_name=self.display_name or None,
            hostname=self.hostname,
            labels={"site": "edge"} if self.silent else {"site": "dc1"},
            version="0.1.0",
            started_at=format_time(self.started_us),
            status=status,  # type: ignore[arg-type]  # one of the five
            admin_status="draining" if draining else "active",
            last_heartbeat=format_time(self.beat_us),
            offline_since=format_time(self.beat_us + OFFLINE_AFTER_US) if self.silent else None,
            clock_skew_ms=12,
            capacity=Capacity(
                max_concurrent=self.capacity, available=max(0, self.capacity - allocated)
            ),
            allocated=allocated,
            ledger=self._ledger(allocated),
            agents=[*offers, codex],
            spool=Spool(events=0, bytes=0, limit_bytes=1 << 30),
            logins=[
                Login(agent_type=names.CLAUDE.type, account_id=OPS, state="ok"),
                Login(
                    agent_type=names.CODEX.type,
                    account_id=TEAM,
                    state="missing" if no_login else "ok",
                ),
            ],
            runtimes=["process"],
            active_runs=allocated,
            created_at=format_time(self.started_us),
            updated_at=format_time(min(now_us, self.beat_us)),
            revision=revision,
        )

    def _ledger(self, allocated: int) -> NodeLedger:
        """The draining one has a container that nobody owns; of the silent one nothing is known."""
        orphans = int(self.id == DRAINING_NODE)
        known = not self.silent
        return NodeLedger(
            capacity=self.capacity,
            allocated=allocated,
            pending=0,
            real=allocated + orphans if known else None,
            matched=allocated if known else None,
            phantom=0 if known else None,
            orphan=orphans if known else None,
            as_of=format_time(self.beat_us),
        )

    def ledger(self, run_ids: list[str]) -> LedgerAnswer:
        """The same, row by row (contract 11.4)."""
        numbers = self._ledger(len(run_ids))
        since = format_time(self.started_us)
        rows = [
            LedgerRow(run_id=run_id, class_="matched", since=since, reason="reported alive")
            for run_id in run_ids
        ]
        if numbers.orphan:
            reason = "a container without a run"
            rows.insert(
                0,
                LedgerRow(ref="runwatch-7d01c2e4", class_="orphan", since=since, reason=reason),
            )
        return LedgerAnswer(
            node_id=NodeId(self.id),
            rows=[] if self.silent else rows,
            **msgspec.structs.asdict(numbers),
        )


def machines(wish: Wish, now_us: int) -> dict[str, Machine]:
    """Six nodes, one of them silent, one draining."""
    slots = max(LEAST_SLOTS, wish.runs // RUNS_A_SLOT)
    week_us = 7 * 24 * 3600 * MICROSECONDS_PER_SECOND
    return {
        node_id: Machine(
            id=node_id,
            hostname=hostname,
            display_name=display_name,
            capacity=slots * 2 if display_name else slots,
            started_us=now_us - week_us,
            beat_us=now_us - (SILENT_FOR_US if node_id == names.SILENT_NODE else 0),
        )
        for node_id, hostname, display_name in names.NODES
    }


def login_row(wish: Wish, start_us: int, now_us: int, blocked: int) -> WorkflowSummary:
    """A login that waits for somebody to type a code (contract 5.6); a new code each quarter of an
    hour.
    """
    period = (now_us - start_us) // CODE_US
    begun_us = start_us + period * CODE_US - (240 * MICROSECONDS_PER_SECOND if not period else 0)
    chance = Random(f"code {wish.seed} {period}")
    letters = "BCDFGHJKLMNPQRSTVWXZ"
    code = "-".join("".join(chance.choices(letters, k=4)) for _ in range(2))
    url = "https://auth.example.com/device"
    begun, expires = format_time(begun_us), format_time(begun_us + CODE_US)
    return WorkflowSummary(
        id=LOGIN_ID,
        type="auth",
        name="openai-codex login: team@example.com",
        state="waiting",
        progress=75,
        status="waiting",
        cancelling=False,
        event_count=len(PHASES),
        last_seq=len(PHASES),
        start_time=begun,
        started_at=begun,
        update_time=begun,
        last_activity_at=begun,
        activity_text=f"code {code}",
        node_id=NodeId(names.LOGIN_MISSING_NODE),
        agent_type=names.CODEX.type,
        account_id=TEAM,
        labels={},
        health="ok",
        waiting=Waiting(
            kind="login",
            since=begun,
            prompt=f"enter {code} at {url}",
            deadline=expires,
            on_expiry="fail",
            open=1,
            holds_slot=False,
        ),
        usage=None,
        tool_calls=0,
        tool_failures=0,
        open_tools=0,
        revision=1 + period,
        status_source=StatusSource(kind="node", at=begun),
        attention=4,
        metadata={
            "account_id": TEAM,
            "method": "device_code",
            "operation_id": "op-00000000d3a0",
            "action_id": LOGIN_ID,
            "phase": PHASES[-1],
            "message": f"blocks {blocked}",
            "verify_url": url,
            "user_code": code,
            "expires_at": expires,
        },
    )
