"""A server of the contract's node part, in memory, on a real socket; scripted by its attributes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.nodemanager.fake_logins import FakeLogins

NOW = "2026-11-24T00:00:00.000000Z"
TERMINAL = {"done", "failed", "cancelled", "timeout"}


@dataclass
class FakeRun:
    """A run as the server sees it."""

    id: str
    snapshot: dict[str, Any]
    retry_on_lost: bool = False
    status: str = "assigned"
    epoch: int = 0
    process_id: str | None = None
    node_id: str | None = None
    last_seq: int = 0
    cancel: str | None = None
    lost: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)

    def wire(self) -> dict[str, Any]:
        claimed = {"claimed_at": NOW} if self.process_id else {}
        lease = None
        if self.process_id:
            lease = {"kind": "explicit", "epoch": self.epoch, "node_id": self.node_id}
        return {
            "id": self.id,
            "task_id": "task-000000000000",
            "attempt": 1,
            "status": self.status,
            "origin": "scheduled",
            "controllable": True,
            "agent_type": self.snapshot["agent"]["type"],
            "labels": {},
            "priority": 0,
            "retry_on_lost": self.retry_on_lost,
            "created_at": NOW,
            "updated_at": NOW,
            "first_seq": 1,
            "last_seq": self.last_seq,
            "event_count": len(self.events),
            "seq_holes": 0,
            "usage": None,
            "tool_calls": 0,
            "tool_failures": 0,
            "revision": 1,
            "snapshot": self.snapshot,
            **claimed,
            **({"lease": lease} if lease else {}),
        }


class FakeServer:
    """Answers as contract 9.1, 11.1 and 11.2 say, unless ``answer_with`` says otherwise."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.beats: list[dict[str, Any]] = []
        self.answer_with: Callable[[Request], JSONResponse | None] = lambda request: None
        self.refuse_events: Callable[[bytes], JSONResponse | None] = lambda body: None
        self.forget_answers = 0
        """So many event batches are stored and then answered with an error."""
        self.forget_only = b""
        """Of the batches, only those that hold this."""
        self.ignore_beats = 0
        """So many heartbeats get no answer at all."""
        self.kill_claims = 0
        """So many claims are granted and then answered with an error."""
        self.tokens: set[str] = set()
        self.ttl_s = 45
        self.drain = False
        self.env_config: dict[str, Any] | None = None
        """Given with every claim."""
        self.proxy_tests: dict[str, dict[str, Any]] = {}
        """Orders by their ids; their answers are in ``tested``."""
        self.tested: dict[str, dict[str, Any]] = {}
        self.changed = asyncio.Condition()
        self.port = 0
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        routes = [
            Route("/api/v1/node-bootstrap", self._bootstrap),
            Route("/api/v1/nodes/heartbeat", self._heartbeat, methods=["POST"]),
            Route("/api/v1/nodes/{id}/runs", self._node_runs),
            Route("/api/v1/nodes/{id}/proxy-tests", self._proxy_tests),
            Route("/api/v1/nodes/{id}/proxy-tests/{test}", self._tested, methods=["POST"]),
            Route("/api/v1/runs/{id}/claim", self._claim, methods=["POST"]),
            Route("/api/v1/runs/{id}/events", self._events, methods=["POST"]),
            Route("/api/v1/runs/{id}", self._patch, methods=["PATCH"]),
            Route("/api/v1/runs/{id}", self._run),
        ]
        self.logins = FakeLogins(self.changed)
        self._app = Starlette(routes=[*routes, *self.logins.routes(self._refusal)])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, run_id: str, argv: list[str] | None = None, **changes: Any) -> FakeRun:
        """Assign a run of the agent ``command``."""
        agent = changes.pop("agent", {"type": "command", "parameters": {"argv": argv or ["true"]}})
        snapshot = {
            "task_id": "task-000000000000",
            "name": "a task",
            "agent": agent,
            "prompt": changes.pop("prompt", ""),
            "labels": {},
        }
        snapshot |= changes.pop("snapshot", {})
        run = FakeRun(id=run_id, snapshot=snapshot, **changes)
        self.runs[run_id] = run
        return run

    async def start(self) -> None:
        config = uvicorn.Config(
            self._app, host="127.0.0.1", port=self.port, log_config=None, ws="none", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self.logins.stopping = False
        self._server.config.load()
        self._serving = asyncio.get_running_loop().create_task(self._server._serve())
        async with asyncio.timeout(5):
            while not self._server.started:
                await asyncio.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drop every connection, as a server that is killed does."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = self.logins.stopping = True
            self._server.force_exit = True
            async with self.changed:
                self.changed.notify_all()
            await self._serving
            self._server = None

    async def until(self, condition: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
        """Until a request made the condition true."""
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(condition)

    async def _refusal(self, request: Request) -> JSONResponse | None:
        if self.tokens and request.headers.get("x-node-token") not in self.tokens:
            return problem(401, "invalid_credential")
        return self.answer_with(request)

    async def _bootstrap(self, request: Request) -> JSONResponse:
        return JSONResponse({"tls": {"enabled": False}, "protocol": 1, "heartbeat_interval_s": 10})

    async def _heartbeat(self, request: Request) -> JSONResponse:
        if refused := await self._refusal(request):
            return refused
        beat = await request.json()
        if self.ignore_beats:
            self.ignore_beats -= 1
            await asyncio.Event().wait()
        leases = []
        for named in beat["runs"]:
            run = self.runs.get(named["id"])
            if run and run.epoch == named["epoch"] and run.status not in TERMINAL and not run.lost:
                leases.append(self._lease(run) | {"run_id": run.id})
        async with self.changed:
            self.beats.append(beat)
            self.changed.notify_all()
        answer = {"status": "ok", "server_time": NOW, "interval_s": 10, "leases": leases}
        return JSONResponse(answer | {"directives": self._directives()})

    async def _node_runs(self, request: Request) -> JSONResponse:
        if refused := await self._refusal(request):
            return refused
        wanted = request.query_params["status"].split(",")
        wait_s = float(request.query_params["wait"])
        told: set[str] = getattr(self, "_told", set())
        self._told = told

        def news() -> bool:
            directed = {r.id for r in self.runs.values() if r.cancel or r.lost}
            return bool(self._assigned()) or bool(directed - told) or self._server is None

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s), self.changed:
                await self.changed.wait_for(news)
        told |= {r.id for r in self.runs.values() if r.cancel or r.lost}
        runs = [r.wire() for r in self.runs.values() if r.status in wanted]
        return JSONResponse({"runs": runs, "count": len(runs), "directives": self._directives()})

    async def _proxy_tests(self, request: Request) -> JSONResponse:
        orders = [order | {"id": name} for name, order in self.proxy_tests.items()]
        return JSONResponse({"node_id": request.path_params["id"], "tests": orders})

    async def _tested(self, request: Request) -> Response:
        self.tested[request.path_params["test"]] = await request.json()
        async with self.changed:
            self.changed.notify_all()
        return Response(status_code=204)

    async def _claim(self, request: Request) -> JSONResponse:
        if refused := await self._refusal(request):
            return refused
        body = await request.json()
        run = self.runs.get(request.path_params["id"])
        if run is None:
            return problem(404, "not_found")
        if run.status in TERMINAL:
            return problem(409, "not_claimable", {"reason": "ended", "status": run.status})
        if run.node_id not in (None, body["node_id"]):
            return problem(409, "not_claimable", {"reason": "other_node"})
        if run.process_id not in (None, body["process_id"]) and body.get("epoch") != run.epoch:
            return problem(409, "not_claimable", {"reason": "other_process"})
        if run.process_id != body["process_id"]:
            run.epoch += 1
            run.process_id = body["process_id"]
            run.node_id = body["node_id"]
        if self.kill_claims:
            self.kill_claims -= 1
            return problem(503, "store_unavailable")
        answer = {
            "run": run.wire(),
            "lease": self._lease(run),
            "next_seq": run.last_seq + 1,
            "last_seq": run.last_seq,
            **({"env_config": self.env_config} if self.env_config else {}),
        }
        async with self.changed:
            self.changed.notify_all()
        return JSONResponse(answer)

    async def _events(self, request: Request) -> JSONResponse:
        if refused := await self._refusal(request):
            return refused
        if refused := self.refuse_events(await request.body()):
            return refused
        body = await request.json()
        run = self.runs.get(request.path_params["id"])
        if run is None:
            return problem(404, "not_found")
        stored = {event["seq"]: event for event in run.events}
        events = body["events"]
        if not all(stored.get(event["seq"]) == event for event in events):
            if body.get("epoch") != run.epoch or run.lost:
                return problem(409, "lease_lost", {"reason": "superseded"})
            if run.status in TERMINAL:
                return problem(409, "run_finished", {"status": run.status})
            fresh = [event for event in events if event["seq"] not in stored]
            same = [event for event in events if event["seq"] in stored]
            if any(stored[event["seq"]] != event for event in same):
                details = {"reason": "different", "last_seq": run.last_seq}
                return problem(409, "seq_conflict", details)
            if fresh[0]["seq"] <= run.last_seq:
                details = {"reason": "below_last", "last_seq": run.last_seq}
                return problem(409, "seq_conflict", details)
            self._append(run, fresh)
        async with self.changed:
            self.changed.notify_all()
        if self.forget_answers and self.forget_only in await request.body():
            self.forget_answers -= 1
            return problem(503, "store_unavailable")
        answer = {
            "created": 0,
            "duplicates": 0,
            "last_seq": run.last_seq,
            "status": run.status,
            "cancel": run.cancel,
            "lease": {"epoch": run.epoch, "expires_at": NOW},
        }
        return JSONResponse(answer, 201)

    async def _run(self, request: Request) -> JSONResponse:
        return JSONResponse(self.runs[request.path_params["id"]].wire())

    async def _patch(self, request: Request) -> JSONResponse:
        run = self.runs[request.path_params["id"]]
        body = await request.json()
        run.status = body["status"]
        async with self.changed:
            self.changed.notify_all()
        return JSONResponse(run.wire())

    def _append(self, run: FakeRun, events: list[dict[str, Any]]) -> None:
        assert [e["seq"] for e in events] == sorted({e["seq"] for e in events})
        run.events += events
        run.last_seq = events[-1]["seq"]
        if run.status == "assigned":
            run.status = "running"
        if events[-1]["type"] == "run_failed":
            run.status = "failed"
        elif events[-1]["type"] == "run_completed":
            run.status = events[-1]["payload"]["status"]

    def _assigned(self) -> list[FakeRun]:
        return [r for r in self.runs.values() if r.status == "assigned" and not r.process_id]

    def _lease(self, run: FakeRun) -> dict[str, Any]:
        return {"epoch": run.epoch, "expires_at": NOW, "ttl_s": self.ttl_s}

    def _directives(self) -> dict[str, Any]:
        active = [run for run in self.runs.values() if run.status not in TERMINAL]
        cancelled = {run.id: run.cancel for run in active if run.cancel}
        return {
            "cancel_runs": list(cancelled),
            "cancel_reasons": cancelled,
            "lost_runs": [run.id for run in self.runs.values() if run.lost],
            "drain": self.drain,
            "proxy_tests": list(self.proxy_tests),
        }


def problem(status: int, code: str, details: dict[str, Any] | None = None) -> JSONResponse:
    body = json.loads(json.dumps({"error": code, "code": code, "details": details or {}}))
    return JSONResponse(body, status)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[FakeServer]:
    server = FakeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
