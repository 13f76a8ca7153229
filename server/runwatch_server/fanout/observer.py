"""What the feeds tell the metrics (contract 4), as a port; the metrics themselves are elsewhere."""

from typing import Literal, Protocol

Channel = Literal["monitor", "run"]


class FeedObserver(Protocol):
    """Receives facts on the event loop's hot path: every method returns at once."""

    def opened(self, channel: Channel) -> None:
        """A socket was upgraded: ``runwatch_websocket_connections``."""
        ...

    def closed(self, channel: Channel, code: int) -> None:
        """``runwatch_websocket_closes_total``; 1013 is a slow consumer's too."""
        ...

    def received(self, frame_type: str) -> None:
        """``api_websocket_messages_total``, direction ``in``."""
        ...

    def sent(self, frame_type: str, count: int) -> None:
        """``api_websocket_messages_total``, direction ``out``: one frame, to ``count`` sockets."""
        ...

    def lag(self, channel: Channel, seconds: float) -> None:
        """``runwatch_feed_lag_seconds``: commit → given to the socket."""
        ...

    def mailbox(self, channel: Channel, rows: int, most: int) -> None:
        """``runwatch_feed_mailbox_rows`` and ``…_max``: not yet sent, all clients and the worst."""
        ...

    def merged(self, changes: int) -> None:
        """``runwatch_feed_merged_changes_total``."""
        ...

    def resynced(self, reason: str) -> None:
        """``runwatch_feed_resyncs_total``."""
        ...


class NoObserver:
    """A `FeedObserver` that looks away."""

    def opened(self, channel: Channel) -> None:
        """See `FeedObserver`."""

    def closed(self, channel: Channel, code: int) -> None:
        """See `FeedObserver`."""

    def received(self, frame_type: str) -> None:
        """See `FeedObserver`."""

    def sent(self, frame_type: str, count: int) -> None:
        """See `FeedObserver`."""

    def lag(self, channel: Channel, seconds: float) -> None:
        """See `FeedObserver`."""

    def mailbox(self, channel: Channel, rows: int, most: int) -> None:
        """See `FeedObserver`."""

    def merged(self, changes: int) -> None:
        """See `FeedObserver`."""

    def resynced(self, reason: str) -> None:
        """See `FeedObserver`."""
