"""Requests to the server over HTTP (contract sections 3, 6, 8 and 11); sockets are in `feed`."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import httpx
import msgspec

from runwatch_console.contexts import Access, Context, TokenError
from runwatch_console.known_hosts import KnownHostsError
from runwatch_console.ports import (
    ApiError,
    EventQuery,
    Method,
    NewTask,
    Query,
    UntrustedCertificateError,
)
from runwatch_console.queries import event_query, path_part, task_request, workflow_path
from runwatch_console.reasons import reason_of
from runwatch_console.trust import (
    certificate_failure,
    connection_context,
    examine,
    untrusted,
    wrong_scheme,
)
from runwatch_shared.backoff import Backoff, parse_retry_after
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.models import (
    History,
    Node,
    Run,
    Stats,
    Task,
    WorkflowDetail,
)
from runwatch_shared.wire import (
    CancelAnswer,
    CancelRequest,
    EventViewPage,
    NodeList,
    Problem,
    RunList,
    ServerInfo,
    StepPage,
    TaskList,
    TokenIdentity,
    WorkflowList,
)

T = TypeVar("T")
REQUEST_S: Final = 15.0
"""A request with all its repetitions."""
TRIES: Final = 3
UNAUTHORIZED: Final = 401
NO_TOKEN: Final = "no_token"
LONGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024
NODE_PAGES: Final = 50
RETIRED_CLIENTS: Final = 2
TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0, pool=5.0)
POOL: Final = httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=30.0)
AGAIN_REFUSED: Final = frozenset({408, 425, 429, 503})
"""Refused, so nothing was done (contract 1.2): also what may be done once alone is asked again."""
AGAIN: Final = AGAIN_REFUSED | {500, 502, 504}
"""Contract 1.2: what is worth a repetition. A request may be repeated if it changes nothing more
the second time, or carries an Idempotency-Key."""


class HttpApi:
    """The console's requests over one connection pool; each raises `ApiError` and nothing else."""

    def __init__(
        self, context: Context, *, request_s: float = REQUEST_S, read_only: bool = False
    ) -> None:
        """`read_only`: what would change something is refused here, and never sent."""
        self._context = context
        self._read_only = read_only
        self._request_s = request_s
        self._access: Access | None = None
        self._client: httpx.AsyncClient | None = None
        self._retired: list[httpx.AsyncClient] = []
        self._opening = asyncio.Lock()

    async def aclose(self) -> None:
        """Close what is open. A request made later opens it anew."""
        self._retire()
        while self._retired:
            await self._retired.pop().aclose()

    async def server_info(self) -> ServerInfo:
        """GET /server."""
        return await self._get("/api/v1/server", ServerInfo)

    async def workflow(self, run_id: str) -> WorkflowDetail:
        """GET /monitor/workflows/run/{id}."""
        return await self._get(workflow_path(run_id), WorkflowDetail)

    async def workflows(
        self, query: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> WorkflowList:
        """GET /monitor/workflows, one page."""
        page = {"limit": str(limit), **({} if cursor is None else {"cursor": cursor})}
        return await self._get("/api/v1/monitor/workflows", WorkflowList, {**query, **page})

    async def events(self, run_id: str, query: EventQuery) -> EventViewPage:
        """GET /monitor/workflows/run/{id}/events, one page."""
        return await self._get(f"{workflow_path(run_id)}/events", EventViewPage, event_query(query))

    async def steps(self, run_id: str, *, after_seq: int, limit: int) -> StepPage:
        """GET /monitor/workflows/run/{id}/steps, one page."""
        query = {"after_seq": str(after_seq), "limit": str(limit)}
        return await self._get(f"{workflow_path(run_id)}/steps", StepPage, query)

    async def stats(self) -> Stats:
        """GET /monitor/stats."""
        return await self._get("/api/v1/monitor/stats", Stats)

    async def history(self, minutes: int) -> History:
        """GET /monitor/stats/history."""
        return await self._get("/api/v1/monitor/stats/history", History, {"minutes": str(minutes)})

    async def nodes(self) -> NodeList:
        """GET /nodes, all pages as one list."""
        page = await self._get("/api/v1/nodes", NodeList)
        nodes: list[Node] = list(page.nodes)
        for _ in range(NODE_PAGES):
            if page.next_cursor is None:
                break
            page = await self._get("/api/v1/nodes", NodeList, {"cursor": page.next_cursor})
            nodes.extend(page.nodes)
        return msgspec.structs.replace(page, nodes=nodes, count=len(nodes))

    async def ledger(self, node_id: str) -> LedgerAnswer:
        """GET /nodes/{id}/ledger."""
        return await self._get(f"/api/v1/nodes/{path_part(node_id)}/ledger", LedgerAnswer)

    async def tasks(
        self, query: Mapping[str, Sequence[str]], *, limit: int, cursor: str | None = None
    ) -> TaskList:
        """GET /tasks, one page."""
        page = {"limit": [str(limit)], **({} if cursor is None else {"cursor": [cursor]})}
        return await self._get("/api/v1/tasks", TaskList, {**query, **page})

    async def task_runs(self, task_id: str, *, limit: int, cursor: str | None = None) -> RunList:
        """GET /tasks/{id}/runs, newest first."""
        query = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        return await self._get(f"/api/v1/tasks/{path_part(task_id)}/runs", RunList, query)

    async def identity(self) -> TokenIdentity:
        """GET /auth/me: whose the credential is, a token's or a user's."""
        return await self._get("/api/v1/auth/me", TokenIdentity)

    async def create_task(self, task: NewTask) -> Task:
        """POST /tasks; a lost answer is asked for again under the same Idempotency-Key."""
        return await self._post("/api/v1/tasks", Task, task_request(task), keyed=True)

    async def create_run(self, task_id: str) -> Run:
        """POST /tasks/{id}/runs."""
        return await self._post(f"/api/v1/tasks/{path_part(task_id)}/runs", Run, keyed=True)

    async def cancel_run(self, run_id: str, note: str = "") -> CancelAnswer:
        """POST /runs/{id}/cancel; to cancel again changes nothing."""
        body = CancelRequest(note=note or None)
        return await self._post(f"/api/v1/runs/{path_part(run_id)}/cancel", CancelAnswer, body)

    async def retry_run(self, run_id: str) -> Run:
        """POST /runs/{id}/retry."""
        return await self._post(f"/api/v1/runs/{path_part(run_id)}/retry", Run, keyed=True)

    async def ask(
        self,
        method: Method,
        path: str,
        answer: type[T],
        *,
        query: Query | None = None,
        body: msgspec.Struct | None = None,
        keyed: bool = False,
        once: bool = False,
    ) -> T:
        """See `ports.Api.ask`."""
        if method == "GET":
            return await self._request("GET", path, answer, query=query or {})
        if self._read_only:
            raise ApiError("read_only", "this console was started with --read-only", status=403)
        headers = {"Content-Type": "application/json"}
        if keyed:
            headers["Idempotency-Key"] = uuid.uuid4().hex
        content = b"{}" if body is None else msgspec.json.encode(body)
        return await self._request(
            method, path, answer, query=query, content=content, headers=headers, once=once
        )

    async def _get(self, path: str, answer: type[T], query: Query | None = None) -> T:
        return await self.ask("GET", path, answer, query=query)

    async def _post(
        self, path: str, answer: type[T], body: msgspec.Struct | None = None, *, keyed: bool = False
    ) -> T:
        return await self.ask("POST", path, answer, body=body, keyed=keyed)

    async def _request(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Query | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> T:
        try:
            async with asyncio.timeout(self._request_s):
                status, body = await self._repeat(method, path, query, content, headers, once=once)
        except TimeoutError as error:
            raise ApiError("timeout", f"no answer within {self._request_s:g} s") from error
        try:
            # 204 has nothing to say.
            return msgspec.json.decode(body or b"null", type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(
                "invalid_answer", f"{path}: not what the contract says: {error}", status=status
            ) from error

    async def _repeat(
        self,
        method: str,
        path: str,
        query: Query | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
        *,
        once: bool,
    ) -> tuple[int, bytes]:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._request_s
        for tries_left in reversed(range(TRIES)):
            try:
                return await self._send(method, path, query, content, headers)
            except ApiError as error:
                # The server may have come back at another port, with another token or authority.
                unanswered = once and error.status == 0
                moved = not unanswered and await self._moved(error)
                wait_s = 0.0 if moved else backoff.next_s(error.retry_after_s)
                hopeless = not moved and not _worth_repeating(error, once=once)
                if tries_left == 0 or hopeless or loop.time() + wait_s >= end_s:
                    raise
            await asyncio.sleep(wait_s)
        raise AssertionError("unreachable")

    async def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> tuple[int, bytes]:
        """Status and body of a 2xx."""
        client = await self._opened()
        try:
            request = client.build_request(
                method, path, params=query, content=content, headers=headers
            )
            response = await client.send(request, stream=True)
            try:
                body = await _read(response)
            finally:
                await response.aclose()
        except httpx.TimeoutException as error:
            raise ApiError("timeout", "no answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise await self._lost(error) from error
        if not response.is_success:
            raise _refusal(response, body)
        return response.status_code, body

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._access = await asyncio.to_thread(self._read_access)
                self._client = await asyncio.to_thread(_open_client, self._access)
            while len(self._retired) > RETIRED_CLIENTS:
                await self._retired.pop(0).aclose()
            return self._client

    def _read_access(self, status: int = 0) -> Access:
        """What to connect with now, after an answer of this status."""
        try:
            if status == UNAUTHORIZED and self._access is not None:
                self._context.renew_token(self._access.token)
            return self._context.access()
        except TokenError as error:
            raise ApiError(NO_TOKEN, str(error)) from error

    def _retire(self) -> None:
        """Use a new client from now on; requests under way may still hold the old one."""
        if self._client is not None:
            self._retired.append(self._client)
            self._client = None

    async def _moved(self, error: ApiError) -> bool:
        if error.code == NO_TOKEN:
            return False
        access = await asyncio.to_thread(self._read_access, error.status)
        if access == self._access:
            return False
        self._retire()
        return True

    async def _lost(self, error: Exception) -> ApiError:
        failure = certificate_failure(error)
        if self._access is None:
            return ApiError("unreachable", reason_of(error))
        if failure is None:
            scheme = await wrong_scheme(error, self._access)
            return ApiError(scheme or "unreachable", reason_of(error))
        # The authority's file may be a new one under the same name: read it at the next request.
        self._retire()
        return UntrustedCertificateError(await examine(failure, self._access))


def _open_client(access: Access) -> httpx.AsyncClient:
    headers = {"Accept": "application/json", "User-Agent": "monitor-tui"}
    if access.token is not None:
        headers["Authorization"] = f"Bearer {access.token}"
    try:
        return httpx.AsyncClient(
            base_url=access.url,
            verify=connection_context(access),
            headers=headers,
            timeout=TIMEOUT,
            limits=POOL,
            follow_redirects=False,
            # A proxy of the environment cannot reach this machine's own loopback.
            trust_env=not access.loopback,
        )
    except KnownHostsError as error:
        raise UntrustedCertificateError(untrusted(str(error))) from error
    except (OSError, ValueError, ImportError) as error:
        # An authority's file that holds none, or a proxy address httpx cannot use.
        raise ApiError("unreachable", str(error)) from error


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LONGEST_ANSWER_BYTES:
            raise ApiError("invalid_answer", "the answer is too long", status=response.status_code)
    return bytes(body)


def _refusal(response: httpx.Response, body: bytes) -> ApiError:
    retry_after_s = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    status = response.status_code
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Something on the way answered, not the server.
        return ApiError(
            f"http_{status}",
            f"HTTP {status} {response.reason_phrase}".strip(),
            status=status,
            retry_after_s=retry_after_s,
        )
    return ApiError(
        problem.code,
        problem.error,
        field=problem.field,
        status=status,
        retry_after_s=retry_after_s,
    )


def _worth_repeating(error: ApiError, *, once: bool) -> bool:
    if once:
        return error.status in AGAIN_REFUSED
    return error.status in AGAIN or error.code in ("unreachable", "timeout")
