"""Whether a request is let in: token in the query, ``Host``, ``Origin``, credential, scope, rate.

In this order, before a body is read. Source: contract 1.3, 2.1 to 2.3.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from runwatch_server.access.origins import check_host, check_origin
from runwatch_server.access.rates import Buckets
from runwatch_server.access.table import METRICS, Need
from runwatch_server.auth import Authenticator
from runwatch_server.principals import Principal
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RefusedError
from runwatch_shared.logs import log
from runwatch_shared.settings import ServerSettings

logger: Final = logging.getLogger(__name__)

Mode = Literal["local", "on"]
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TOKENS_IN_QUERY: Final = frozenset({"token", "access_token"})
PRINCIPAL: Final = "runwatch.principal"
"""Key under which a scope tells who asks."""
NOBODY: Final = Principal(kind="local", scope="viewer", id="", name="")
"""Who calls a public route without a credential; it may do nothing else."""


class Admission:
    """The gate every request passes."""

    def __init__(
        self, *, mode: Mode, settings: ServerSettings, clock: Clock, authenticator: Authenticator
    ) -> None:
        limits = settings.limits
        self.mode: Mode = mode
        self._settings = settings
        self._clock = clock
        self._authenticator = authenticator
        self._reads = Buckets(limits.reads_per_s, limits.reads_burst)
        self._writes = Buckets(limits.writes_per_s, limits.writes_burst)

    def follow(self, settings: ServerSettings) -> None:
        """Judge what comes from now on by other settings; what callers have used stays used."""
        limits = settings.limits
        self._settings = settings
        self._reads.change(limits.reads_per_s, limits.reads_burst)
        self._writes.change(limits.writes_per_s, limits.writes_burst)

    async def admit(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes], need: Need
    ) -> Principal:
        """The principal of a request that may go on.

        Args:
            scope: ASGI's, of an HTTP request or a socket. It is told who asks as soon as that is
                known, also where the request may not go on.

        Raises:
            RefusedError: 400, 401, 403 or 429.
        """
        socket = scope["type"] == "websocket"
        method = "GET" if socket else scope["method"]
        safe = method in SAFE_METHODS
        if scope["query_string"]:
            check_query(scope["query_string"])
        host = _text(headers.get(b"host"))
        if socket or not safe:
            origin = _text(headers.get(b"origin"))
            scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
            check_origin(origin, host, scheme, self._settings.allowed_origins)
        if need.public:
            if not safe and self.mode == "local":
                check_host(host, self._settings.allowed_hosts)
            return NOBODY
        try:
            principal = await self._authenticator.principal(headers, socket=socket)
            if principal is None:
                principal = self._without_credential(scope, host, need, safe=safe)
            scope[PRINCIPAL] = principal
            check_scope(principal, need)
        except RefusedError as error:
            self._log_denied(scope, error)
            raise
        if principal.scope != "node":
            buckets = self._reads if safe else self._writes
            buckets.take(f"{principal.kind}:{principal.id}", self._clock.monotonic())
        return principal

    def _without_credential(
        self, scope: Mapping[str, Any], host: str | None, need: Need, *, safe: bool
    ) -> Principal:
        if need is METRICS and self._settings.metrics_public:
            return NOBODY
        if self.mode == "local":
            check_host(host, self._settings.allowed_hosts)
            if safe and not need.credential and "viewer" in need.scopes:
                return Principal(kind="local", scope="viewer", id=address_of(scope), name="local")
        raise RefusedError("unauthenticated", "this needs a credential")

    def _log_denied(self, scope: Mapping[str, Any], error: RefusedError) -> None:
        log(
            logger,
            logging.INFO,
            "auth",
            "A request was denied",
            event="denied",
            code=error.code,
            reason=str((error.details or {}).get("reason", "")) or None,
            method=scope.get("method", "WEBSOCKET"),
            path=scope["path"][:200],
            address=address_of(scope),
        )


def check_scope(principal: Principal, need: Need) -> None:
    """403 for a principal without the scope a route needs."""
    if principal.scope not in need.scopes:
        raise RefusedError(
            "forbidden", f"this needs the scope {need.asked}", details={"need": need.asked}
        )


def check_query(query_string: bytes) -> None:
    """400 for a credential in an address: addresses are logged and remembered."""
    for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name in TOKENS_IN_QUERY:
            raise RefusedError(
                "token_in_query",
                "credentials belong in a header, never in an address",
                field=name,
            )


def address_of(scope: Mapping[str, Any]) -> str:
    """The client's address; empty where there is none."""
    client = scope.get("client")
    return "" if client is None else str(client[0])


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
