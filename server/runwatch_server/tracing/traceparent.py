"""The trace a request says it is part of: W3C Trace Context, ``traceparent``; no library."""

import re
from typing import Final

_FORM: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_VERSION_0: Final = 55
"""Its length: 2 + 32 + 16 + 2 digits and three dashes."""


def trace_id_of(value: bytes) -> str | None:
    """The 32 hex digits; None where the header is not one, as who gets it must then ignore it."""
    found = _FORM.fullmatch(value)
    if found is None or (value.startswith(b"00") and len(value) != _VERSION_0):
        return None
    trace_id, parent_id = found.groups()
    if not (trace_id.strip(b"0") and parent_id.strip(b"0")):
        return None
    return trace_id.decode()
