"""What a run changed, as it is kept and told: found once, then the same at every reading."""

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.changes.before import MAX_FILE_BYTES, Before, contents, forget, recall
from runwatch_nodemanager.changes.differing import Versions, differences
from runwatch_nodemanager.changes.tree import look, read_inside
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.run_folder import write_atomically

MAX_LISTED: Final = 200
MAX_TOLD: Final = 100
"""Of so many an event says what changed."""
MAX_DIFF_CHARS: Final = 64 * 1024
MAX_DIFFS_CHARS: Final = 512 * 1024
"""Of one, and of all together."""

Kind = Literal["added", "modified", "deleted"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file; ``size_bytes`` is 0 for one that is gone."""

    path: str
    kind: Kind
    size_bytes: int = 0
    diff: str | None = None
    lines_changed: int | None = None
    truncated: bool = False


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """All that is told of a workspace. ``omitted`` counts changed files beyond those."""

    files: list[Change] = []
    omitted: int = 0
    complete: bool = True
    """Whether all files could be looked at."""

    def drafts(self) -> list[Draft]:
        """The events that precede the terminal one."""
        drafts = [_event(change) for change in self.files[:MAX_TOLD]]
        if not self.complete:
            message = "the workspace has too many files to tell what changed in it"
            drafts.append(Draft("warning", {"code": "changes_unknown", "message": message}))
        return drafts

    def artifacts(self) -> Json:
        """What the terminal event says (contract 9.3): files that are there and were not so."""
        there = [change for change in self.files if change.kind != "deleted"]
        if not there:
            return {}
        listed: list[dict[str, Any]] = [
            {
                "name": change.path.rpartition("/")[2],
                "path": change.path,
                "size_bytes": change.size_bytes,
            }
            for change in there
        ]
        more = {"artifacts_omitted": self.omitted} if self.omitted else {}
        return {"artifacts": listed, **more}


def find_changes(place: Path, rules: Rules) -> Changes:
    """What changed since `remember`; kept in ``place``, so that it is found only once. Blocks.

    Raises:
        OSError: It cannot be kept.
    """
    kept = place / "changes.json"
    try:
        return msgspec.json.decode(kept.read_bytes(), type=Changes)
    except (OSError, msgspec.MsgspecError):
        pass
    before = recall(place)
    if before is None:
        return Changes()
    changes = _compare(place, before, rules)
    write_atomically(kept, msgspec.json.encode(changes))
    forget(place)
    return changes


def _compare(place: Path, before: Before, rules: Rules) -> Changes:
    root = Path(before.root)
    now = look(root)
    if not before.tree.complete or not now.complete:
        return Changes(complete=False)
    old, new = before.tree.files, now.files
    changed = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    listed = changed[: MAX_LISTED * 2]
    was = contents(place, before, [path for path in listed if path in old])
    texts: dict[str, Versions] = {}
    changes: dict[str, Change] = {}
    for path in listed:
        kind: Kind = "deleted" if path not in new else "modified" if path in old else "added"
        content = read_inside(root, path, MAX_FILE_BYTES) if path in new else None
        if kind == "modified" and content is not None and content == was.get(path):
            continue
        known = (path in was or kind == "added") and (content is not None or kind == "deleted")
        if known and b"\0" not in (content or b"") + was.get(path, b""):
            # Before lines get the marks of a difference, between which no secret of several lines
            # is found.
            texts[path] = (_redacted(was.get(path), rules), _redacted(content, rules))
        size = new[path].size if path in new else 0
        changes[path] = Change(path=rules.text(path), kind=kind, size_bytes=size)
    told = dict(list(texts.items())[:MAX_TOLD])
    diffs = differences(place / "scratch", told) if told else {}
    left = MAX_DIFFS_CHARS
    for path, diff in diffs.items():
        changes[path] = _with_diff(changes[path], rules.text(diff), min(left, MAX_DIFF_CHARS))
        left -= len(changes[path].diff or "")
    files = list(changes.values())
    omitted = len(changed) - len(listed) + max(0, len(files) - MAX_LISTED)
    return Changes(files=files[:MAX_LISTED], omitted=omitted)


def _redacted(content: bytes | None, rules: Rules) -> bytes | None:
    return None if content is None else rules.data(content)


def _with_diff(change: Change, diff: str, most: int) -> Change:
    lines = diff.splitlines()[2:]
    count = sum(1 for line in lines if line[:1] in {"+", "-"})
    cut = diff if len(diff) <= most else diff[: diff.rfind("\n", 0, most) + 1]
    return msgspec.structs.replace(
        change, diff=cut or None, lines_changed=count, truncated=len(cut) < len(diff)
    )


def _event(change: Change) -> Draft:
    payload: Json = {"path": change.path, "source": "workspace"}
    if change.kind != "deleted":
        payload |= {"change": change.kind, "size_bytes": change.size_bytes}
    if change.diff is not None:
        payload["diff"] = change.diff
    if change.lines_changed is not None:
        payload["lines_changed"] = change.lines_changed
    if change.truncated:
        payload["truncated"] = True
    return Draft("file_delete" if change.kind == "deleted" else "file_write", payload)
