"""Records as JSON and CSV which no terminal obeys and no spreadsheet computes; pure."""

import csv
import io
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from runwatch_shared.text import clean

Value = str | int | float | bool | None

FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so would be computed by a spreadsheet: OWASP, "CSV Injection"."""


class Output(StrEnum):
    """How a command prints."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


def json_text(record: object, *, indent: int = 0) -> str:
    r"""A record as JSON. What a terminal would obey is written as `\uXXXX`, so nothing is lost."""
    encoded = msgspec.json.encode(record)
    if indent:
        encoded = msgspec.json.format(encoded, indent=indent)
    text = encoded.decode("utf-8", "backslashreplace")
    if text.isascii() and "\x7f" not in text:
        return text  # the encoder escapes what lies below the space
    unsafe = {
        ord(character): json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"
        for character in set(text)
        if character != "\n" and clean(character) != character
    }
    return text.translate(unsafe) if unsafe else text


def csv_text(rows: Iterable[Iterable[Value]]) -> str:
    """Lines of RFC 4180: CRLF, quotes where needed, unknown values empty; texts cleaned."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerows([_csv_value(value) for value in row] for row in rows)
    return buffer.getvalue()


def _csv_value(value: Value) -> str | int | float:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            shown = clean(value, newlines=True)
            # Cleaning may bring a sign to the front that stood behind something invisible.
            computed = value.startswith(FORMULA_SIGNS) or shown.startswith(FORMULA_SIGNS)
            return f"'{shown}" if computed else shown
        case _:
            return value
