"""The fleet as the records of the wire, folded from frames; the rows of the screen are in
`folding`.
"""

from runwatch_console.ports import FleetFrame
from runwatch_shared.models import Account, Node, Stats, WorkflowSummary
from runwatch_shared.wire import ChangeFrame, ErrorFrame, ResyncFrame, SnapshotFrame

_Rows = tuple[dict[str, WorkflowSummary], dict[str, Node], dict[str, Account]]


class Holdings:
    """Every row as it came, at one revision (contract 7.2)."""

    def __init__(self) -> None:
        self.runs: dict[str, WorkflowSummary] = {}
        self.nodes: dict[str, Node] = {}
        self.accounts: dict[str, Account] = {}
        self.stats: Stats | None = None
        self.total: int | None = None
        self.revision = 0
        self.server_time = ""
        self.loaded = False
        """Whether a snapshot came to its end."""
        self._arriving: _Rows | None = None

    def take(self, frame: FleetFrame) -> None:
        """Go on by one frame."""
        if isinstance(frame, ErrorFrame):
            return
        match frame:
            case SnapshotFrame():
                self._snapshot(frame)
            case ChangeFrame():
                self._change(frame)
            case ResyncFrame():
                self._arriving = None
            case _:
                pass
        self.revision = frame.revision
        self.server_time = frame.server_time

    @property
    def settled(self) -> bool:
        """Whether `snapshots` is one whole snapshot."""
        return self.loaded and self._arriving is None

    def snapshots(self, sub: int = 1) -> list[SnapshotFrame]:
        """Frames that bring an empty fleet to this one, a snapshot under way with it."""
        frames = []
        if self.loaded:
            rows = (self.runs, self.nodes, self.accounts)
            frames.append(self._frame(sub, rows, last=True))
        if self._arriving is not None:
            frames.append(self._frame(sub, self._arriving, last=False))
        return frames

    def _frame(self, sub: int, rows: _Rows, *, last: bool) -> SnapshotFrame:
        runs, nodes, accounts = rows
        return SnapshotFrame(
            sub=sub,
            revision=self.revision,
            server_time=self.server_time,
            part=1,
            last=last,
            workflows=list(runs.values()),
            nodes=list(nodes.values()),
            accounts=list(accounts.values()) or None,
            stats=self.stats,
            total=self.total if last else None,
        )

    def _snapshot(self, frame: SnapshotFrame) -> None:
        if frame.part == 1 or self._arriving is None:
            self._arriving = ({}, {}, {})
        runs, nodes, accounts = self._arriving
        runs.update((row.id, row) for row in frame.workflows or ())
        nodes.update((row.id, row) for row in frame.nodes or ())
        accounts.update((row.id, row) for row in frame.accounts or ())
        if frame.stats is not None:
            self.stats = frame.stats
        if frame.last:
            self.runs, self.nodes, self.accounts = runs, nodes, accounts
            self.total, self.loaded, self._arriving = frame.total, True, None

    def _change(self, frame: ChangeFrame) -> None:
        if frame.workflows is not None:
            for key in frame.workflows.remove:
                self.runs.pop(key.id, None)
            self.runs.update((row.id, row) for row in frame.workflows.upsert)
        if frame.nodes is not None:
            for node_id in frame.nodes.remove:
                self.nodes.pop(node_id, None)
            self.nodes.update((node.id, node) for node in frame.nodes.upsert)
        if frame.accounts is not None:
            for account_id in frame.accounts.remove:
                self.accounts.pop(account_id, None)
            self.accounts.update((account.id, account) for account in frame.accounts.upsert)
        self._count(frame)

    def _count(self, frame: ChangeFrame) -> None:
        if frame.stats is not None:
            self.stats = frame.stats
        if frame.total is not None:
            self.total = frame.total
        elif self.total is not None:
            self.total = max(0, self.total + frame.entered - frame.left)
