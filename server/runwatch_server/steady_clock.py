"""The server's own time: it begins with that of its machine or its database and never steps, so
that no deadline, lease or retention comes sooner or later because a clock was set.

It goes on by the machine's uptime and follows the other clock at a rate of `MOST` at the utmost.
What is dated for others, and certificates, keep to the machine's clock.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from runwatch_shared.clock import Clock
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

MOST: Final = 0.05
"""How much faster or slower than time it goes: of a wait of an hour, three minutes (reliability.md,
P5, allows a tenth).
"""
STEP_S: Final = 5.0
"""From here on a difference is a clock that was set, and no drift."""
STEER_EVERY_S: Final = 10.0
NOTE_EVERY_S: Final = 600.0
_SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_US: Final = 4_102_444_800 * _SECOND_US
"""The year 2100: a note that says more is damaged."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class _Course(NamedTuple):
    """A straight line through time; read by several threads, replaced as a whole."""

    uptime_us: int
    at_us: int
    faster: float
    """Of each second; counted for twice `STEER_EVERY_S` at most."""

    def at(self, uptime_us: int) -> int:
        passed_us = uptime_us - self.uptime_us
        steered_us = min(passed_us, round(2 * STEER_EVERY_S * _SECOND_US))
        return self.at_us + passed_us + round(steered_us * self.faster)


def uptime_us() -> int:
    """Since the machine was started, its sleep included where that can be told."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1000


class SteadyClock:
    """A `runwatch_shared.clock.Clock`.

    Args:
        at_us: The moment it begins with.
    """

    def __init__(self, at_us: int, *, uptime: Callable[[], int] = uptime_us) -> None:
        self._uptime = uptime
        self._course = _Course(uptime(), at_us, 0.0)
        self._stepped = False

    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.now_us())

    def now_us(self) -> int:
        return self._course.at(self._uptime())

    def monotonic(self) -> float:
        return time.monotonic()

    def steer(self, reference_us: int) -> None:
        """Follow another clock, slowly; to be called every `STEER_EVERY_S`."""
        uptime = self._uptime()
        at_us = self._course.at(uptime)
        behind_s = (reference_us - at_us) / _SECOND_US
        faster = min(MOST, max(-MOST, behind_s / STEER_EVERY_S))
        self._course = _Course(uptime, at_us, faster)
        stepped = abs(behind_s) > STEP_S
        if stepped and not self._stepped:
            tell_step(behind_s)
        self._stepped = stepped


def tell_step(behind_s: float) -> None:
    """Say that the server does not have the time of the clock it goes by."""
    log(
        logger,
        logging.WARNING,
        "server",
        "The clock was set; the server's own time goes on, and follows it by 5 % at most",
        event="clock.step",
        skew_ms=round(behind_s * 1000),
    )


class ClockNote:
    """What the server's time was at which uptime, so that it goes on with the next start of the
    same boot, whatever was done to the machine's clock between.

    Args:
        boot: What the boot is known by; None where it cannot be told, then nothing is noted.
    """

    def __init__(self, file: Path, *, boot: str | None) -> None:
        self._file = file
        self._boot = boot

    def begin(self, wall: Clock, *, uptime: Callable[[], int] = uptime_us) -> int:
        """The moment to begin with: the machine's, but for a step since the last note."""
        wall_us = wall.now_us()
        noted_us = self._noted(uptime())
        if noted_us is None or abs(noted_us - wall_us) <= STEP_S * _SECOND_US:
            return wall_us
        tell_step((wall_us - noted_us) / _SECOND_US)
        return noted_us

    def write(self, clock: Clock, *, uptime: Callable[[], int] = uptime_us) -> None:
        """Note how it stands; what cannot be written only helps less after the next start."""
        if self._boot is None:
            return
        text = json.dumps({"boot": self._boot, "uptime_us": uptime(), "at_us": clock.now_us()})
        new = self._file.with_name(f"{self._file.name}.new")
        with suppress(OSError):
            new.write_text(text)
            os.replace(new, self._file)

    def _noted(self, uptime: int) -> int | None:
        try:
            found = json.loads(self._file.read_text())
            if self._boot is None or found["boot"] != self._boot:
                return None
            noted_us = int(found["at_us"]) + uptime - int(found["uptime_us"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None
        return noted_us if 0 <= noted_us < _LATEST_US else None


def boot_id() -> str | None:
    """Of this boot of the machine; None where it cannot be told."""
    try:
        return _BOOT_ID.read_text().strip() or None
    except OSError:
        return None
