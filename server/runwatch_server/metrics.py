"""The server's metrics by their documented names (contract 4), in a registry of their own.

Each meter of `metering` hears of one part of the server through a small protocol of that part; its
methods are cheap enough for the paths they stand in.
"""

import prometheus_client
from prometheus_client import CollectorRegistry

from runwatch_server.metering.access import AccessMeter
from runwatch_server.metering.alerts import AlertMeter
from runwatch_server.metering.commits import CommitMeter
from runwatch_server.metering.feeds import FeedMeter
from runwatch_server.metering.ingest import IngestMeter
from runwatch_server.metering.otlp import OtlpMeter
from runwatch_server.metering.requests import RequestMeter
from runwatch_server.metering.runtime import RuntimeMeter
from runwatch_server.metering.store import StoreMeter


class Metrics:
    """Every meter of one server."""

    def __init__(self) -> None:
        # The library brings no types for this one.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.requests = RequestMeter(self.registry)
        self.access = AccessMeter(self.registry)
        self.ingest = IngestMeter(self.registry)
        self.commits = CommitMeter(self.registry)
        self.store = StoreMeter(self.registry)
        self.feeds = FeedMeter(self.registry)
        self.alerts = AlertMeter(self.registry)
        self.otlp = OtlpMeter(self.registry)
        self.runtime = RuntimeMeter(self.registry)
