"""The rows of a list as a JSON document or CSV lines, for a file; pure.

A file is given to others: what lets somebody log in is masked, as in recordings.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from runwatch_console.headless.formats import Value, csv_text, json_text
from runwatch_console.recording.masking import MASK, masked_bytes

Format = Literal["json", "csv"]
FORMATS: Final[tuple[Format, ...]] = ("json", "csv")
_LEFT_OUT: Final = frozenset({"look", "key", "searched"})
"""How a row is drawn and found, not what it says."""
_LOGIN_FIELDS: Final = frozenset({"code", "url"})
_LENGTHS: Final = frozenset({"timeout_s"})
_EARLIEST_S: Final = 1e8
"""Less than that is a length of time, not a moment."""


def export_text(rows: Sequence[msgspec.Struct], form: Format) -> str:
    """All rows, with moments as RFC 3339; in CSV what is nested is JSON, what is unknown empty."""
    records = [_record(row) for row in rows]
    if form == "json":
        return f"{json_text(records, indent=2)}\n"
    names = list(dict.fromkeys(name for record in records for name in record))
    return csv_text([names, *([_cell(record.get(name)) for name in names] for record in records)])


def _record(row: msgspec.Struct) -> dict[str, Any]:
    """One row by the names of its fields; `started_s` becomes `started_at`."""
    plain: Mapping[str, Any] = msgspec.to_builtins(row)
    login = plain.get("type") == "auth" or (plain.get("wait") or {}).get("kind") == "login"
    record: dict[str, Any] = {}
    for name, value in _masked(plain).items():
        if name in _LEFT_OUT:
            continue
        if name in _LOGIN_FIELDS or (login and name in ("activity", "wait", "login")):
            value = MASK if value else value
        if name.endswith("_s") and isinstance(value, float) and value > _EARLIEST_S:
            moment = datetime.fromtimestamp(value, UTC)
            record[f"{name.removesuffix('_s')}_at"] = moment.isoformat(timespec="milliseconds")
        elif name.endswith("_s") and value is None and name not in _LENGTHS:
            record[f"{name.removesuffix('_s')}_at"] = None
        else:
            record[name] = value
    return record


def _masked(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The row with what looks like a login's code or address masked, wherever it stands."""
    masked: dict[str, Any] = msgspec.json.decode(masked_bytes(msgspec.json.encode(plain)))
    return masked


def _cell(value: Any) -> Value:
    if isinstance(value, dict | list):
        return json_text(value) if value else ""
    cell: Value = value
    return cell
