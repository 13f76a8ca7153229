"""Every screen looks as it did when it was looked at: in three sizes, two languages, no colour and
16 colours. `make pictures` takes them anew.
"""

import asyncio
from contextlib import suppress

import pytest

from tests.console.scenes import LOOKS, SCREENS, Look, shown
from tests.console.snapshotting import FOLDER, snapshot

DRAWN_S = 10.0
STILL = ("help", "explain", "cancel", "login", "qr", "account", "ledger", "instances", "proxies")
"""Dialogs without a cursor that blinks or a time that counts."""
TAKEN = [(scene, look) for scene in SCREENS for look in LOOKS] + [
    (scene, look) for scene in STILL for look in LOOKS if look.name in ("120-en", "80-zh")
]


@pytest.mark.parametrize(("scene", "look"), TAKEN, ids=lambda it: getattr(it, "name", it))
async def test_a_screen_looks_as_it_did(
    scene: str, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    if look.no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    before = (FOLDER / f"{scene}-{look.name}.txt").read_text(encoding="utf-8")
    async with shown(scene, look) as driven:
        # What is drawn last, a scroll bar's end for one, may come a moment later.
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAWN_S):
                while (now := snapshot(driven)) != before:
                    await driven.pilot.pause(0.1)
    assert now == before, "look at it, and if it is right: make pictures"


def test_no_snapshot_is_of_nothing() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {
        f"{scene}-{look.name}" for scene, look in TAKEN
    }
