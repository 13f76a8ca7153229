"""What is done to a run that has no supervisor: a last record, and the way out of the folder."""

import asyncio
import shutil
from pathlib import Path
from typing import Final, Literal

import msgspec

from runwatch_nodemanager.agents.protocol import Json
from runwatch_nodemanager.assignment import Kept, save_kept
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.spool_writer import SpoolWriter
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.timestamps import format_time

END_S: Final = 15.0
"""How long an agent that was told to stop is waited for before its folder is moved."""
LOOK_S: Final = 0.1


async def write_record(shop: Workshop, folder: RunFolder, kind: int, facts: Json) -> None:
    """Append to the log of a run that has no supervisor.

    Raises:
        OSError: The disk does not take it.
    """
    record = (kind, shop.clock.now_us(), msgspec.json.encode(facts))
    await asyncio.to_thread(_write, folder, record)


async def wait_for_end(shop: Workshop, folder: RunFolder) -> None:
    """Until nobody writes the run's log any more, at most ``END_S``."""
    with shop.runtime.stream(folder) as growth:
        deadline = shop.clock.monotonic() + END_S
        while shop.runtime.alive(folder) and shop.clock.monotonic() < deadline:
            await growth.wait(LOOK_S)


async def keep_folder(
    shop: Workshop, folder: RunFolder, target: Path, *, run_id: str, epoch: int, outcome: str
) -> None:
    """Move the run's folder to ``target`` with a note of how it ended; the sweeper takes it later.

    One of that name from an earlier attempt is replaced.
    """
    ended_at = format_time(shop.clock.now_us())
    kept = Kept(run_id=run_id, epoch=epoch, outcome=outcome, ended_at=ended_at)
    await asyncio.to_thread(_move, folder.path, target, kept)


def keeps_workspace(keep: Literal["all", "failed", "none"], outcome: str) -> bool:
    """Whether an ended run's own workspace stays for a while."""
    return keep == "all" or (keep == "failed" and outcome != "done")


def _write(folder: RunFolder, record: tuple[int, int, bytes]) -> None:
    writer = SpoolWriter(folder.log)
    try:
        writer.append([record])
    finally:
        writer.close()


def _move(source: Path, target: Path, kept: Kept) -> None:
    try:
        save_kept(source, kept)
    except OSError:
        # A full disk: the log of a run that is over for this node is what can go.
        shutil.rmtree(source / "log", ignore_errors=True)
        save_kept(source, kept)
    if target.exists():
        shutil.rmtree(target)
    source.rename(target)
