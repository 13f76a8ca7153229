"""Credentials that were judged, as a metric."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

AUTH_RESULTS: Final = {
    "token": ("ok", "unknown", "expired", "revoked"),
    "node_token": ("ok", "unknown", "expired", "revoked"),
    "session": ("ok", "unknown", "expired", "revoked", "disabled"),
    "password": ("ok", "invalid_login", "account_disabled"),
}


class AccessMeter:
    """Hears of credentials (`auth.AuthObserver`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        judged = Counter(
            "runwatch_auth_total", "Credentials judged", ("kind", "result"), registry=registry
        )
        self._judged = {
            (kind, result): judged.labels(kind, result)
            for kind, results in AUTH_RESULTS.items()
            for result in results
        }

    def judged(self, kind: str, result: str) -> None:
        """A credential was judged."""
        self._judged[kind, result].inc()
