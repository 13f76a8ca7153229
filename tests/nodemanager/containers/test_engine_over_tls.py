"""An engine that is reached over TCP: only with TLS, and only one that can be trusted."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runwatch_nodemanager.runtimes.engine_address import EngineError, find_engine
from runwatch_server.certificates import ensure_certificates
from runwatch_shared.clock import SystemClock
from tests.nodemanager.containers.podman import Podman
from tests.nodemanager.containers.test_ends_of_containers import TREE, begun, cancel
from tests.nodemanager.containers.test_runs_in_containers import RUN, ended, failure, shell
from tests.nodemanager.test_runs_on_a_node import stdout_of

pytestmark = pytest.mark.timeout(240)


def certificates(folder: Path) -> Path:
    """A folder as ``DOCKER_CERT_PATH`` names it, with what a server needs."""
    ensure_certificates(folder, ["127.0.0.1"], SystemClock())
    return folder


@contextlib.asynccontextmanager
async def over_tls(engine: Podman, certificates: Path) -> AsyncIterator[int]:
    """The engine's socket behind TLS on a port of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()
            else:
                writer.close()

    carrying: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me
        carrying.add(me)
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(engine.socket))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(copy(reader, inner_writer), name="in")
                both.create_task(copy(inner_reader, writer), name="out")
        finally:
            for end in (inner_writer, writer):
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


async def test_a_container_is_run_and_stopped_over_tls(
    server, contained_node, engine, tmp_path, monkeypatch
):
    place = await asyncio.to_thread(certificates, tmp_path / "tls")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(place))
    run = server.add(
        RUN,
        agent=shell('echo "$WORD" | tr a-z A-Z; cat; exit 5'),
        snapshot={"env": {"WORD": "heard"}},
    )
    async with over_tls(engine, place) as port:
        address = {"host": f"tcp://127.0.0.1:{port}"}
        await contained_node(address, stop_grace_s=30.0, cancel_kill_s=30.0)
        await ended(server, run)
        assert stdout_of(run) == ["HEARD"], run.events
        assert run.events[-1]["payload"]["exit_code"] == 5
        tree = server.add("run-000000000002", agent=shell(TREE))
        await begun(server, tree)
        await cancel(server, tree)
        await ended(server, tree)
        assert sorted(stdout_of(tree)) == ["begun", "inner", "outer"]
        assert await asyncio.to_thread(engine.containers) == []


async def test_an_engine_of_another_authority_is_refused(
    server, contained_node, engine, tmp_path, monkeypatch
):
    place = await asyncio.to_thread(certificates, tmp_path / "tls")
    other = await asyncio.to_thread(certificates, tmp_path / "other")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(other))
    run = server.add(RUN, agent=shell("true"))
    async with over_tls(engine, place) as port:
        await contained_node({"host": f"tcp://127.0.0.1:{port}"})
        code, words = failure(await ended(server, run))
    assert code == "start_failed"
    assert "certificate" in words


def test_an_engine_over_the_network_needs_tls():
    with pytest.raises(EngineError, match="needs TLS"):
        find_engine("tcp://10.0.0.1:2375", kind="docker", environment={})
    near = find_engine("tcp://127.0.0.1:2375", kind="docker", environment={})
    assert near.cert_path == ""
    far = find_engine(
        "",
        kind="docker",
        environment={"DOCKER_HOST": "tcp://10.0.0.1:2376", "DOCKER_CERT_PATH": "/certificates"},
    )
    assert (far.url, far.cert_path) == ("tcp://10.0.0.1:2376", "/certificates")
