"""Alerts by webhook, as metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from runwatch_server.alerts.kinds import KINDS
from runwatch_server.alerts.sender import Outcome

OUTCOMES: Final[tuple[Outcome, ...]] = (
    "delivered",
    "retried",
    "refused",
    "given_up",
    "dropped",
    "gone",
)


class AlertMeter:
    """Hears of the sender of alerts (`alerts.sender.AlertObserver`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = Counter(
            "runwatch_alerts_total",
            "What became of alerts",
            ("kind", "outcome"),
            registry=registry,
        )
        self._alerts: dict[tuple[str, Outcome], Counter] = {
            (kind, outcome): counter.labels(kind, outcome)
            for kind in KINDS
            if kind != "test"
            for outcome in OUTCOMES
        }
        self._queue = Gauge(
            "runwatch_alert_queue", "Alerts waiting to be delivered", registry=registry
        )

    def alerted(self, kind: str, outcome: Outcome) -> None:
        """See `alerts.sender.AlertObserver`."""
        self._alerts[kind, outcome].inc()

    def waiting(self, alerts: int) -> None:
        """See `alerts.sender.AlertObserver`."""
        self._queue.set(alerts)
