"""The whole application in the test's own loop, over a store in memory: no listener, no threads of
its own but the store's.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
from argon2 import PasswordHasher
from starlette.types import ASGIApp

from runwatch_server.access.issuing import create_user, issue_token
from runwatch_server.access.passwords import Passwords
from runwatch_server.access.sessions import Signer
from runwatch_server.admission import Mode
from runwatch_server.app import build_app
from runwatch_server.first_start import write_now
from runwatch_server.lifespan import open_services, rules_of
from runwatch_server.metrics import Metrics
from runwatch_server.services import Services
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import EventQuery, Query, ReadTx, Store, TaskQuery
from runwatch_shared.models import Scope
from runwatch_shared.settings import Limits, ServerSettings
from tests.clock import ManualClock

BASE = "http://127.0.0.1:8080"
JSON = {"Content-Type": "application/json"}
PASSWORD = "correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PATIENT = Limits(reads_burst=100_000, writes_burst=100_000)
SCOPES: tuple[Scope, ...] = ("viewer", "operator", "admin", "node")
COMMAND = {"type": "command", "parameters": {"argv": ["true"]}}


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    """A server without a listener."""

    app: ASGIApp
    services: Services
    store: Store
    clock: ManualClock
    tokens: dict[str, str]
    """By scope, and ``node-1``: bound to that node."""
    client: httpx.AsyncClient

    def headers(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}

    async def send(
        self,
        method: str,
        path: str,
        *,
        who: str | None = "admin",
        body: Any = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request; ``body`` is sent as JSON, ``content`` as it is."""
        if body is not None:
            content = msgspec.json.encode(body)
        sent = {**self.headers(who), **({} if content is None else JSON), **(headers or {})}
        return await self.client.request(method, path, content=content, headers=sent)

    async def get(self, path: str, *, who: str | None = "admin", **query: Any) -> Any:
        """The JSON of a successful GET."""
        answer = await self.client.get(path, params=query, headers=self.headers(who))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make(self, path: str, body: Any = None, *, who: str = "admin", **headers: str) -> Any:
        """The JSON of a successful POST."""
        answer = await self.send("POST", path, who=who, body=body or {}, headers=headers)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def task(self, **fields: Any) -> Any:
        return await self.make("/api/v1/tasks", {"name": "t", "agent": COMMAND, **fields})

    async def run(self, **fields: Any) -> Any:
        task = await self.task(**fields)
        return await self.make(f"/api/v1/tasks/{task['id']}/runs")

    async def beat(self, node_id: str = "node-1", **fields: Any) -> Any:
        """A heartbeat of a node with room."""
        beat = {
            "node_id": node_id,
            "process_id": "p1",
            "started_at": "2026-11-23T10:00:00Z",
            "capacity": {"max_concurrent": 4},
            "agents": [],
            **fields,
        }
        return await self.make("/api/v1/nodes/heartbeat", beat, who="node")

    async def held_run(self, node_id: str = "node-1") -> tuple[str, int]:
        """A run claimed by a node: its id and epoch."""
        await self.beat(node_id)
        run = await self.run(constraints={"node_id": node_id})
        await self.services.scheduler.cycle()
        claim = await self.make(
            f"/api/v1/runs/{run['id']}/claim", {"node_id": node_id, "process_id": "p1"}, who="node"
        )
        return run["id"], claim["lease"]["epoch"]

    async def everything(self) -> Any:
        """All that is stored of tasks, runs, events, nodes and access, to compare."""
        return await self.services.reader.read(_everything)

    async def metrics(self) -> str:
        answer = await self.client.get("/metrics", headers=self.headers("admin"))
        assert answer.status_code == 200
        return answer.text


def event(seq: int, kind: str = "message", **payload: Any) -> dict[str, Any]:
    return {"seq": seq, "type": kind, "timestamp": "2026-11-23T10:31:22Z", "payload": payload}


@asynccontextmanager
async def open_house(
    mode: Mode = "on",
    *,
    limits: Limits = PATIENT,
    url: str = "sqlite:///:memory:",
    background: bool = False,
    audit_folder: Path | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    chosen = ServerSettings(limits=limits, **settings)
    clock = ManualClock()
    metrics = Metrics()
    rules = rules_of(chosen)
    store = open_store(url, rules=rules, synchronous="full", observer=metrics.store)
    tokens: dict[str, str] = {scope: _token(store, clock, scope) for scope in SCOPES}
    tokens["node-1"] = _token(store, clock, "node", "node-1")
    _user(store, clock, "viewer")
    _user(store, clock, "admin")
    try:
        async with open_services(
            chosen,
            store,
            clock=clock,
            mode=mode,
            signer=Signer("k" * 32),
            metrics=metrics,
            passwords=Passwords(CHEAP),
            background=background,
            audit_folder=audit_folder,
        ) as services:
            app = build_app(services)
            transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50000))
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                yield House(
                    app=app,
                    services=services,
                    store=store,
                    clock=clock,
                    tokens=tokens,
                    client=client,
                )
    finally:
        store.close()


def _token(store: Store, clock: ManualClock, scope: Scope, node_id: str | None = None) -> str:
    _, text = write_now(
        store,
        clock,
        lambda tx: issue_token(
            tx, name=scope, scope=scope, node_id=node_id, life_s=None, by_name="test"
        ),
    )
    return text


def _user(store: Store, clock: ManualClock, scope: Scope) -> None:
    hashed = CHEAP.hash(PASSWORD)
    email = f"{scope}@example.org"
    write_now(
        store,
        clock,
        lambda tx: create_user(tx, email=email, scope=scope, password_hash=hashed),
    )


def _everything(tx: ReadTx) -> Any:
    runs = tx.runs.page(Query(limit=1000))
    return (
        tx.revision(),
        tx.tasks.page(TaskQuery(limit=1000)),
        runs,
        [tx.events.page(EventQuery(run_id=run.id, after_seq=0, limit=1000)) for run in runs],
        [tx.leases.get(run.id) for run in runs],
        tx.nodes.all(),
        tx.access.users(),
        tx.access.tokens(),
    )


class Unchanged:
    """Checks that a block changed nothing that is stored."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._before: Any = None

    async def __aenter__(self) -> Self:
        self._before = await self._house.everything()
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if error is None:
            assert await self._house.everything() == self._before
