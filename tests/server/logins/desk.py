"""What people and nodes do with logins, over HTTP, in few words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from runwatch_server.sweeper import sweep
from tests.server.http.house import House, open_house

KEY = "sk-canary-4711-never-seen"
URL = "https://claude.ai/oauth/authorize?code=true"
OPERATIONS = "/api/v1/operations"


async def until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    """Wait for a fact."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


class Desk:
    """A house with a node."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def begin(
        self,
        name: str = "ada",
        agent_type: str = "claude-code",
        method: str = "oauth",
        *,
        node_id: str = "node-1",
        **headers: str,
    ) -> Any:
        """A login; the answer with both ids."""
        config = {"name": name, "agent_type": agent_type}
        if method == "api_key":
            config["api_key"] = KEY
        body = {"type": method, "config": config, "node_id": node_id}
        return await self.house.make(OPERATIONS, body, who="operator", **headers)

    async def tell(self, action_id: str, status: str, *, who: str = "node-1", **told: Any) -> Any:
        """What the node says of an action; the answer of a success."""
        answer = await self.try_tell(action_id, status, who=who, **told)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def try_tell(
        self, action_id: str, status: str, *, who: str = "node-1", **told: Any
    ) -> httpx.Response:
        body = {"status": status, **told}
        return await self.house.send("PATCH", f"/api/v1/actions/{action_id}", who=who, body=body)

    async def waiting(self, **fields: Any) -> Any:
        """A login that waits for a person."""
        made = await self.begin(**fields)
        await self.tell(made["action_id"], "running", phase="launching_container")
        await self.tell(
            made["action_id"],
            "waiting",
            phase="waiting_oauth",
            result={"verify_url": URL, "input_prompt": "Paste code here"},
        )
        return made

    async def list(self, **query: Any) -> Any:
        """The node's actions."""
        return await self.house.get("/api/v1/nodes/node-1/actions", who="node-1", **query)

    async def action(self, action_id: str) -> Any:
        return await self.house.get(f"/api/v1/actions/{action_id}", who="viewer")

    async def account(self, account_id: str = "claude-code_ada") -> Any:
        return await self.house.get(f"/api/v1/accounts/{account_id}", who="viewer")

    async def authenticated(self, **fields: Any) -> Any:
        """An account that is logged in on the node."""
        made = await self.begin(**fields)
        await self.tell(made["action_id"], "success")
        return await self.account()

    async def sweep(self) -> None:
        """Do what is due, as the server does every second."""
        services = self.house.services
        await services.writer.write(lambda tx: sweep(tx, settings=services.settings))


@asynccontextmanager
async def open_desk(url: str, **settings: Any) -> AsyncIterator[Desk]:
    async with open_house(url=url, **settings) as house:
        await house.beat()
        yield Desk(house)
