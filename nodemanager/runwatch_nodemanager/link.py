"""The node's only way to the server: one HTTP client, typed requests, typed refusals; no retrying.

A call is one try. Who calls decides with `AnswerError.transient` and `patience.Patience` whether
there is another (contract 1.2).
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import msgspec

from runwatch_nodemanager.credentials import Access
from runwatch_shared.backoff import parse_retry_after
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RunwatchError, SettingsError, UnreachableError
from runwatch_shared.instances import InstancePatch, NodeAgents
from runwatch_shared.joining import JoinAnswer, JoinRequest
from runwatch_shared.logins import (
    Action,
    ActionAnswer,
    ActionList,
    ActionPatch,
    ArchiveStored,
)
from runwatch_shared.models import Json, Run
from runwatch_shared.proxies import NodeProxyTests, ProxyTestAnswer
from runwatch_shared.tls import client_context
from runwatch_shared.wire import (
    ClaimAnswer,
    ClaimRequest,
    EventBatch,
    EventInput,
    EventPage,
    EventsAnswer,
    FoundRunAnswer,
    FoundRunRequest,
    Heartbeat,
    HeartbeatAnswer,
    MessageAnswer,
    NodeRuns,
    Problem,
    RunPatch,
)

CONNECT_S: Final = 5.0
ANSWER_S: Final = 20.0
ARCHIVE_S: Final = 120.0
WAIT_MARGIN_S: Final = 10.0
"""How much longer than it was asked to wait a long poll may take."""
MAX_CONNECTIONS: Final = 64
KEPT_CONNECTIONS: Final = 8
TRANSIENT: Final = frozenset({408, 425, 429})

T = TypeVar("T")


class Bootstrap(msgspec.Struct):
    """What a server says of itself before any credential (contract 3)."""

    protocol: int
    heartbeat_interval_s: float


class StoreName(msgspec.Struct):
    """Of what a server says of itself, which database it has."""

    store: str


class AnswerError(RunwatchError):
    """The server answered with an error (contract 1.2)."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Json | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details or {}
        self.retry_after_s = retry_after_s

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in TRANSIENT or self.status >= 500


class Link:
    """Requests of one node process.

    Args:
        find_access: Called again whenever the server could not be reached or did not know us: its
            files may be newer than those read before.
    """

    def __init__(
        self, find_access: Callable[[], Access], *, node_id: str, process_id: str, clock: Clock
    ) -> None:
        self.node_id = node_id
        self.process_id = process_id
        self._find_access = find_access
        self._clock = clock
        self._access = find_access()
        self._ca_read: bytes | None = None
        self._client = self._open_client()
        self._retired: list[httpx.AsyncClient] = []
        self._returned = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in (self._client, *self._retired):
            await client.aclose()

    @property
    def has_token(self) -> bool:
        return self._access.token is not None

    @property
    def token(self) -> str | None:
        """What this node proves itself with; secret."""
        return self._access.token

    async def rest(self, seconds: float) -> None:
        """Wait before another try, but no longer than until an absent server is back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._returned.wait()

    def returned(self) -> None:
        """A server that did not answer does so again: whoever rests has no more reason to."""
        self._returned.set()
        self._returned = asyncio.Event()

    async def bootstrap(self) -> Bootstrap:
        return await self._ask("GET", "/api/v1/node-bootstrap", Bootstrap)

    async def join(self, token: str) -> JoinAnswer:
        """Trade a token for joining for this node's own."""
        request = JoinRequest(token=token, node_id=self.node_id)
        return await self._ask("POST", "/api/v1/nodes/join", JoinAnswer, request)

    async def heartbeat(self, beat: Heartbeat, *, answer_s: float = ANSWER_S) -> HeartbeatAnswer:
        path = "/api/v1/nodes/heartbeat"
        return await self._ask("POST", path, HeartbeatAnswer, beat, answer_s=answer_s)

    async def runs(self, *, wait_s: int, status: str = "assigned") -> NodeRuns:
        """Runs of this node in ``status`` (comma-separated), waited for on the server's side."""
        path = f"/api/v1/nodes/{self.node_id}/runs?status={status}&wait={wait_s}"
        return await self._ask("GET", path, NodeRuns, answer_s=wait_s + WAIT_MARGIN_S)

    async def run(self, run_id: str) -> Run:
        return await self._ask("GET", f"/api/v1/runs/{run_id}", Run)

    async def instances(self, *, wait_s: int, status: str | None = None) -> NodeAgents:
        """Instances of this node, by default those there is something to do about."""
        wanted = "" if status is None else f"status={status}&"
        path = f"/api/v1/nodes/{self.node_id}/agents?{wanted}wait={wait_s}"
        return await self._ask("GET", path, NodeAgents, answer_s=wait_s + WAIT_MARGIN_S)

    async def report_instance(self, instance_id: str, patch: InstancePatch) -> MessageAnswer:
        return await self._ask("PATCH", f"/api/v1/agents/{instance_id}", MessageAnswer, patch)

    async def claim(self, run_id: str, *, epoch: int | None = None) -> ClaimAnswer:
        request = ClaimRequest(node_id=self.node_id, process_id=self.process_id, epoch=epoch)
        return await self._ask("POST", f"/api/v1/runs/{run_id}/claim", ClaimAnswer, request)

    async def proxy_tests(self) -> NodeProxyTests:
        """Proxies this node is to test."""
        return await self._ask("GET", f"/api/v1/nodes/{self.node_id}/proxy-tests", NodeProxyTests)

    async def tell_proxy_test(self, test_id: str, answer: ProxyTestAnswer) -> None:
        path = f"/api/v1/nodes/{self.node_id}/proxy-tests/{test_id}"
        await self._send("POST", path, content=msgspec.json.encode(answer))

    async def report(self, run_id: str, epoch: int, events: list[EventInput]) -> EventsAnswer:
        batch = EventBatch(events=events, epoch=epoch)
        return await self._ask("POST", f"/api/v1/runs/{run_id}/events", EventsAnswer, batch)

    async def store(self) -> str:
        """The name of the server's database (contract 1.6)."""
        return (await self._ask("GET", "/api/v1/server", StoreName)).store

    async def announce(self, request: FoundRunRequest) -> FoundRunAnswer:
        """Report an agent session found on this machine (contract 11.3)."""
        path = f"/api/v1/nodes/{self.node_id}/runs"
        return await self._ask("POST", path, FoundRunAnswer, request)

    async def newest_event(self, run_id: str) -> EventPage:
        """A run's newest event, none where there is none."""
        path = f"/api/v1/runs/{run_id}/events?tail=true&limit=1"
        return await self._ask("GET", path, EventPage)

    async def actions(self, *, wait_s: int, status: str = "assigned") -> ActionList:
        """Logins this node is asked for, and what people entered for those under way."""
        path = f"/api/v1/nodes/{self.node_id}/actions?status={status}&wait={wait_s}"
        return await self._ask("GET", path, ActionList, answer_s=wait_s + WAIT_MARGIN_S)

    async def action(self, action_id: str) -> Action:
        return await self._ask("GET", f"/api/v1/actions/{action_id}", Action)

    async def patch_action(self, action_id: str, patch: ActionPatch) -> ActionAnswer:
        return await self._ask("PATCH", f"/api/v1/actions/{action_id}", ActionAnswer, patch)

    async def put_archive(self, account_id: str, data: bytes) -> ArchiveStored:
        """Have the server keep a login, sealed (contract 13)."""
        path = f"/api/v1/accounts/{account_id}/volume-archive"
        answer = await self._send("PUT", path, content=data, kind="application/gzip")
        return _decoded(answer, ArchiveStored)

    async def archive(self, account_id: str) -> bytes:
        """A login that the server keeps."""
        path = f"/api/v1/accounts/{account_id}/volume-archive"
        return (await self._send("GET", path, answer_s=ARCHIVE_S)).content

    async def fail(self, run_id: str, epoch: int, error: str) -> Run:
        """End a run as failed and interrupted without an event of ours."""
        patch = RunPatch(
            status="failed", epoch=epoch or None, error_message=error, error_code="interrupted"
        )
        return await self._ask("PATCH", f"/api/v1/runs/{run_id}", Run, patch)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: Any = None,
        *,
        answer_s: float = ANSWER_S,
    ) -> T:
        """One request.

        Raises:
            AnswerError: The server refused.
            UnreachableError: There was no answer, or none that could be read.
        """
        content = None if body is None else msgspec.json.encode(body)
        response = await self._send(method, path, content=content, answer_s=answer_s)
        return _decoded(response, kind)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        kind: str = "application/json",
        answer_s: float = ANSWER_S,
    ) -> httpx.Response:
        """As ``_ask``, for an answer that need not be JSON."""
        headers = {"X-Node-Token": self._access.token} if self._access.token else {}
        if content is not None:
            headers["Content-Type"] = kind
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=answer_s)
        try:
            response = await self._client.request(
                method, path, content=content, headers=headers, timeout=timeout
            )
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            await self._look_again()
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        if response.status_code >= 300:
            raise await self._refusal(response)
        return response

    async def _refusal(self, response: httpx.Response) -> AnswerError:
        if response.status_code == 401:
            await self._look_again()
        try:
            problem = msgspec.json.decode(response.content, type=Problem)
        except msgspec.MsgspecError:
            problem = Problem(error=response.reason_phrase, code=f"http_{response.status_code}")
        wait = parse_retry_after(response.headers.get("Retry-After"), self._clock.now())
        return AnswerError(
            response.status_code,
            problem.code,
            problem.error,
            details=problem.details,
            retry_after_s=wait,
        )

    async def _look_again(self) -> None:
        """Take a token or an authority that is newer; the old client's requests end undisturbed."""
        try:
            access = self._find_access()
        except SettingsError:
            return
        if access == self._access and self._ca_content(access) == self._ca_read:
            return
        only_token = access.ca == self._access.ca and self._ca_content(access) == self._ca_read
        self._access = access
        if not only_token:
            self._retired.append(self._client)
            self._client = self._open_client()
            if len(self._retired) > 1:
                await self._retired.pop(0).aclose()

    def _ca_content(self, access: Access) -> bytes | None:
        return access.ca.read_bytes() if access.ca is not None and access.ca.is_file() else None

    def _open_client(self) -> httpx.AsyncClient:
        access = self._access
        self._ca_read = self._ca_content(access)
        secure = access.url.startswith("https://")
        return httpx.AsyncClient(
            base_url=access.url,
            verify=client_context(access.ca) if secure else True,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS, max_keepalive_connections=KEPT_CONNECTIONS
            ),
            follow_redirects=False,
            # A proxy of the environment is for the world outside.
            trust_env=not access.loopback,
        )


def _decoded(response: httpx.Response, kind: type[T]) -> T:
    """
    Raises:
        UnreachableError: It is something else: whoever answered is not the server.
    """
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.MsgspecError as error:
        raise UnreachableError(f"an answer that is not understood: {error}") from error
