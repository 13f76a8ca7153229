"""Plays a recording at full speed through the real app, without a terminal; tells its memory.

Run as a program: `python -m tests.benchmarks._replay_console FILE`. Each line is JSON: position in
seconds, resident bytes, rows, and seconds since the start.
"""

import asyncio
import json
import math
import resource
import sys
import time
from pathlib import Path

from runwatch_console.locale.words import Words
from runwatch_console.recording.reader import Recording
from runwatch_console.replay.player import Player
from runwatch_console.replay.playhead import Playhead
from runwatch_console.replay_app import ReplayApp
from runwatch_console.state import Preferences

EVERY_S = 1.0
LONGEST_S = 1_200.0


def resident_bytes() -> int:
    """What the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


async def play(path: Path) -> None:
    recording = Recording(path)
    player = Player(recording, Playhead(recording.length_s, speed=math.inf))
    app = ReplayApp(player, name=path.name, preferences=Preferences(words=Words("en")))
    began_s = time.monotonic()
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.press("2")
        while True:
            await asyncio.sleep(EVERY_S)
            told = {
                "position_s": player.playhead.position_s,
                "rss": resident_bytes(),
                "rows": len(app.state.fleet.runs),
                "after_s": time.monotonic() - began_s,
            }
            print(json.dumps(told), flush=True)
            if player.playhead.ended or time.monotonic() - began_s > LONGEST_S:
                break
        await pilot.press("G", "g", "3")


if __name__ == "__main__":
    asyncio.run(play(Path(sys.argv[1])))
