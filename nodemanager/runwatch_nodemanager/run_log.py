"""The supervisor's end of a run's log: what is done when the disk or the limit refuses a record.

What a record means is in `run_folder`, how it lies on disk in `spool`. No network, no processes.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import Any, Final

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.spool import HEADER, SEGMENT_BYTES, used_bytes
from runwatch_nodemanager.spool_writer import SpoolWriter

BLOCKED_S: Final = 0.25
"""How long a full log is taken to stay so."""
FULL_CHECK_BYTES: Final = 256 * 1024
RESERVE_BYTES: Final = 1024 * 1024
"""So much of the disk is left for what frees it again: without a note of how far the server has
the log, none of it can be removed."""
LEAST_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""Under a smaller limit the newest segment alone, which is never removed, could fill the log."""
LINES: Final = frozenset({kinds.LINE, kinds.ERROR_LINE})
PARTS: Final = frozenset({kinds.PART, kinds.ERROR_PART})
STDOUT: Final = frozenset({kinds.LINE, kinds.PART})

Output = list[tuple[int, bytes]]
"""Kind and payload of each record."""


class RunLog:
    """Writes output, which may have to wait or be dropped, and facts, which are never dropped.

    Args:
        wake: Where a byte is written whenever the log grew.
        drops: Output for which there is no room is counted in a ``DROPPED`` record and lost; else
            it is held, and ``full`` asks for no more of it.
        clock: Seconds.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        wake: int,
        limit_bytes: int,
        drops: bool,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._wake = wake
        self._limit_bytes = max(limit_bytes, LEAST_LIMIT_BYTES)
        self._drops = drops
        self._clock = clock
        self._writer = SpoolWriter(
            folder.log, segment_bytes=min(SEGMENT_BYTES, self._limit_bytes // 8)
        )
        self._pending: list[tuple[int, int, bytes]] = []
        """Records the disk has not taken yet; while there are any, no pipe is read."""
        self._lost_bytes = 0
        self._lost_lines = 0
        self._lost_of: set[str] = set()
        self._unchecked_bytes = FULL_CHECK_BYTES
        self._blocked_until = 0.0

    @property
    def pending(self) -> bool:
        """Whether something waits for the disk."""
        return bool(self._pending)

    @property
    def dirty(self) -> bool:
        """Whether something is not yet safe against a power cut."""
        return self._writer.dirty

    def output(self, records: Output) -> None:
        """What the agent wrote."""
        if self._drops and records and self._no_room():
            self._count(records)
            return
        self._tell_lost()
        self._append(records)

    def fact(self, kind: int, facts: dict[str, Any]) -> None:
        """What happened to it."""
        self._tell_lost()
        self._append([(kind, json.dumps(facts).encode())])

    def full(self, *, ended: bool) -> bool:
        """Whether the agent's pipes must not be read now.

        Args:
            ended: What is left is at most what the pipes hold, and the end must be told.
        """
        return not self._drops and self._no_room(ended=ended)

    def write_pending(self) -> None:
        """Try again what the disk refused."""
        if not self._pending:
            return
        try:
            self._writer.append(self._pending)
        except OSError:
            # A full disk: nothing is lost, the agent waits at its pipe until there is room.
            self._blocked_until = self._clock() + BLOCKED_S
            if self._drops:
                self._drop_pending()
            return
        self._unchecked_bytes += sum(HEADER.size + len(record[2]) for record in self._pending)
        self._pending = []
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"\n")

    def sync(self) -> None:
        # A disk that cannot take it now is asked again; the node manager asks too before it sends.
        with contextlib.suppress(OSError):
            self._writer.sync()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.close()

    def _append(self, records: Output) -> None:
        moment_us = time.time_ns() // 1000
        self._pending.extend((kind, moment_us, payload) for kind, payload in records)
        self.write_pending()

    def _no_room(self, *, ended: bool = False) -> bool:
        now = self._clock()
        if now < self._blocked_until:
            return True
        if self._pending:
            self.write_pending()
            return bool(self._pending) or self._clock() < self._blocked_until
        if ended:
            return False
        if self._unchecked_bytes >= FULL_CHECK_BYTES:
            disk_is_full = self._disk_is_full()
            if disk_is_full:
                # The newest segment is never removed: it must not be what fills the disk.
                with contextlib.suppress(OSError):
                    self._writer.roll()
            if disk_is_full or used_bytes(self._folder.log) >= self._limit_bytes:
                self._blocked_until = now + BLOCKED_S
                return True
            self._unchecked_bytes = 0
        return False

    def _disk_is_full(self) -> bool:
        disk = os.statvfs(self._folder.log)
        return disk.f_bavail * disk.f_frsize < RESERVE_BYTES

    def _count(self, records: Output) -> None:
        for kind, payload in records:
            self._lost_lines += kind in LINES
            self._lost_of.add("stdout" if kind in STDOUT else "stderr")
            self._lost_bytes += len(payload) + (kind in LINES)

    def _drop_pending(self) -> None:
        output = [(kind, payload) for kind, _, payload in self._pending if kind in LINES | PARTS]
        self._count(output)
        self._pending = [record for record in self._pending if record[0] not in LINES | PARTS]

    def _tell_lost(self) -> None:
        """Count what was lost since the last time, in one record that is never lost itself."""
        if not self._lost_bytes:
            return
        facts = {
            "bytes": self._lost_bytes,
            "lines": self._lost_lines,
            "streams": sorted(self._lost_of),
        }
        self._lost_bytes = self._lost_lines = 0
        self._lost_of.clear()
        self._append([(kinds.DROPPED, json.dumps(facts).encode())])
