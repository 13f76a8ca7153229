"""Pictures of the console's screens, to be looked at: `python -m tests.console.pictures DIR
[NAME…]`.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from runwatch_console.app import ConsoleApp
from runwatch_console.locale.words import Words
from runwatch_console.ports import Disconnected, LossReason
from runwatch_console.state import Preferences
from tests.console.scripted import TARGET, Script

SIZES = {"80": (80, 24), "120": (120, 40), "200": (200, 60)}
SCENES: dict[str, list[str]] = {
    "attention": [],
    "runs": ["2"],
    "run": ["2", "enter"],
    "nodes": ["4"],
    "auth": ["5"],
    "pulse": ["6"],
    "tasks": ["7"],
    "help": ["?"],
    "command": ["colon", "r"],
    "filter": ["2", "f", "s", "colon"],
    "new": ["ctrl+n"],
    "cancel": ["2", "ctrl+k"],
    "peek": ["2", "space"],
    "explain": ["2", "X"],
    "diff": ["2", "j", "j", "j", "m", "m", "D"],
    "json": ["2", "j", "j", "enter", "k", "J"],
    "unfolded": ["2", "j", "j", "enter", "Z"],
    "lost": ["2", "LOST"],
    "untrusted": ["CERT"],
    "empty": ["EMPTY"],
}


async def picture(out: Path, name: str, size: str, lang: str, *, ascii_only: bool = False) -> None:
    script = Script()
    app = ConsoleApp(
        target=TARGET,
        connect=script.connect,
        preferences=Preferences(words=Words(lang), ascii=ascii_only),
        environment={},
    )
    async with app.run_test(size=SIZES[size]) as pilot:
        keys = SCENES[name]
        if "EMPTY" not in keys and "CERT" not in keys:
            script.say_fleet()
        await pilot.pause(0.3)
        for key in keys:
            if key == "LOST":
                script.feed.say(
                    Disconnected(reason=LossReason.CLOSED, detail="connection reset", retry_in_s=8)
                )
            elif key == "CERT":
                script.feed.say(
                    Disconnected(
                        reason=LossReason.UNTRUSTED_CERTIFICATE,
                        detail="self-signed certificate",
                        fingerprint=":".join(["AB", "12"] * 16),
                    )
                )
            elif key != "EMPTY":
                await pilot.press(key)
            await pilot.pause(0.2)
        await pilot.pause(0.6)
        svg = app.export_screenshot(title="")
    path = out / f"{name}-{size}-{lang}{'-ascii' if ascii_only else ''}.png"
    # rsvg-convert takes a glyph from another font where the first has none; cairosvg does not.
    svg = svg.replace("Fira Code", "DejaVu Sans Mono, Noto Sans Mono CJK SC")
    svg = svg.replace("<text ", '<text xml:space="preserve" ').replace("&#160;", " ")
    command = ["rsvg-convert", "--width", "1600", "--output", str(path)]
    await asyncio.to_thread(subprocess.run, command, input=svg.encode(), check=True)


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    lang = os.environ.get("PICTURE_LANG", "en")
    ascii_only = bool(os.environ.get("PICTURE_ASCII"))
    for name in sys.argv[2:] or SCENES:
        scene, _, size = name.partition(":")
        for chosen in [size] if size else SIZES:
            asyncio.run(picture(out, scene, chosen, lang, ascii_only=ascii_only))


if __name__ == "__main__":
    main()
