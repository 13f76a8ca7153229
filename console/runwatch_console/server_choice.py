"""The named servers of the settings, behind `servers.Servers`; loaded with the first `:ctx`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from runwatch_console.contextbook import ContextBook
from runwatch_console.contexts import Context, resolve_context
from runwatch_console.known_hosts import KnownHostsError
from runwatch_console.locale.words import language_of
from runwatch_console.ports import Connection, LossReason
from runwatch_console.servers import Listed, Server, Standing
from runwatch_console.trust import try_handshake
from runwatch_shared.errors import SettingsError
from runwatch_shared.offered import LOOK_S
from runwatch_shared.settings import ConsoleSettings


class SettingsServers:
    """See `servers.Servers`.

    Args:
        read: Reads the settings.
        connect: Makes the connection to a context, with its settings.
    """

    def __init__(
        self,
        read: Callable[[], ContextBook],
        connect: Callable[[Context, ConsoleSettings], Connection],
        environment: Mapping[str, str],
    ) -> None:
        self._read = read
        self._connect = connect
        self._environment = environment

    def listed(self) -> Sequence[Listed]:
        """See `servers.Servers`."""
        book = self._read()
        return [self._listed(book, name) for name in book.names]

    def open(self, name: str) -> Server:
        """See `servers.Servers`."""
        settings, context = self._opened(self._read(), name)
        return Server(
            target=context.target(),
            connect=lambda: self._connect(context, settings),
            language=language_of(settings.lang, self._environment),
            read_only=settings.read_only,
        )

    async def standing(self, name: str) -> Standing:
        """See `servers.Servers`."""
        _, context = await asyncio.to_thread(lambda: self._opened(self._read(), name))
        place = await asyncio.to_thread(context.place)
        try:
            if not place.secure:
                async with asyncio.timeout(LOOK_S):
                    _, writer = await asyncio.open_connection(place.host, place.port)
                writer.transport.abort()
                return Standing.ANSWERS
            loss = await try_handshake(place)
        except KnownHostsError:
            return Standing.UNTRUSTED
        except OSError:
            return Standing.SILENT
        if loss is None:
            return Standing.ANSWERS
        changed = loss.reason is LossReason.CHANGED_CERTIFICATE
        return Standing.CHANGED if changed else Standing.UNTRUSTED

    def _listed(self, book: ContextBook, name: str) -> Listed:
        try:
            return Listed(name=name, target=self._opened(book, name)[1].target())
        except SettingsError as error:
            return Listed(name=name, target=None, problem=str(error))

    def _opened(self, book: ContextBook, name: str) -> tuple[ConsoleSettings, Context]:
        settings = book.other(name)
        return settings, resolve_context(settings, {}, self._environment)
