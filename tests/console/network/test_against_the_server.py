"""The console's network against the real server, killed and started again under it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from runwatch_console.client import HttpApi
from runwatch_console.contexts import Context
from runwatch_console.fleet_feed import MonitorFeed
from runwatch_console.headless.exits import ExitCode
from runwatch_console.ports import (
    ApiError,
    Connected,
    EventBatch,
    EventQuery,
    Frame,
    NewTask,
    RunGone,
    RunStatus,
)
from runwatch_console.run_feed import RunSockets
from runwatch_shared.models import Run
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.tls import client_context
from runwatch_shared.wire import ChangeFrame, SnapshotFrame
from tests.console.network.commanding import command, quick_retries
from tests.console.network.conftest import context_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROGRAM = "from runwatch_server.cli import main; main()"
START_S = 20.0
TIME = "2026-11-23T10:31:22.000000Z"
ARGV = ("true",)


class RealServer:
    """`monitor-server serve` as a process; the port is the first start's."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        ready = self.data_dir / "ready"
        ready.unlink(missing_ok=True)
        port = self.url.rsplit(":", 1)[1] if self.url else "0"
        with (self.data_dir / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PROGRAM, "serve"),
                *("--port", port, "--data-dir", str(self.data_dir), "--ready-file", str(ready)),
                env={**os.environ, "HOME": str(self.data_dir)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(START_S):
            while not (ready.exists() and ready.read_text().strip()):
                assert self._process.returncode is None, self.log()
                await asyncio.sleep(0.02)
        self.url = ready.read_text().strip()

    def log(self) -> str:
        return (self.data_dir / "server.log").read_text(errors="replace")

    async def end(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(sign)
            async with asyncio.timeout(START_S):
                await self._process.wait()

    async def kill(self) -> None:
        await self.end(signal.SIGKILL)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RealServer]:
    made = RealServer(tmp_path / "data")
    made.data_dir.mkdir()
    await made.start()
    try:
        yield made
    finally:
        await made.kill()


@pytest.fixture
def context(server: RealServer) -> Context:
    """As a person on this machine has it: nothing named, all found in the data directory."""
    return context_for(server.url, server.data_dir)


@pytest.fixture
async def api(context: Context) -> AsyncIterator[HttpApi]:
    made = HttpApi(context)
    yield made
    await made.aclose()


async def new_run(api: HttpApi, name: str = "hello") -> Run:
    task = await api.create_task(NewTask(name=name, agent_type="command", argv=ARGV))
    return await api.create_run(task.id)


def event(seq: int, kind: str = "message", **payload: object) -> dict[str, object]:
    return {"seq": seq, "type": kind, "timestamp": TIME, "payload": payload}


class Reporter:
    """An external reporter (contract 9.1) that repeats until it is answered."""

    def __init__(self, server: RealServer) -> None:
        token = (server.data_dir / "token").read_text().strip()
        self._client = httpx.AsyncClient(
            base_url=server.url,
            verify=client_context(server.data_dir / "tls" / "ca.pem"),
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )

    async def report(self, run_id: str, *events: dict[str, object]) -> None:
        while True:
            try:
                answer = await self._client.post(
                    f"/api/v1/runs/{run_id}/events", json={"events": list(events)}
                )
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code < 500:
                assert answer.status_code in (200, 201), answer.text
                return
            await asyncio.sleep(0.05)

    async def aclose(self) -> None:
        await self._client.aclose()


@pytest.fixture
async def reporter(server: RealServer) -> AsyncIterator[Reporter]:
    made = Reporter(server)
    yield made
    await made.aclose()


async def test_every_request_of_the_console_is_answered_with_its_record(api: HttpApi) -> None:
    info = await api.server_info()
    assert info.protocol == 1
    run = await new_run(api, "修复登录")
    detail = await api.workflow(run.id)
    assert (detail.name, detail.status) == ("修复登录", "queued")
    page = await api.workflows({"sort": "-attention"}, limit=10)
    assert [row.id for row in page.workflows] == [run.id]
    assert (await api.stats()).total_runs == 1
    assert (await api.history(30)).bucket_s == 60
    assert (await api.nodes()).nodes == []
    cancelled = await api.cancel_run(run.id, "no longer wanted")
    assert cancelled.status == "cancelled"
    events = await api.events(run.id, EventQuery(tail=True))
    assert events.events[-1].type == "run_completed"
    again = await api.retry_run(run.id)
    assert again.parent_id == run.id
    with pytest.raises(ApiError) as caught:
        await api.cancel_run("run-ffffffffffff")
    assert (caught.value.status, caught.value.code) == (404, "not_found")


async def test_the_fleet_is_resumed_over_a_killed_server_and_nothing_is_missed(
    server: RealServer, context: Context, api: HttpApi
) -> None:
    feed = MonitorFeed(context, retries=quick_retries())
    rows: dict[str, str] = {}
    hellos: list[bool] = []
    first = await new_run(api, "first")

    async def read_until(run_id: str, items) -> None:
        async with asyncio.timeout(START_S):
            async for item in items:
                if isinstance(item, Connected):
                    hellos.append(item.hello.resumed)
                elif isinstance(item, Frame):
                    if isinstance(item.frame, SnapshotFrame):
                        rows.update({row.id: row.status for row in item.frame.workflows or ()})
                    elif isinstance(item.frame, ChangeFrame) and item.frame.workflows:
                        rows.update({row.id: row.status for row in item.frame.workflows.upsert})
                    if run_id in rows:
                        return

    async with aclosing(feed.frames()) as items:
        await read_until(first.id, items)
        second = await new_run(api, "second")
        await server.kill()
        await server.start()
        third = await new_run(api, "third")
        await read_until(third.id, items)
    assert {first.id, second.id, third.id} <= set(rows)
    assert hellos == [False, True]


async def test_a_runs_events_come_once_and_in_order_while_the_server_is_killed(
    server: RealServer, context: Context, api: HttpApi, reporter: Reporter
) -> None:
    run = await new_run(api)
    total = 300
    store = (await api.server_info()).store
    seen: list[int] = []
    marks = {20: asyncio.Event(), 120: asyncio.Event(), 200: asyncio.Event()}

    async def report() -> None:
        for seq in range(1, total, 3):
            await reporter.report(run.id, *(event(s, content=f"{s}") for s in range(seq, seq + 3)))
        await reporter.report(run.id, event(total + 1, "run_completed", status="done"))

    async def kill() -> None:
        for reached in marks.values():
            await reached.wait()
            await server.kill()
            await server.start()

    sockets = RunSockets(context, store=lambda: store, retries=quick_retries)
    async with TaskOwner("test") as owner, asyncio.timeout(60):
        owner.spawn(report(), name="report")
        owner.spawn(kill(), name="kill")
        async with aclosing(sockets.follow(run.id, 0)) as items:
            async for item in items:
                assert not isinstance(item, RunGone), item
                if isinstance(item, EventBatch):
                    seen.extend(e.seq for e in item.events)
                    for mark, reached in marks.items():
                        if len(seen) >= mark:
                            reached.set()
                if isinstance(item, RunStatus):
                    assert (item.status, item.last_seq) == ("done", total + 1)
    assert seen == list(range(1, total + 2))


async def test_the_commands_work_against_it(
    server: RealServer, context: Context, api: HttpApi, reporter: Reporter
) -> None:
    empty = await command(context, "runs")
    assert (empty.code, empty.out) == (0, "")
    started = await command(context, "start", "--name", "任务", "--", "echo", "hi")
    run_id = started.out.strip()
    assert started.code == 0
    listed = await command(context, "runs", "-f", "s:queue")
    assert run_id in listed.out
    assert "任务" in listed.out
    assert (await command(context, "wait", run_id, "--timeout", "0.5")).code == ExitCode.TIMEOUT
    await reporter.report(
        run_id,
        event(1, "run_started"),
        event(2, content="one\x1b[31m"),
        event(3, "approval_request", id="a", prompt="may I?"),
    )
    assert (await command(context, "wait", run_id)).code == ExitCode.WAITING
    await reporter.report(
        run_id,
        event(4, "approval_response", id="a", approved=True),
        event(5, "run_completed", status="failed", exit_code=3, error="no"),
    )
    assert (await command(context, "wait", run_id)).code == ExitCode.FAILED
    printed = await command(context, "run", run_id)
    assert printed.code == 0
    assert "\x1b" not in printed.out
    followed = await command(context, "run", run_id, "--follow", "--from-seq", "1")
    assert followed.code == 0
    assert [line.split()[1] for line in followed.lines[:-1]] == ["2", "3", "4", "5"]
    for output in ("table", "json", "ndjson", "csv"):
        for name in ("runs", "nodes", "stats"):
            assert (await command(context, name, "-o", output)).code == 0
    ended = await command(context, "cancel", run_id)
    assert ended.code == ExitCode.FAILED
    assert (await command(context, "run", "run-ffffffffffff")).code == ExitCode.USAGE


async def test_a_stopping_server_says_so_and_the_feed_comes_back(
    server: RealServer, context: Context, api: HttpApi
) -> None:
    feed = MonitorFeed(context, retries=quick_retries())
    async with aclosing(feed.frames()) as items, asyncio.timeout(60):
        connected = 0
        async for item in items:
            if isinstance(item, Connected):
                connected += 1
                if connected == 2:
                    break
                async with TaskOwner("test") as owner:
                    task = owner.spawn(server.end(signal.SIGTERM), name="stop")
                    await asyncio.wait([task])
                await server.start()
    assert connected == 2
