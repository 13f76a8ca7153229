"""Removes what ended runs left on this node when it was kept long enough."""

import logging
import shutil
from pathlib import Path
from typing import Final

import msgspec

from runwatch_nodemanager.assignment import KEPT, Kept
from runwatch_nodemanager.identity import NodeFolder
from runwatch_shared.logs import log
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, parse_time

logger: Final = logging.getLogger(__name__)


def sweep(folder: NodeFolder, now_us: int, keep_s: int) -> int:
    """Remove folders of runs that ended over ``keep_s`` ago, workspaces with them; their number."""
    removed = 0
    for kept_in in (folder.ended, folder.aside):
        for path in list(kept_in.iterdir()):
            kept = _read(path)
            if kept is None or now_us - _moment(kept) < keep_s * MICROSECONDS_PER_SECOND:
                continue
            shutil.rmtree(path, ignore_errors=True)
            if not folder.run(kept.run_id).path.exists():
                for own in folder.own_workspaces(kept.run_id):
                    shutil.rmtree(own, ignore_errors=True)
            removed += 1
    if removed:
        log(logger, logging.INFO, "workspace", "Removed what ended runs left", count=removed)
    return removed


def _read(path: Path) -> Kept | None:
    try:
        return msgspec.json.decode((path / KEPT).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return None


def _moment(kept: Kept) -> int:
    try:
        return parse_time(kept.ended_at)
    except ValueError:
        return 0
