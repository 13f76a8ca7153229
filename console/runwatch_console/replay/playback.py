"""How a replay is asked for on the command line: where it begins, and how fast it goes."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from runwatch_console.formats import format_clock
from runwatch_console.recording.format import RecordingError
from runwatch_console.recording.reader import Recording

_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_SPAN: Final = re.compile(r"(\d{1,9})([smh])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
SLOWEST: Final = 0.25
FASTEST: Final = 64.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Playback:
    """One replay as it was asked for."""

    path: Path
    recording: Recording
    speed: float
    begin_s: float
    paused: bool


def speed_of(text: str) -> float:
    """`4`, `0.25`, `max`.

    Raises:
        RecordingError: It is no such number.
    """
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not SLOWEST <= speed <= FASTEST:
        raise RecordingError("replay.speed", text=text)
    return speed


def begin_of(text: str, recording: Recording, zone: tzinfo | None = None) -> float:
    """Seconds from its begin: of a time of day (`10:31`, `10:31:22`: the first such in the
    recording; `zone` None: the machine's) or of a span (`90s`, `5m`).

    Raises:
        RecordingError: The recording holds no such time.
    """
    if not text:
        return 0.0
    found = _span_s(text) if _SPAN.fullmatch(text) else _clock_s(text, recording, zone)
    if found is None or found > recording.length_s:
        end_s = recording.began_s + recording.length_s
        raise RecordingError(
            "replay.from",
            text=text,
            begin=format_clock(recording.began_s, zone),
            end=format_clock(end_s, zone),
        )
    return found


def _span_s(text: str) -> float:
    return int(text[:-1]) * float(_SECONDS[text[-1]])


def _clock_s(text: str, recording: Recording, zone: tzinfo | None) -> float | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    began = datetime.fromtimestamp(recording.began_s, UTC).astimezone(zone)
    try:
        wanted = began.replace(
            hour=int(match[1]), minute=int(match[2]), second=int(match[3] or 0), microsecond=0
        )
    except ValueError:
        return None
    # The minute a recording begins in is meant whole.
    if match[3] is None and wanted == began.replace(second=0, microsecond=0):
        return 0.0
    if wanted < began.replace(microsecond=0):
        wanted += timedelta(days=1)
    return max(0.0, (wanted - began).total_seconds())
