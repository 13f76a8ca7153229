"""The outermost layer of the application: request ids, headers, measures, and errors as answers.

Plain ASGI, around everything else. What a route may do is not its matter.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Collection
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runwatch_server import problems
from runwatch_server.access.forwarding import Forwarding
from runwatch_server.api.bodies import ClientGoneError
from runwatch_server.api.resource import LONG_POLL, TEMPLATE, send_answer
from runwatch_server.problems import Answer
from runwatch_server.tracing.traceparent import trace_id_of
from runwatch_shared.errors import RefusedError
from runwatch_shared.logs import REQUEST_ID, TRACE_ID
from runwatch_shared.settings import ServerSettings

logger: Final = logging.getLogger(__name__)

UNMATCHED: Final = "unmatched"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_CORS_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_CORS_HEADERS: Final = b"Authorization, Content-Type, Idempotency-Key, X-Request-ID"
_CORS_EXPOSED: Final = b"X-Request-ID, Idempotency-Replayed, Retry-After"
_CORS_AGE_S: Final = b"600"


class RequestObserver(Protocol):
    """Hears of every request, refused ones too."""

    def began(self) -> None: ...

    def answered(
        self, method: str, path: str, status: int, seconds: float, *, long_poll: bool
    ) -> None: ...

    def upgraded(self, path: str) -> None: ...

    def rejected(self, code: str) -> None: ...


class Edge:
    """Wraps the application.

    Args:
        allowed_origins: Web origins that may read answers (CORS).
        forwarding: Which peers may speak for others.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        observer: RequestObserver,
        allowed_origins: Collection[str],
        forwarding: Forwarding,
    ) -> None:
        self._app = app
        self._observer = observer
        self._origins = frozenset(origin.encode() for origin in allowed_origins)
        self._forwarding = forwarding
        self._ids = RequestIds()

    def follow(self, settings: ServerSettings) -> None:
        """Know other web origins and proxies from now on."""
        self._origins = frozenset(origin.encode() for origin in settings.allowed_origins)
        self._forwarding = Forwarding(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            return await self._app(scope, receive, send)
        self._forwarding.apply(scope)
        given, origin, trace_id = _read(scope)
        request_id = given or self._ids.new()
        token = REQUEST_ID.set(request_id.decode())
        trace = None if trace_id is None else TRACE_ID.set(trace_id)
        try:
            if scope["type"] == "http":
                await self._serve(scope, receive, send, self._headers(scope, request_id, origin))
            else:
                await self._upgrade(scope, receive, send, self._headers(scope, request_id, origin))
        finally:
            REQUEST_ID.reset(token)
            if trace is not None:
                TRACE_ID.reset(trace)
        return None

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, extra: problems.Headers
    ) -> None:
        began = time.perf_counter()
        status = 0
        self._observer.began()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        try:
            if scope["method"] == "OPTIONS" and self._is_preflight(scope):
                await send_answer(self._preflight(scope), sending)
            else:
                await self._app(scope, receive, sending)
        except ClientGoneError:
            pass
        except Exception as error:
            if status:
                raise  # the answer has begun: the connection can only be cut
            await send_answer(self._refuse(error), sending, head=scope["method"] == "HEAD")
        finally:
            self._observer.answered(
                scope["method"],
                scope.get(TEMPLATE, UNMATCHED),
                status or 499,
                time.perf_counter() - began,
                long_poll=LONG_POLL in scope,
            )

    async def _upgrade(
        self, scope: Scope, receive: Receive, send: Send, extra: problems.Headers
    ) -> None:
        began = time.perf_counter()
        accepted = False

        async def sending(message: Message) -> None:
            nonlocal accepted
            if message["type"] == "websocket.accept":
                accepted = True
                message["headers"] = [*message.get("headers", ()), *extra]
                self._observer.upgraded(scope.get(TEMPLATE, UNMATCHED))
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if accepted:
                raise
            answer = self._refuse(error)
            await deny(answer, extra, scope, send)
            self._observer.began()
            self._observer.answered(
                "GET",
                scope.get(TEMPLATE, UNMATCHED),
                answer.status,
                time.perf_counter() - began,
                long_poll=False,
            )

    def _refuse(self, error: Exception) -> Answer:
        refusal = problems.refusal_of(error)
        if refusal is None:
            logger.error("Could not answer a request", exc_info=error)
            refusal = problems.internal()
        self._observer.rejected(refusal.code)
        return problems.answer_of(refusal)

    def _headers(self, scope: Scope, request_id: bytes, origin: bytes | None) -> problems.Headers:
        headers = [(b"x-request-id", request_id), (b"x-content-type-options", b"nosniff")]
        if scope["path"].startswith("/api"):
            headers.append((b"cache-control", b"no-store"))
        if self._origins:
            headers.append((b"vary", b"Origin"))
            if origin in self._origins and origin is not None:
                headers.append((b"access-control-allow-origin", origin))
                headers.append((b"access-control-allow-credentials", b"true"))
                headers.append((b"access-control-expose-headers", _CORS_EXPOSED))
        return headers

    def _is_preflight(self, scope: Scope) -> bool:
        names = {name for name, _ in scope["headers"]}
        return b"origin" in names and b"access-control-request-method" in names

    def _preflight(self, scope: Scope) -> Answer:
        origin = dict(scope["headers"])[b"origin"]
        if origin not in self._origins:
            raise RefusedError("origin_not_allowed", "this web origin is not allowed")
        return Answer(
            status=204,
            headers=(
                (b"access-control-allow-methods", _CORS_METHODS),
                (b"access-control-allow-headers", _CORS_HEADERS),
                (b"access-control-max-age", _CORS_AGE_S),
            ),
        )


async def deny(answer: Answer, extra: problems.Headers, scope: Scope, send: Send) -> None:
    """Answer a socket's request with an ordinary HTTP response instead of the upgrade."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    await send(
        {
            "type": "websocket.http.response.start",
            "status": answer.status,
            "headers": [*answer.raw_headers(), *extra],
        }
    )
    await send({"type": "websocket.http.response.body", "body": answer.body})


class RequestIds:
    """Ids for requests that brought none: counted from a random number, since asking the system
    for randomness costs more than the rest of a small request.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(secrets.randbits(63))

    def new(self) -> bytes:
        """Sixteen hex digits."""
        return b"%016x" % next(self._numbers)


def _read(scope: Scope) -> tuple[bytes | None, bytes | None, str | None]:
    """The id a request brought, if it fits, its web origin, and the trace it is part of."""
    given: bytes | None = None
    origin: bytes | None = None
    trace_id: str | None = None
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value
        elif name == b"origin":
            origin = value
        elif name == b"traceparent":
            trace_id = trace_id_of(value)
    if given is not None and _REQUEST_ID.fullmatch(given) is None:
        given = None
    return given, origin, trace_id
