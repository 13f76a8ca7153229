"""A hub with its metrics over a fleet, and clients of its monitor that say what they want."""

from typing import Any

from prometheus_client import CollectorRegistry

from runwatch_server.fanout.groups import Viewer
from runwatch_server.fanout.subscriptions import (
    subscription_of,
)
from runwatch_server.metering.feeds import FeedMeter
from runwatch_shared.settings import Limits
from runwatch_shared.wire import SubscribeFrame
from tests.server.sockets.hubs import HubOverFleet, told
from tests.server.sockets.peers import VIEWER, FakeWire
from tests.server.sockets.test_monitor_property import hello

RUN = "run-000000000001"


class House(HubOverFleet):
    """A hub with its metrics, and clients that say what they want."""

    def __init__(self, mailbox_rows: int = 1000) -> None:
        super().__init__(Limits(mailbox_rows=mailbox_rows))

    def observer(self) -> FeedMeter:
        self.registry = CollectorRegistry()
        return FeedMeter(self.registry)

    def wait(self, seconds: float = 0.06) -> None:
        self.fleet.clock.advance(seconds)
        self.loop.pass_time(seconds)

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
