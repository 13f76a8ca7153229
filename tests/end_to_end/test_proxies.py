"""A server, a node and real proxies: runs go where they must, and no password is seen anywhere."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import NodeProcess, ServerProcess
from tests.proxying import HOST, Seen, http_proxy, socks5_proxy, target

PASSWORD = "canary-pass/4711"
VALUE = "canary-value-4711"


@contextmanager
def outside() -> Iterator[dict[str, Seen]]:
    """A target, and three proxies that lead ``far.test`` there, in a loop of their own."""
    seen: dict[str, Seen] = {}
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        reach = {"far.test": HOST}
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            seen["target"] = await enter(target())
            login = f"ann:{PASSWORD}"
            seen["default"] = await enter(http_proxy(login=login, reach=reach))
            seen["node"] = await enter(socks5_proxy(login=login, reach=reach))
            seen["own"] = await enter(http_proxy(reach=reach))
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield seen
    finally:
        over.set()
        thread.join(10)


def said(server: ServerProcess, run_id: str) -> list[str]:
    server.wait_for_run(run_id, "done", "failed", limit_s=60)
    return [
        event["payload"]["stdout"].strip()
        for event in server.events(run_id)
        if event["type"] == "command_output" and "stdout" in event["payload"]
    ]


@pytest.mark.timeout(180)
def test_runs_go_through_their_proxy_their_nodes_or_the_default_and_no_password_is_seen(
    tmp_path: Path,
) -> None:
    server = ServerProcess(tmp_path / "data", "--log-level", "debug")
    server.environment["RUNWATCH_PROXY_TEST_ALLOW"] = HOST
    node = NodeProcess(server, "--stop-agents", "--log-level", "debug")
    node.environment["RUNWATCH_PROXY_TEST_ALLOW"] = HOST
    kept: list[bytes] = []
    with outside() as seen, server, node:
        port = seen["target"].port
        login = {"username": "ann", "password": PASSWORD}

        def asked() -> list[int]:
            return [len(seen[name].asked) for name in ("default", "node", "own")]

        def fetched(**parameters: Any) -> list[str]:
            script = f"curl -sS http://far.test:{port}/; env | grep -i proxy; echo $VALUE"
            agent = {"argv": ["sh", "-c", script], **parameters}
            run_id = server.make_run(agent["argv"], agent={"type": "command", "parameters": agent})
            return said(server, run_id)

        default = server.post(
            "/api/v1/proxies",
            {"name": "d", "host": HOST, "port": seen["default"].port, "is_default": True, **login},
        )
        own = server.post(
            "/api/v1/proxies", {"name": "o", "url": f"http://{HOST}:{seen['own'].port}"}
        )
        assert fetched()[0] == "hello"
        assert asked() == [1, 0, 0]

        config = {
            "proxy": {
                "enabled": True,
                "type": "socks5",
                "host": HOST,
                "port": seen["node"].port,
                **login,
            },
            "env_vars": {"VALUE": VALUE},
        }
        status, shown = server.request("PUT", "/api/v1/nodes/n1/env-config", config)
        assert status == 200, shown
        lines = fetched()
        assert lines[0] == "hello"
        assert asked() == [1, 1, 0]
        assert fetched(proxy_id=own["id"])[0] == "hello"
        assert asked() == [1, 1, 1]

        url = {"target_url": f"http://{HOST}:{port}/"}
        tested = server.post(f"/api/v1/proxies/{default['id']}/test", url)
        assert (tested["success"], tested["status_code"]) == (True, 200)
        tested = server.post("/api/v1/nodes/n1/env-config/test-proxy", url)
        assert (tested["success"], tested["status_code"]) == (True, 200), tested
        assert asked() == [2, 2, 1]
        kept += [repr(server.get(path)).encode() for path in ("/api/v1/proxies", "/api/v1/nodes")]
        kept.append(repr(shown["proxy"]).encode())
    kept += [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    kept += [server.log().encode(), node.log().encode()]
    everything = b"\n".join(kept)
    for secret in (VALUE, PASSWORD, PASSWORD.replace("/", "%2F")):
        assert secret.encode() not in everything
