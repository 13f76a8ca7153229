"""A hub with its metrics over a fleet, and clients of its monitor that say what they want."""

from typing import Any

from prometheus_client import CollectorRegistry

from runwatch_server.fanout.groups import Viewer
from runwatch_server.fanout.subscriptions import (
    subscription_of,
)
from runwatch_server.hub import Hub
from runwatch_server.metering.feeds import FeedMeter
from runwatch_shared.settings import Limits, ServerSettings
from runwatch_shared.wire import SubscribeFrame
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.peers import VIEWER, FakeWire, HeldReader
from tests.server.sockets.test_groups import told
from tests.server.sockets.test_monitor_property import hello
from tests.server.sockets.virtual import VirtualLoop

RUN = "run-000000000001"


class House:
    """A hub with its metrics, and clients that say what they want."""

    def __init__(self, mailbox_rows: int = 1000) -> None:
        self.loop = VirtualLoop()
        self.fleet = Fleet()
        self.limits = Limits(mailbox_rows=mailbox_rows)
        self.open()

    def open(self) -> None:
        self.registry = CollectorRegistry()
        self.reader = HeldReader(self.fleet.store)

        async def make() -> Hub:
            return Hub(
                reader=self.reader,
                projection=self.fleet.projection,
                clock=self.fleet.clock,
                settings=ServerSettings(limits=self.limits),
                store_id=self.fleet.store.store_id,
                version="0",
                observer=FeedMeter(self.registry),
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

        def act() -> None:
            while (commit := self.fleet.next_published()) is not None:
                self.hub.publish(commit)

        self.within(act)

    def wait(self, seconds: float = 0.06) -> None:
        self.fleet.clock.advance(seconds)
        self.loop.pass_time(seconds)

    def serve(self) -> int:
        reads = 0
        while self.reader.waiting:
            self.reader.look()
            self.within(self.reader.answer)
            reads += 1
        return reads

    def join(
        self, *, since: int | None = None, store: str | None = None, **wanted: Any
    ) -> tuple[FakeWire, Viewer]:
        frame = SubscribeFrame(**{"id": 0, "topics": ["workflows"], **wanted})
        wire = FakeWire()
        subscription = subscription_of(frame, self.limits, self.fleet.clock.now_us())
        viewer = Viewer(wire, VIEWER, subscription)

        async def enter() -> None:
            resumed = await self.hub.monitor.join(
                viewer, since=since, store=store or self.fleet.store.store_id
            )
            self.hub.monitor.begin(viewer, hello(self.fleet, resumed=resumed))

        self.within(lambda: self.hub._owner.spawn(enter(), name="enter"))
        self.serve()
        return wire, viewer

    def subscribe(self, viewer: Viewer, **wanted: Any) -> None:
        frame = SubscribeFrame(**{"topics": ["workflows"], **wanted})
        subscription = subscription_of(frame, self.limits, self.fleet.clock.now_us())
        self.within(lambda: self.hub.monitor.subscribe(viewer, subscription))

    def value(self, name: str, **labels: str) -> float:
        found = self.registry.get_sample_value(name, labels)
        assert found is not None, (name, labels)
        return found


def kinds(wire: FakeWire) -> list[str]:
    return [frame["type"] for frame in told(wire)]
