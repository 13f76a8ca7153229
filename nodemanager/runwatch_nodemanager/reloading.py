"""SIGHUP of a node manager: how it logs is read anew; what else changed is named and waits.

A restart costs a node nothing, since its agents run on and are taken up again: nothing else is
worth a second way.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from runwatch_nodemanager.setting_checks import refuse_unusable
from runwatch_shared.errors import RunwatchError
from runwatch_shared.log_signals import obey_log_signals
from runwatch_shared.logs import configure_logging, log
from runwatch_shared.notify import Notifier
from runwatch_shared.settings import NodeSettings

logger: Final = logging.getLogger(__name__)

LIVE: Final = ("log_format", "log_level")


class Reloading:
    """One node manager's reloads, one at a time. Used in the event loop only."""

    def __init__(
        self, settings: NodeSettings, read: Callable[[], NodeSettings], notifier: Notifier
    ) -> None:
        self.settings = settings
        """Those in force."""
        self._read = read
        self._notifier = notifier
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Reload soon; several that ask meanwhile get one reload."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever it is asked for; until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._notifier.reloading()
            self._notifier.ready(await self.reload())

    async def reload(self) -> str:
        """Read, check, and take; what came of it in a few words."""
        try:
            found = await asyncio.to_thread(self._checked)
        except (RunwatchError, OSError) as error:
            log(
                logger,
                logging.ERROR,
                "node",
                "The settings are not taken, those before stay",
                event="reload.refused",
                error=str(error),
            )
            return "working with the settings before: the new ones are not taken"
        names = [field.name for field in msgspec.structs.fields(NodeSettings)]
        changed = [name for name in names if getattr(found, name) != getattr(self.settings, name)]
        taken = [name for name in changed if name in LIVE]
        waiting = [name for name in changed if name not in LIVE]
        if taken:
            configure_logging(found.log_format, found.log_level, default_tag="node")
            obey_log_signals(asyncio.get_running_loop(), level=found.log_level, tag="node")
        values = {name: getattr(found, name) for name in taken}
        self.settings = msgspec.structs.replace(self.settings, **values)
        log(
            logger,
            logging.INFO,
            "node",
            "The settings are read anew",
            event="reload",
            settings=", ".join(taken) or None,
            waiting=", ".join(waiting) or None,
        )
        return f"working; {len(taken)} settings taken, {len(waiting)} wait"

    def _checked(self) -> NodeSettings:
        found = self._read()
        refuse_unusable(found)
        return found
