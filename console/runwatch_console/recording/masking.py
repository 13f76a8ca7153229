"""What a recording must not give away: login codes and addresses of logins, wherever they stand.

A recording is given to others. Fields that hold a code are emptied by name; anything else is masked
by its look in the bytes of a line, after they were spelled our way.
"""

import re
from typing import Final

import msgspec

from runwatch_shared.models import WorkflowSummary
from runwatch_shared.wire import ChangeFrame, SnapshotFrame

MASK: Final = "***"
SECRET_FIELDS: Final = frozenset({"user_code", "verify_url", "message", "code", "url"})
"""Of the metadata of a login (contract 5.6)."""

_CODE: Final = re.compile(rb"\b(?=[A-Z0-9-]*[A-Z])[A-Z0-9]{4,5}-[A-Z0-9]{4,5}\b")
"""As agents print them: `WDJB-MJHT`."""
_LOGIN_URL: Final = re.compile(
    rb"https?:\\?/\\?/(?:[^\s\"\\]|\\/)*?"
    rb"(?:login|device|oauth|auth|activate|verif|user_code|code=)(?:[^\s\"\\]|\\/)*",
    re.IGNORECASE,
)


def masked_frame(frame: SnapshotFrame | ChangeFrame) -> SnapshotFrame | ChangeFrame:
    """The frame with the named secrets of its rows emptied."""
    if isinstance(frame, SnapshotFrame):
        if frame.workflows is None:
            return frame
        return msgspec.structs.replace(frame, workflows=[masked_row(r) for r in frame.workflows])
    if frame.workflows is None:
        return frame
    rows = [masked_row(row) for row in frame.workflows.upsert]
    changes = msgspec.structs.replace(frame.workflows, upsert=rows)
    return msgspec.structs.replace(frame, workflows=changes)


def masked_row(row: WorkflowSummary) -> WorkflowSummary:
    """The row without what lets somebody log in."""
    login = row.type == "auth" or (row.waiting is not None and row.waiting.kind == "login")
    if not login:
        return row
    metadata = {
        name: MASK if name in SECRET_FIELDS else text for name, text in row.metadata.items()
    }
    waiting = row.waiting
    if waiting is not None:
        waiting = msgspec.structs.replace(waiting, prompt=MASK)
    activity = MASK if row.activity_text is not None else None
    return msgspec.structs.replace(row, metadata=metadata, waiting=waiting, activity_text=activity)


def masked_bytes(line: bytes) -> bytes:
    """A line with codes and login addresses masked; it stays a line of JSON."""
    return _CODE.sub(b"****-****", _LOGIN_URL.sub(b"https://***", line))
