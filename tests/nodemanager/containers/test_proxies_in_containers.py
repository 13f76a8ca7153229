"""Runs in real containers go through the proxy they are given, with their limits."""

import json
import subprocess

import pytest

from tests.nodemanager.containers.podman import IMAGE, Podman
from tests.nodemanager.containers.test_runs_in_containers import LIMIT_S, RUN, ended, shell
from tests.nodemanager.test_runs_on_a_node import stdout_of
from tests.proxying import HOST, http_proxy, target

pytestmark = pytest.mark.timeout(240)

PASSWORD = "pass/of:proxy@4711"


@pytest.fixture
def gateway(engine: Podman) -> str:
    """This machine as a bridged container reaches it."""
    asked = subprocess.run(
        engine.command("run", "--rm", "--network=bridge", IMAGE, "ip", "route"),
        env=engine.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    words = asked.stdout.split()
    if asked.returncode or words[:2] != ["default", "via"]:
        pytest.skip(f"no bridged containers here: {asked.stderr.strip()[-200:]}")
    return words[2]


async def test_a_run_in_a_container_goes_through_the_proxy_and_keeps_its_password(
    server, contained_node, engine: Podman, gateway: str
):
    async with (
        target() as there,
        http_proxy(login=f"ann:{PASSWORD}", reach={"far.test": HOST}, listen="0.0.0.0") as seen,
    ):
        server.env_config = {
            "proxy": {
                "enabled": True,
                "type": "http",
                "host": gateway,
                "port": seen.port,
                "username": "ann",
                "password": PASSWORD,
            },
            "env_vars": {"NODE_WIDE": "value-of-all"},
            "resources": {"memory_limit": "96m"},
        }
        script = (
            f"wget -q -O - http://far.test:{there.port}/page; env | grep -i -e proxy -e NODE_WIDE; "
            "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; sleep 1"
        )
        run = server.add(RUN, agent=shell(script))
        await contained_node({"network": "bridge"})
        await server.until(lambda: bool(stdout_of(run)), timeout_s=LIMIT_S)
        (name,) = engine.containers()
        inspected = engine.run("inspect", name)
        await ended(server, run)
    said = stdout_of(run)
    assert said[0] == "hello", said
    assert seen.asked == [f"far.test:{there.port}"]
    limit = json.loads(inspected)[0]["HostConfig"]["Memory"]
    assert limit == 96 * 1024 * 1024
    everything = json.dumps(run.events) + inspected
    for secret in (PASSWORD, "pass%2Fof%3Aproxy%404711", "value-of-all"):
        assert secret not in everything
