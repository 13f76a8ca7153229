"""Rows as JSON documents: how they are written into ``doc`` and read again."""

from typing import Final, Generic, TypeVar

import msgspec

from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.rows import (
    NodeRow,
    PruneRow,
    Row,
    RunFold,
    RunRow,
    SpecRow,
    StepRow,
    TaskRow,
    TokenRow,
    UserRow,
)

R = TypeVar("R", bound=Row)
T = TypeVar("T")

_ENCODER: Final = msgspec.json.Encoder()


class Document(Generic[R]):
    """One kind of row as text."""

    def __init__(self, kind: type[R]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def text(self, row: R) -> str:
        return _ENCODER.encode(row).decode()

    def row(self, text: str) -> R:
        return self._decoder.decode(text)


RUN: Final = Document(RunRow)
FOLD: Final = Document(RunFold)
SPEC: Final = Document(SpecRow)
STEP: Final = Document(StepRow)
TASK: Final = Document(TaskRow)
NODE: Final = Document(NodeRow)
USER: Final = Document(UserRow)
TOKEN: Final = Document(TokenRow)
PRUNE: Final = Document(PruneRow)
TELEMETRY: Final = Document(TelemetryRow)


class Recent(Generic[T]):
    """What the one writer last read or wrote, by id, so that it need not read and decode it again.

    Bounded; true as long as nobody else writes (see `store`). None is never kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: dict[str, T] = {}

    def get(self, key: str) -> T | None:
        return self._rows.get(key)

    def put(self, key: str, row: T) -> None:
        rows = self._rows
        rows.pop(key, None)
        rows[key] = row
        if len(rows) > self._size:
            del rows[next(iter(rows))]

    def forget(self, key: str) -> None:
        self._rows.pop(key, None)

    def clear(self) -> None:
        self._rows.clear()
