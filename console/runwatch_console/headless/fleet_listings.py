"""What the lists `attention` and `auth` are: their rows, columns and fields; pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from runwatch_console.attention import Heading, Item, attention_keys, attention_row
from runwatch_console.authcolumns import AUTH_COLUMNS
from runwatch_console.authrows import AuthRow, auth_rows
from runwatch_console.columns import Column
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
        "agent_type": row.agent,
        "node": row.node or None,
        "state": "unknown" if row.stale else row.state,
        "user_code": row.code or None,
        "verify_url": row.url or None,
        "expires_at_s": row.expires_s,
        "blocks": row.blocks,
        "workflow_id": row.run_id or None,
    }


AUTH: Final[FleetListing[AuthRow]] = FleetListing(
    topics=("workflows", "nodes"),
    columns=AUTH_COLUMNS,
    rows=lambda fleet, _: auth_rows(fleet),
    key=lambda row: row.key,
    told=lambda row: row,
    record=_auth_record,
    fields=(
        "account", "agent_type", "node", "state", "user_code", "verify_url", "expires_at_s",
        "blocks", "workflow_id",
    ),
    nothing="empty.no_logins",
)  # fmt: skip
