"""The state of the connection, as a record, and what it means by the clock; no words."""

from dataclasses import dataclass
from enum import StrEnum

from runwatch_console.feeditems import Disconnected

LATE_AFTER_HEARTBEATS = 3


class LinkState(StrEnum):
    """What the user should believe about what the screen shows."""

    CONNECTING = "connecting"
    """Nothing has arrived yet."""
    LIVE = "live"
    LATE = "late"
    """The connection stands and is silent for more than three heartbeats."""
    LOST = "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """Monotonic seconds end in `_mono_s`; `server_s` is the server's own clock at
    `frame_mono_s`.
    """

    connected: bool = False
    ever_connected: bool = False
    attempt: int = 0
    heartbeat_s: float = 5.0
    scope: str = ""
    server_version: str = ""
    frame_mono_s: float | None = None
    server_s: float | None = None
    loss: Disconnected | None = None
    lost_mono_s: float | None = None
    """Since when the connection is gone; not moved by failing attempts."""
    retry_mono_s: float | None = None
    reconnected_mono_s: float | None = None
    resumed: bool = True
    """Whether the last reconnect went on where it left off, without a new snapshot."""

    def state(self, now_mono_s: float) -> LinkState:
        """The state at a moment of the monotonic clock."""
        if not self.connected:
            return LinkState.LOST if self.loss is not None else LinkState.CONNECTING
        if self.frame_mono_s is None:
            return LinkState.CONNECTING
        silent_s = now_mono_s - self.frame_mono_s
        late = silent_s > LATE_AFTER_HEARTBEATS * self.heartbeat_s
        return LinkState.LATE if late else LinkState.LIVE

    def silent_s(self, now_mono_s: float) -> float | None:
        """Age of the newest frame."""
        return None if self.frame_mono_s is None else max(0.0, now_mono_s - self.frame_mono_s)

    def server_now_s(self, now_mono_s: float) -> float | None:
        """The server's clock: running on while live, standing still at the last frame otherwise."""
        if self.server_s is None or self.frame_mono_s is None:
            return None
        if self.state(now_mono_s) is LinkState.LIVE:
            return self.server_s + max(0.0, now_mono_s - self.frame_mono_s)
        return self.server_s

    @property
    def read_only(self) -> bool:
        """Whether the credential may only look; unknown before hello, then not assumed."""
        return self.scope not in ("", "operator", "admin")
