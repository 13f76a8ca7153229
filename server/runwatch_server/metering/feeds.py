"""Sockets and what they are sent, as metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runwatch_server.fanout.observer import Channel
from runwatch_server.metering.children import children
from runwatch_server.metering.runtime import LAG_BUCKETS

FRAME_TYPES: Final = (
    "change",
    "error",
    "event",
    "events",
    "gap",
    "heartbeat",
    "hello",
    "ping",
    "pong",
    "resync",
    "snapshot",
    "stats",
    "status",
    "subscribe",
    "workflows",
    "other",
)
CHANNELS: Final[tuple[Channel, ...]] = ("monitor", "run")
CLOSE_CODES: Final = (1000, 1001, 1006, 1008, 1009, 1011, 1013, 4400, 4404, 4429)
STUCK: Final = 1013
RESYNC_REASONS: Final = ("too_old", "store_changed", "lagging")


class FeedMeter:
    """Hears of the sockets (`fanout.observer`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        messages = Counter(
            "api_websocket_messages_total",
            "Frames received and sent",
            ("direction", "type"),
            registry=registry,
        )
        self._frames_in = {kind: messages.labels("in", kind) for kind in FRAME_TYPES}
        self._frames_out = {kind: messages.labels("out", kind) for kind in FRAME_TYPES}
        self._active = Gauge("api_websocket_connections_active", "Sockets open", registry=registry)
        self._open = children(
            Gauge(
                "runwatch_websocket_connections", "Sockets open", ("channel",), registry=registry
            ),
            CHANNELS,
        )
        closes = Counter(
            "runwatch_websocket_closes_total",
            "Sockets closed",
            ("channel", "code"),
            registry=registry,
        )
        self._closes = {
            (channel, code): closes.labels(channel, str(code))
            for channel in CHANNELS
            for code in CLOSE_CODES
        }
        self._slow_closes = children(
            Counter(
                "runwatch_slow_consumer_closes_total",
                "Sockets closed because their reader was stuck",
                ("channel",),
                registry=registry,
            ),
            CHANNELS,
        )
        self._lag = children(
            Histogram(
                "runwatch_feed_lag_seconds",
                "From the commit until a change was given to a socket",
                ("channel",),
                buckets=LAG_BUCKETS,
                registry=registry,
            ),
            CHANNELS,
        )
        self._mailbox = children(
            Gauge(
                "runwatch_feed_mailbox_rows",
                "Rows not sent yet, all clients together",
                ("channel",),
                registry=registry,
            ),
            CHANNELS,
        )
        self._mailbox_most = children(
            Gauge(
                "runwatch_feed_mailbox_rows_max",
                "Rows not sent yet, the worst client",
                ("channel",),
                registry=registry,
            ),
            CHANNELS,
        )
        self._merged = Counter(
            "runwatch_feed_merged_changes_total",
            "Changes merged into later ones for slow readers",
            registry=registry,
        )
        self._resyncs = children(
            Counter(
                "runwatch_feed_resyncs_total",
                "Snapshots sent because changes were not enough",
                ("reason",),
                registry=registry,
            ),
            RESYNC_REASONS,
        )

    def opened(self, channel: Channel) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._active.inc()
        self._open[channel].inc()

    def closed(self, channel: Channel, code: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._active.dec()
        self._open[channel].dec()
        if (child := self._closes.get((channel, code))) is not None:
            child.inc()
        if code == STUCK:
            self._slow_closes[channel].inc()

    def received(self, frame_type: str) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._frames_in.get(frame_type, self._frames_in["other"]).inc()

    def sent(self, frame_type: str, count: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._frames_out.get(frame_type, self._frames_out["other"]).inc(count)

    def lag(self, channel: Channel, seconds: float) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._lag[channel].observe(seconds)

    def mailbox(self, channel: Channel, rows: int, most: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._mailbox[channel].set(rows)
        self._mailbox_most[channel].set(most)

    def merged(self, changes: int) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._merged.inc(changes)

    def resynced(self, reason: str) -> None:
        """See `fanout.observer.FeedObserver`."""
        self._resyncs[reason].inc()
