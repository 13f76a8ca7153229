"""Takes the pictures of the console anew: `make pictures`, or `python -m tests.console.pictures`.

Snapshots that tests compare go to `snapshots/`, PNG files for people to `docs/pictures/`; with a
folder as argument every scene in every look goes there as PNG, to be looked at. Scenes may follow.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from tests.console.painting import paint
from tests.console.scenes import DIALOGS, LOOKS, SCREENS, shown
from tests.console.snapshotting import FOLDER, snapshot
from tests.console.test_pictures import TAKEN

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "pictures"
KEPT: Final = {
    "console": ("runs", "120-en"),
    "console-zh": ("runs", "120-zh"),
    "attention": ("attention", "120-en"),
    "run": ("run", "200-en"),
    "nodes": ("nodes", "120-en"),
    "auth": ("auth", "120-en"),
    "account": ("account", "120-en"),
    "ledger": ("ledger", "120-en"),
    "instances": ("instances", "120-en"),
    "pulse": ("pulse", "120-en"),
    "explain": ("explain", "120-en"),
    "qr": ("qr", "120-en"),
    "lost": ("lost", "120-en"),
    "attention-80": ("attention", "80-en"),
    "attention-16-colours": ("attention", "120-16"),
    "attention-no-colour": ("attention", "120-no-color"),
}
"""Those in docs/pictures: scene and look of each."""


async def take_all(out: Path | None, scenes: list[str]) -> None:
    """Every scene in every look that is wanted."""
    for scene in scenes:
        for look in LOOKS:
            taken = (scene, look) in TAKEN
            names = [name for name, kept in KEPT.items() if kept == (scene, look.name)]
            if not (out or taken or names):
                continue
            os.environ.pop("NO_COLOR", None)
            if look.no_color:
                os.environ["NO_COLOR"] = "1"
            async with shown(scene, look) as driven:
                if out is not None:
                    (out / f"{scene}-{look.name}.png").write_bytes(paint(driven))
                    continue
                if taken:
                    text = snapshot(driven)
                    (FOLDER / f"{scene}-{look.name}.txt").write_text(text, encoding="utf-8")
                for name in names:
                    (DOCS / f"{name}.png").write_bytes(paint(driven))


def main() -> None:
    """See the module."""
    if shutil.which("fc-match") is None:
        sys.exit("Pictures need fontconfig, fonts-dejavu-core and fonts-noto-cjk.")
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    (out or FOLDER).mkdir(parents=True, exist_ok=True)
    asyncio.run(take_all(out, sys.argv[2:] or [*SCREENS, *DIALOGS]))


if __name__ == "__main__":
    main()
