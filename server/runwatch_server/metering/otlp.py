"""Records that came by OpenTelemetry, as metrics."""

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter

from runwatch_server.otlp.records import Signal

OUTCOMES: Final = ("stored", "ignored", "duplicate", "rejected")


class OtlpMeter:
    """What came of log records, data points and spans."""

    def __init__(self, registry: CollectorRegistry) -> None:
        records = Counter(
            "runwatch_otlp_records_total",
            "Records received by OTLP, and what came of them",
            ("signal", "outcome"),
            registry=registry,
        )
        self._records = {
            (signal, outcome): records.labels(signal, outcome)
            for signal in get_args(Signal)
            for outcome in OUTCOMES
        }

    def received(self, signal: Signal, outcomes: dict[str, int]) -> None:
        """A body was taken; every record of it is in one of the outcomes."""
        for outcome, count in outcomes.items():
            if count:
                self._records[signal, outcome].inc(count)
