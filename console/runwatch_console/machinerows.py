"""Rows and columns of what a node has: instances, proxies, the ledger; pure."""

from collections.abc import Mapping
from typing import Final

from runwatch_console.columns import CellText, Column, short_agent, short_id
from runwatch_console.formats import UNKNOWN, moment_s
from runwatch_console.lens import Lens
from runwatch_console.looks import ASSIGNED, CANCEL, DONE, FAIL, QUEUE, RUN, Look
from runwatch_console.looks import UNKNOWN as UNKNOWN_LOOK
from runwatch_console.rows import Row, short
from runwatch_shared.instances import Instance
from runwatch_shared.ledger import LedgerRow
from runwatch_shared.proxies import Proxy


class InstanceRow(Row, frozen=True, kw_only=True):
    """An instance (contract 14)."""

    id: str
    name: str
    account: str
    agent: str
    node: str
    container: str
    status: str
    error: str
    created_s: float | None
    updated_s: float | None


class ProxyRow(Row, frozen=True, kw_only=True):
    """A proxy (contract 14), with the end of its last test."""

    id: str
    name: str
    type: str
    host: str
    port: int
    username: str
    no_proxy: str
    default: bool
    status: str
    updated_s: float | None

    @property
    def address(self) -> str:
        """Where it is, without a name and never with a password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.type}://{host}:{self.port}"


class LedgerLine(Row, frozen=True, kw_only=True):
    """A run or a process in a node's ledger (contract 11.4)."""

    key: str
    kind: str
    """pending, matched, phantom or orphan."""
    what: str
    epoch: int | None
    since_s: float | None
    why: str


def instance_row(instance: Instance) -> InstanceRow:
    """A row from an instance; cleans every text that came from outside."""
    return InstanceRow(
        id=short(instance.id),
        name=short(instance.name),
        account=short(instance.account_id),
        agent=short(instance.agent_type_id),
        node=short(instance.node_id or ""),
        container=short(instance.container_name or ""),
        status=instance.status,
        error=short(instance.error or ""),
        created_s=moment_s(instance.created_at),
        updated_s=moment_s(instance.updated_at),
    )


def proxy_row(proxy: Proxy) -> ProxyRow:
    """A row from a proxy; cleans every text that came from outside."""
    return ProxyRow(
        id=short(proxy.id),
        name=short(proxy.name),
        type=proxy.type,
        host=short(proxy.host),
        port=proxy.port,
        username=short(proxy.username or ""),
        no_proxy=short(proxy.no_proxy or "", 1_000),
        default=proxy.is_default,
        status=proxy.status,
        updated_s=moment_s(proxy.updated_at),
    )


def ledger_line(row: LedgerRow) -> LedgerLine:
    """A line from a row of a ledger; cleans every text that came from outside."""
    what = short(row.run_id or row.ref or "")
    return LedgerLine(
        key=f"{row.class_}:{what}",
        kind=row.class_,
        what=what,
        epoch=row.epoch,
        since_s=moment_s(row.since),
        why=short(row.reason),
    )


_INSTANCE_LOOKS: Final[Mapping[str, Look]] = {
    "pending": QUEUE,
    "creating": ASSIGNED,
    "running": RUN,
    "stopping": ASSIGNED,
    "stopped": CANCEL,
    "error": FAIL,
}
_PROXY_LOOKS: Final[Mapping[str, Look]] = {"active": DONE, "inactive": CANCEL}
LEDGER_TONES: Final[Mapping[str, str]] = {
    "pending": "queued",
    "matched": "running",
    "phantom": "stalled",
    "orphan": "failed",
}


def _state(status: str, looks: Mapping[str, Look], word: str, lens: Lens) -> CellText:
    look = looks.get(status, UNKNOWN_LOOK)
    sign = look.ascii if lens.ascii else look.glyph
    return f"{sign} {lens.words(f'{word}.{status}')}", look.tone


def _known(text: str) -> CellText:
    return (text, "") if text else (UNKNOWN, "muted")


INSTANCE_COLUMNS: Final[tuple[Column[InstanceRow], ...]] = (
    Column(title="col.instance", width=13, cell=lambda row, _: (short_id(row.id), "id")),
    Column(title="col.name", width=10, flex=2, cell=lambda row, _: (row.name, "")),
    Column(
        title="col.state",
        width=11,
        cell=lambda row, lens: _state(row.status, _INSTANCE_LOOKS, "instance", lens),
    ),
    Column(
        title="col.account", width=12, flex=2, priority=2, cell=lambda row, _: _known(row.account)
    ),
    Column(
        title="col.agent", width=7, priority=4, cell=lambda row, _: (short_agent(row.agent), "")
    ),
    Column(title="col.node", width=6, priority=3, cell=lambda row, _: _known(row.node)),
    Column(
        title="col.age",
        width=6,
        priority=5,
        align="right",
        cell=lambda row, lens: (lens.since(row.updated_s), ""),
    ),
    Column(
        title="col.why",
        width=12,
        flex=4,
        priority=1,
        cell=lambda row, _: (row.error, "failed") if row.error else _known(row.container),
    ),
)
PROXY_COLUMNS: Final[tuple[Column[ProxyRow], ...]] = (
    Column(title="col.name", width=12, flex=2, cell=lambda row, _: (row.name, "")),
    Column(title="col.url", width=18, flex=4, cell=lambda row, _: (row.address, "")),
    Column(
        title="col.state",
        width=10,
        cell=lambda row, lens: _state(row.status, _PROXY_LOOKS, "proxy", lens),
    ),
    Column(
        title="col.default",
        width=7,
        cell=lambda row, lens: (lens.words("proxy.default"), "done") if row.default else ("", ""),
    ),
    Column(title="col.user", width=8, priority=2, cell=lambda row, _: _known(row.username)),
    Column(
        title="col.no_proxy", width=10, flex=2, priority=3, cell=lambda row, _: _known(row.no_proxy)
    ),
)
LEDGER_COLUMNS: Final[tuple[Column[LedgerLine], ...]] = (
    Column(
        title="col.class",
        width=8,
        cell=lambda row, lens: (lens.words(f"ledger.{row.kind}"), LEDGER_TONES.get(row.kind, "")),
    ),
    Column(title="col.run", width=16, flex=1, cell=lambda row, _: (short_id(row.what), "id")),
    Column(
        title="col.epoch",
        width=5,
        align="right",
        priority=3,
        cell=lambda row, _: _known("" if row.epoch is None else str(row.epoch)),
    ),
    Column(
        title="col.since",
        width=8,
        align="right",
        cell=lambda row, lens: (lens.since(row.since_s), ""),
    ),
    Column(title="col.why", width=20, flex=4, cell=lambda row, _: (row.why, "")),
)
