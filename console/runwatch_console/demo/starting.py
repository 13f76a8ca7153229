"""The made-up fleet as what a console and a command connect to."""

from runwatch_console.demo.api import DemoApi
from runwatch_console.demo.feed import DemoFeed, DemoRunEvents
from runwatch_console.demo.server import DemoServer
from runwatch_console.demo.wish import Wish
from runwatch_console.ports import Connection
from runwatch_shared.wire import SubscribeFrame


class DemoNetwork:
    """The seam of commands without a screen; see `headless.session.Network`."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server

    def api(self) -> DemoApi:
        """Requests."""
        return DemoApi(self._server)

    def feed(self, subscription: SubscribeFrame) -> DemoFeed:
        """The fleet."""
        return DemoFeed(self._server, subscription)

    def run_events(self, store: str) -> DemoRunEvents:
        """Events of runs."""
        return DemoRunEvents(self._server)


def demo_network(wish: Wish, *, read_only: bool = False) -> DemoNetwork:
    """Everything of the network for a command."""
    return DemoNetwork(DemoServer(wish, read_only=read_only))


def demo_connection(wish: Wish, *, rows: int, read_only: bool = False) -> Connection:
    """Everything of the network for the console; it takes a moment to make up."""
    server = DemoServer(wish, read_only=read_only)
    subscription = SubscribeFrame(
        id=1, topics=["workflows", "nodes", "accounts", "stats"], limit=rows
    )
    return Connection(
        feed=DemoFeed(server, subscription), run_events=DemoRunEvents(server), api=DemoApi(server)
    )
