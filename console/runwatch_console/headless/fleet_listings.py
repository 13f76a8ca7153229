"""What the lists `attention` and `auth` are: their rows, columns and fields; pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from runwatch_console.accountrows import AccountRow
from runwatch_console.attention import Heading, Item, attention_keys, attention_row
from runwatch_console.authcolumns import AUTH_COLUMNS
from runwatch_console.authrows import AuthRow, auth_rows
from runwatch_console.columns import CellText, Column
from runwatch_console.fleet import Fleet
from runwatch_console.formats import UNKNOWN, format_age
from runwatch_console.headless.fleet_lists import FleetListing
from runwatch_console.headless.formats import Value
from runwatch_console.lens import Lens
from runwatch_console.rows import RunRow


class AttentionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the home screen. `run` is None of a node and of the queue."""

    part: str
    key: str
    item: Item
    run: RunRow | None
    now_s: float
    """The server's clock when it was so."""


def attention_lines(fleet: Fleet, lens: Lens) -> list[AttentionLine]:
    """What needs somebody, in order of need."""
    keys = attention_keys(fleet, lens.now_s)
    lines, part = [], ""
    for key in keys:
        row = attention_row(key, keys, fleet, lens)
        if isinstance(row, Heading):
            part = row.part
        elif row is not None:
            run = fleet.runs.get(key.removeprefix("run:"))
            lines.append(AttentionLine(part=part, key=key, item=row, run=run, now_s=lens.now_s))
    return lines


def _told(line: AttentionLine) -> object:
    """What is news: not an age, which is different every time."""
    run = line.run
    said = () if run is None else (run.health_reason, run.queue_reason, run.wait, run.error)
    return line.part, line.item.look.word, line.item.since_s, said


def _attention_record(line: AttentionLine) -> Mapping[str, Value]:
    item = line.item
    kind, _, name = line.key.partition(":")
    return {
        "part": line.part,
        "kind": kind,
        "id": name or None,
        "name": item.name or None,
        "state": item.look.word.removeprefix("look."),
        "since_s": item.since_s,
        "why": item.why,
        "note": item.note or None,
    }


def _age(line: AttentionLine, lens: Lens) -> tuple[str, str]:
    since_s = line.item.since_s
    return (UNKNOWN if since_s is None else format_age(lens.now_s - since_s)), ""


ATTENTION: Final[FleetListing[AttentionLine]] = FleetListing(
    topics=("workflows", "nodes", "stats"),
    columns=(
        Column(
            title="col.part",
            width=9,
            priority=3,
            cell=lambda line, lens: (lens.words(f"part.{line.part}.name"), "muted"),
        ),
        Column(
            title="col.state",
            width=9,
            cell=lambda line, lens: (lens.look(line.item.look), line.item.look.tone),
        ),
        Column(title="col.age", width=7, align="right", cell=_age),
        Column(title="col.run", width=16, cell=lambda line, _: (line.item.id, "id")),
        Column(
            title="col.task",
            width=12,
            flex=1,
            priority=2,
            cell=lambda line, _: (line.item.name, ""),
        ),
        Column(title="col.why", width=20, flex=4, cell=lambda line, _: (line.item.why, "")),
        Column(title="col.note", width=10, priority=4, cell=lambda line, _: (line.item.note, "")),
    ),
    rows=attention_lines,
    key=lambda line: line.key,
    told=_told,
    record=_attention_record,
    fields=("part", "kind", "id", "name", "state", "since_s", "why", "note"),
    nothing="headless.attention_none",
)


def _auth_record(row: AuthRow) -> Mapping[str, Value]:
    return {
        "account": row.account or None,
        "account_id": row.account_id or None,
        "agent_type": row.agent,
        "node": row.node or None,
        "state": "unknown" if row.stale else row.state,
        "user_code": row.code or None,
        "verify_url": row.url or None,
        "expires_at_s": row.expires_s,
        "phase": row.phase or None,
        "asks": row.asks or None,
        "error": row.error or None,
        "blocks": row.blocks,
        "workflow_id": row.run_id or None,
    }


AUTH: Final[FleetListing[AuthRow]] = FleetListing(
    topics=("workflows", "nodes", "accounts"),
    columns=AUTH_COLUMNS,
    rows=lambda fleet, _: auth_rows(fleet),
    key=lambda row: row.key,
    told=lambda row: row,
    record=_auth_record,
    fields=(
        "account", "account_id", "agent_type", "node", "state", "user_code", "verify_url",
        "expires_at_s", "phase", "asks", "error", "blocks", "workflow_id",
    ),
    nothing="empty.no_logins",
)  # fmt: skip


def _account_record(row: AccountRow) -> Mapping[str, Value]:
    return {
        "id": row.id,
        "name": row.name,
        "agent_type": row.agent,
        "status": row.status,
        "nodes": " ".join(row.nodes) or None,
        "expires_at_s": row.expires_s,
        "last_used_at_s": row.used_s,
        "last_401_at_s": row.last_401_s,
        "blocked_runs": row.blocked,
        "stored": row.stored,
    }


def _account_state(row: AccountRow, lens: Lens) -> CellText:
    state = row.state_at(lens.now_s)
    return lens.words(f"login.{state}"), ACCOUNT_TONES.get(state, "")


def _moment(moment_s: float | None, lens: Lens) -> str:
    return lens.since(moment_s) if moment_s is not None else UNKNOWN


ACCOUNT_TONES: Final[Mapping[str, str]] = {
    "ok": "done",
    "expiring": "waiting",
    "expired": "failed",
    "authenticating": "waiting",
}
ACCOUNTS: Final[FleetListing[AccountRow]] = FleetListing(
    topics=("accounts",),
    columns=(
        Column(title="col.account", width=20, flex=2, cell=lambda row, _: (row.id, "id")),
        Column(title="col.name", width=14, flex=1, priority=5, cell=lambda row, _: (row.name, "")),
        Column(title="col.state", width=11, cell=_account_state),
        Column(
            title="col.node",
            width=10,
            flex=1,
            priority=1,
            cell=lambda row, _: (", ".join(row.nodes) or UNKNOWN, ""),
        ),
        Column(
            title="col.expires",
            width=8,
            align="right",
            priority=2,
            cell=lambda row, lens: (lens.until(row.expires_s), ""),
        ),
        Column(
            title="col.refused",
            width=8,
            align="right",
            priority=3,
            cell=lambda row, lens: (_moment(row.last_401_s, lens), ""),
        ),
        Column(
            title="col.used",
            width=8,
            align="right",
            priority=4,
            cell=lambda row, lens: (_moment(row.used_s, lens), ""),
        ),
        Column(
            title="col.blocks",
            width=6,
            align="right",
            cell=lambda row, _: (str(row.blocked), "waiting" if row.blocked else "muted"),
        ),
    ),
    rows=lambda fleet, _: sorted(fleet.accounts.values(), key=lambda row: (row.agent, row.id)),
    key=lambda row: row.id,
    told=lambda row: row,
    record=_account_record,
    fields=(
        "id", "name", "agent_type", "status", "nodes", "expires_at_s", "last_used_at_s",
        "last_401_at_s", "blocked_runs", "stored",
    ),
    nothing="headless.accounts_none",
)  # fmt: skip
