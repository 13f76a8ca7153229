"""A server that nobody vouches for: the question on the screen, and what follows from a yes."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runwatch_console.dialogs.trust import TrustDialog
from runwatch_console.known_hosts import KnownHosts, KnownHostsError
from runwatch_console.pins import OfferedCertificate
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.app import ConsoleApp


def ask_to_trust(app: "ConsoleApp", offered: OfferedCertificate) -> None:
    """Ask, unless the keys are busy with something else: the bar says that `r` asks again."""
    if offered.may_be_trusted and app.at_screen and not app.typing:
        dialog = TrustDialog(app.state, offered, app.clock)
        app.push_screen(dialog, partial(_answered, app, offered))


def _answered(app: "ConsoleApp", offered: OfferedCertificate, yes: bool | None) -> None:
    if yes:
        app.run_worker(_trust(app, offered), group="trust", exit_on_error=False)
    else:
        app.tell("trust.refused")


async def _trust(app: "ConsoleApp", offered: OfferedCertificate) -> None:
    """Remember it, and connect."""
    hosts = KnownHosts(Path(offered.known_hosts))
    try:
        await asyncio.to_thread(hosts.add, offered.host, offered.port, offered.pin)
    except KnownHostsError as error:
        text = clean(str(error), limit=300, fold=True)
        app.tell("trust.failed", severity="error", error=text)
        return
    app.tell("trust.done", host=clean(offered.server, limit=200))
    connection = await app.connection()
    connection.feed.retry_now()
