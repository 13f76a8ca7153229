"""From one server to another while the console runs: the list, and what a switch takes along."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from runwatch_console.dialogs.servers import ServersDialog
from runwatch_console.locale.words import Words
from runwatch_console.messages import ServerMessage, ServerRequested
from runwatch_console.servers import Servers
from runwatch_shared.errors import SettingsError
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.app import ConsoleApp


class Switching:
    """`servers`: None where there are none, as over a recording."""

    def __init__(self, app: "ConsoleApp", servers: Servers | None) -> None:
        self.app = app
        self.servers = servers
        self._changing = False
        """Between two servers: to end there would leave no screen at all."""

    def answer(self, request: ServerMessage) -> None:
        """Begin what is asked."""
        if self.servers is None:
            self.app.tell("ctx.none", severity="warning")
            return
        if self._changing:
            return
        name = request.name if isinstance(request, ServerRequested) else ""
        work = self._switch(self.servers, name) if name else self._list(self.servers)
        self.app.run_worker(work, group="switch", exclusive=True, exit_on_error=False)

    async def _list(self, servers: Servers) -> None:
        try:
            listed = await asyncio.to_thread(servers.listed)
        except SettingsError as error:
            self._refused(error)
            return
        if self.app.at_screen:
            self.app.push_screen(ServersDialog(self.app.state, servers, listed), self._chosen)

    def _chosen(self, name: str | None) -> None:
        if name:
            self.answer(ServerRequested(name))

    async def _switch(self, servers: Servers, name: str) -> None:
        try:
            server = await asyncio.to_thread(servers.open, name)
        except SettingsError as error:
            self._refused(error)
            return
        kept = self.app.state.preferences
        preferences = replace(kept, words=Words(server.language), read_only=server.read_only)
        self._changing = True
        try:
            await self.app.change_server(server.target, server.connect, preferences)
        finally:
            self._changing = False
        self.app.tell("ctx.now", name=self.app.state.target.context)

    def _refused(self, error: SettingsError) -> None:
        text = clean(str(error), limit=400, fold=True)
        self.app.notify(text, severity="error", markup=False, timeout=8)
