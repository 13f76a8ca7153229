"""The screens that pictures are taken of: how each is reached, and in which looks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from runwatch_console.formats import TimeFormat
from runwatch_console.ports import Disconnected, LossReason
from runwatch_shared.wire import AccountChanges
from tests.console.driving import Driven, console
from tests.console.machines import NODES, ledger, machine_answers
from tests.console.records import change, fleet_accounts, login

SIZES: Final = {"80": (80, 24), "120": (120, 40), "200": (200, 60)}
SCREENS: Final[Mapping[str, tuple[str, ...]]] = {
    "attention": (),
    "runs": ("2", "j", "j", "j"),
    "run": ("2", "j", "j", "j", "enter"),
    "nodes": ("4",),
    "auth": ("ACCOUNTS", "5"),
    "pulse": ("6",),
    "tasks": ("7",),
}
"""The keys that lead there."""
DIALOGS: Final[Mapping[str, tuple[str, ...]]] = {
    "help": ("?",),
    "explain": ("2", "j", "j", "j", "X"),
    "cancel": ("2", "ctrl+k"),
    "filter": ("2", "f", "s", "colon"),
    "lost": ("2", "LOST"),
    "login": ("LOGIN", "5", "g", "enter"),
    "begin-login": ("MACHINES", "ACCOUNTS", "5", "a"),
    "account": ("ACCOUNTS", "5", "g", "j", "j", "j", "j", "enter"),
    "ledger": ("MACHINES", "4", "l"),
    "instances": ("MACHINES", "ACCOUNTS", "4", "j", "j", "i"),
    "proxies": ("MACHINES", "4", "p"),
    "environment": ("MACHINES", "4", "v"),
    "qr": ("LOGIN", "5", "g", "Q"),
}
LOST: Final = Disconnected(reason=LossReason.CLOSED, detail="connection reset", retry_in_s=8)
STILL_S: Final = 0.5
"""The preview follows the cursor after 200 ms."""
LIMIT_S: Final = 8.0


@dataclass(frozen=True)
class Look:
    """How the console is shown."""

    name: str
    size: str = "120"
    language: str = "en"
    preferred: Mapping[str, Any] = field(default_factory=dict)
    no_color: bool = False


LOOKS: Final = (
    *(
        Look(f"{size}-{language}", size, language)
        for size in SIZES
        for language in ("en", "zh")
    ),
    Look("120-no-color", no_color=True),
    Look("120-16", preferred={"theme": "16"}),
)  # fmt: skip


@asynccontextmanager
async def shown(scene: str, look: Look) -> AsyncIterator[Driven]:
    """The console at this scene, standing still: one fleet, one moment. `NO_COLOR` is the
    caller's.
    """
    async with console(
        SIZES[look.size],
        language=look.language,
        **{"time_format": TimeFormat.UTC} | dict(look.preferred),
    ) as driven:
        for key in {**SCREENS, **DIALOGS}[scene]:
            if scene in DIALOGS:
                # What lies below it has come to rest: under a dialog the preview would not.
                await until_still(driven)
            if key == "LOST":
                driven.script.feed.say(LOST)
            elif key == "ACCOUNTS":
                driven.script.feed.say(
                    change(
                        upsert=[login()],
                        accounts=AccountChanges(upsert=fleet_accounts(), remove=[]),
                    )
                )
                await driven.until(lambda: len(driven.app.state.fleet.accounts) > 3)
            elif key == "MACHINES":
                driven.script.api.answers |= machine_answers()
                driven.script.api.ledgers |= {name: ledger(name) for name in NODES}
            elif key == "LOGIN":
                driven.script.feed.say(change(upsert=[login()]))
                await driven.until(lambda: "act-000000000019" in driven.app.state.fleet.runs)
            else:
                await driven.press(key)
        await until_still(driven)
        yield driven


async def until_still(driven: Driven) -> None:
    """Wait until the screen is the same for a while."""
    loop = asyncio.get_running_loop()
    begun = since = loop.time()
    text = driven.text
    while loop.time() - since < STILL_S:
        assert loop.time() - begun < LIMIT_S, f"it never stands still:\n{text}"
        await driven.pilot.pause(0.05)
        if driven.text != text:
            text, since = driven.text, loop.time()
