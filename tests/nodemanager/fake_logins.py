"""The contract's actions and archives (13) for the fake server, in memory."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runwatch_shared.logins import account_id

FINAL = {"success", "failed", "timeout", "cancelled"}


def stamp(seconds: float = 0.0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class FakeAction:
    """An action as the server sees it; ``told`` are the patches it was given, in order."""

    id: str
    type: str
    name: str
    agent_type: str
    api_key: str | None = None
    seconds: float = 900.0
    status: str = "assigned"
    phase: str | None = None
    message: str | None = None
    progress: int = 0
    error: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    input: str | None = None
    proxy_id: str | None = None
    env_config: dict[str, Any] | None = None
    """Only in its node's list."""
    told: list[dict[str, Any]] = field(default_factory=list)
    created_at: str = field(default_factory=stamp)

    def wire(self, *, key: bool = False, given: bool = False) -> dict[str, Any]:
        config = {"name": self.name, "agent_type": self.agent_type}
        if self.api_key is not None:
            config["api_key"] = self.api_key if key and self.status not in FINAL else "***"
        if self.proxy_id is not None:
            config["proxy_id"] = self.proxy_id
        operation = {
            "id": f"op-{self.id}",
            "type": self.type,
            "config": config,
            "status": "in_progress",
            "node_id": "n1",
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "revision": 1,
        }
        made = {
            "id": self.id,
            "operation_id": operation["id"],
            "status": self.status,
            "phase": self.phase,
            "message": self.message,
            "progress": self.progress,
            "result": self.result,
            "created_at": self.created_at,
            "expires_at": stamp(self.seconds),
            "operation": operation,
            "revision": 1,
        }
        if given and self.env_config is not None:
            made["env_config"] = self.env_config
        return made | ({"input": self.input} if given and self.input is not None else {})

    @property
    def phases(self) -> list[str]:
        """Each once, in the order they were told."""
        phases = [patch["phase"] for patch in self.told if patch.get("phase")]
        return [now for before, now in zip([None, *phases], phases, strict=False) if now != before]


class FakeLogins:
    """See the module."""

    def __init__(self, changed: asyncio.Condition) -> None:
        self.actions: dict[str, FakeAction] = {}
        self.archives: dict[str, bytes] = {}
        self.stopping = False
        self.on_patch: Callable[[FakeAction, dict[str, Any]], None] = lambda action, patch: None
        self.refuse: Callable[[dict[str, Any]], bool] = lambda patch: False
        """Whether a patch is answered with 400."""
        self._changed = changed

    def routes(self, refusal: Callable[[Request], Awaitable[JSONResponse | None]]) -> list[Route]:
        def guarded(
            work: Callable[[Request], Awaitable[Response]],
        ) -> Callable[[Request], Awaitable[Response]]:
            async def answer(request: Request) -> Response:
                return await refusal(request) or await work(request)

            return answer

        archive = "/api/v1/accounts/{id}/volume-archive"
        return [
            Route("/api/v1/nodes/{id}/actions", guarded(self._listed)),
            Route("/api/v1/actions/{id}", guarded(self._patch), methods=["PATCH"]),
            Route("/api/v1/actions/{id}", guarded(self._one)),
            Route(archive, guarded(self._put), methods=["PUT"]),
            Route(archive, guarded(self._get)),
        ]

    def add(self, action_id: str, agent_type: str, method: str, **more: Any) -> FakeAction:
        """Ask the node for a login."""
        action = FakeAction(
            id=action_id, type=method, name=more.pop("name", "me"), agent_type=agent_type, **more
        )
        self.actions[action_id] = action
        return action

    async def enter(self, action: FakeAction, text: str) -> None:
        async with self._changed:
            action.input = text
            self._changed.notify_all()

    async def notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _listed(self, request: Request) -> JSONResponse:
        wanted = request.query_params["status"].split(",")

        def found() -> list[FakeAction]:
            return [a for a in self.actions.values() if a.status in wanted or a.input is not None]

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(request.query_params["wait"])), self._changed:
                await self._changed.wait_for(lambda: bool(found()) or self.stopping)
        if await request.is_disconnected():
            # A node that was killed takes nothing with it.
            return JSONResponse({"actions": [], "count": 0})
        rows = [action.wire(key=True, given=True) for action in found()]
        for action in found():
            action.input = None
        return JSONResponse({"actions": rows, "count": len(rows)})

    async def _one(self, request: Request) -> JSONResponse:
        action = self.actions.get(request.path_params["id"])
        if action is None:
            return JSONResponse({"error": "no", "code": "not_found"}, 404)
        return JSONResponse(action.wire())

    async def _patch(self, request: Request) -> JSONResponse:
        action = self.actions.get(request.path_params["id"])
        if action is None:
            return JSONResponse({"error": "no", "code": "not_found"}, 404)
        if action.status in FINAL:
            return JSONResponse({"error": "over", "code": "already_terminal"}, 409)
        patch = await request.json()
        if self.refuse(patch):
            return JSONResponse({"error": "misfit", "code": "invalid_field"}, 400)
        async with self._changed:
            action.told.append(patch)
            for name in ("status", "phase", "message", "progress", "error"):
                if name in patch:
                    setattr(action, name, patch[name])
            action.result = {
                name: value
                for name, value in (action.result | patch.get("result", {})).items()
                if value is not None
            }
            self.on_patch(action, patch)
            self._changed.notify_all()
        fields = {"id", "status", "phase", "message"}
        answer = {name: value for name, value in action.wire().items() if name in fields}
        return JSONResponse(answer | {"cancelled": False})

    async def _put(self, request: Request) -> JSONResponse:
        data, owner = await request.body(), request.path_params["id"]
        done = [each for each in self.actions.values() if each.status == "success"]
        if owner not in {account_id(each.agent_type, each.name) for each in done}:
            return JSONResponse({"error": "no such account", "code": "not_found"}, 404)
        async with self._changed:
            self.archives[owner] = data
            self._changed.notify_all()
        return JSONResponse({"archive_key": "k", "size_bytes": len(data)})

    async def _get(self, request: Request) -> Response:
        data = self.archives.get(request.path_params["id"])
        if data is None:
            return JSONResponse({"error": "no", "code": "not_found"}, 404)
        return Response(data, media_type="application/gzip")
