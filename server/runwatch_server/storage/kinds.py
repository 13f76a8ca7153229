"""Every kind of kept row there is; a new kind is one more line of the table."""

from typing import Final, TypeVar

import msgspec

from runwatch_server.accounts.rows import AccountRow, ActionRow, ArchivePartRow, ArchiveRow
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.kept import KeptRow
from runwatch_server.proxies.rows import EnvConfigRow, ProxyRow, ProxyTestRow

K = TypeVar("K", bound=KeptRow)

_ROWS: Final[tuple[type[KeptRow], ...]] = (
    EnvConfigRow,
    ProxyRow,
    ProxyTestRow,
    AccountRow,
    ActionRow,
    ArchiveRow,
    ArchivePartRow,
    InstanceRow,
)
KINDS: Final[dict[str, type[KeptRow]]] = {row.KIND: row for row in _ROWS}

_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final = {kind: msgspec.json.Decoder(row) for kind, row in KINDS.items()}


def text_of(row: KeptRow) -> str:
    """A row as its document."""
    return _ENCODER.encode(row).decode()


def columns_of(row: KeptRow) -> dict[str, str | int | None]:
    """What a row is found by, by name."""
    return {
        "kind": row.KIND,
        "id": row.id,
        **row.place._asdict(),
        "created_us": row.created_us,
        "updated_us": row.updated_us,
        "revision": row.revision,
    }


def row_of(row: type[K], text: str | bytes) -> K:
    """A document as the row it was."""
    found = _DECODERS[row.KIND].decode(text)
    assert isinstance(found, row)
    return found


def any_row_of(kind: str, text: str | bytes) -> KeptRow | None:
    """A document of a kind by name; None for a kind this build does not have.

    Raises:
        msgspec.MsgspecError: It is no such document.
    """
    decoder = _DECODERS.get(kind)
    return None if decoder is None else decoder.decode(text)
