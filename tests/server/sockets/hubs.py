"""A hub over a fleet in time of its own, whose reads are answered when a test says so."""

from typing import Any

import msgspec

from runwatch_server.fanout.observer import FeedObserver
from runwatch_server.hub import Hub
from runwatch_shared.settings import Limits, ServerSettings
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.peers import FakeWire, HeldReader
from tests.server.sockets.virtual import VirtualLoop


class HubOverFleet:
    """What everybody who tries the monitor's clients needs."""

    def __init__(self, limits: Limits) -> None:
        self.loop = VirtualLoop()
        self.fleet = Fleet()
        self.limits = limits
        self.open()

    def observer(self) -> FeedObserver | None:
        return None

    def open(self) -> None:
        self.reader = HeldReader(self.fleet.store)
        observer = self.observer()

        async def make() -> Hub:
            return Hub(
                reader=self.reader,
                projection=self.fleet.projection,
                clock=self.fleet.clock,
                settings=ServerSettings(limits=self.limits),
                store_id=self.fleet.store.store_id,
                version="0",
                observer=observer,
            )

        self.hub = self.loop.finish(make())

    def close(self) -> None:
        self.loop.finish(self.hub._owner.stop())
        self.loop.close()
        self.fleet.close()

    def within(self, act: Any) -> None:
        async def run() -> None:
            act()

        self.loop.finish(run())

    def commit(self, *works: object) -> None:
        self.fleet.write(*works)
        self.publish()

    def publish(self) -> None:
        """Everything, in one turn of the loop."""

        def act() -> None:
            while (commit := self.fleet.next_published()) is not None:
                self.hub.publish(commit)

        self.within(act)

    def serve(self) -> int:
        reads = 0
        while self.reader.waiting:
            self.reader.look()
            self.within(self.reader.answer)
            reads += 1
        return reads


def told(wire: FakeWire) -> list[Any]:
    frames = [msgspec.json.decode(payload) for payload in wire.payloads]
    wire.payloads.clear()
    return frames
