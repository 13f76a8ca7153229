"""SIGHUP: settings and certificates are read anew, and taken whole or not at all.

What can change while the server runs is in `live`; what else changed is named and waits.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from typing import Final

from runwatch_server.handshakes import Handshakes, Pair, Served, served_of
from runwatch_server.live import Change, LiveSettings, change_of
from runwatch_server.setting_checks import refuse_unusable
from runwatch_shared.errors import RunwatchError, SettingsError
from runwatch_shared.log_signals import obey_log_signals
from runwatch_shared.logs import configure_logging, log
from runwatch_shared.notify import Notifier
from runwatch_shared.settings import ServerSettings

logger: Final = logging.getLogger(__name__)


class Reloading:
    """One server's reloads, one at a time. Used in the event loop only.

    Args:
        read: Reads the settings as they are now, in a thread.
        renew: Brings the server's own certificate to settings, in a thread; before it is served.
    """

    def __init__(
        self,
        read: Callable[[], ServerSettings],
        live: LiveSettings,
        handshakes: Handshakes | None,
        notifier: Notifier,
        renew: Callable[[ServerSettings], Pair],
    ) -> None:
        self._read = read
        self._live = live
        self._handshakes = handshakes
        self._notifier = notifier
        self._renew = renew
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
            change, served = await asyncio.to_thread(self._prepared)
        except (RunwatchError, OSError) as error:
            return self._refused(error)
        except Exception as error:
            logger.exception("Could not read the settings anew")
            return self._refused(error)
        self._take(change, served)
        return f"serving; {len(change.taken)} settings taken, {len(change.waiting)} wait"

    def _prepared(self) -> tuple[Change, Served | None]:
        """Everything that can fail, before anything is changed."""
        found = self._read()
        refuse_unusable(found)
        change = change_of(self._live.settings, found)
        if self._handshakes is None:
            return change, None
        if bool(change.settings.tls_cert) != bool(self._live.settings.tls_cert):
            raise SettingsError("tls_cert: between own and made certificates only a start changes")
        return change, served_of(self._renew(change.settings))

    def _take(self, change: Change, served: Served | None) -> None:
        settings = change.settings
        if {"log_format", "log_level"} & set(change.taken):
            configure_logging(settings.log_format, settings.log_level)
            loop = asyncio.get_running_loop()
            obey_log_signals(loop, level=settings.log_level, tag="server")
        self._live.replace(settings)
        if self._handshakes is not None and served is not None:
            self._handshakes.take(served)
        log(
            logger,
            logging.INFO,
            "server",
            "The settings are read anew",
            event="reload",
            settings=", ".join(change.taken) or None,
            waiting=", ".join(change.waiting) or None,
        )

    def _refused(self, error: Exception) -> str:
        log(
            logger,
            logging.ERROR,
            "server",
            "The settings are not taken, those before stay",
            event="reload.refused",
            error=str(error),
        )
        return "serving with the settings before: the new ones are not taken"


def obey_hang_up(reload: Callable[[], None], stop: Callable[[], None]) -> None:
    """Reload on SIGHUP; where standard input is a terminal it means that the terminal is gone."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop if has_terminal() else reload)


def has_terminal() -> bool:
    """Whether somebody started this program by hand and holds its terminal."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
