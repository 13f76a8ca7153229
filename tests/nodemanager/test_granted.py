"""What a claim gives a run: its variables and limits; real programs that go through proxies."""

import json
from typing import Any

import pytest

from runwatch_nodemanager.granted import (
    NOT_THROUGH,
    bounded,
    granted_snapshot,
    plain_names,
    proxy_url,
    variables_of,
)
from runwatch_nodemanager.runtimes.placement import Place
from runwatch_nodemanager.runtimes.wishes import WantedLimits, Wishes
from runwatch_shared.models import Agent, Snapshot, TaskId
from runwatch_shared.proxies import EnvConfig, NodeProxy, RunResources
from tests.nodemanager.test_runs_on_a_node import stdout_of
from tests.proxying import HOST, http_proxy, socks5_proxy, target

PASSWORD = "s3cr3t/with:odd@signs"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
SPELLINGS = [spelling for name in NAMES for spelling in (name, name.lower())]


def proxy(**more: Any) -> NodeProxy:
    return NodeProxy(**{"enabled": True, "host": "proxy.corp", "port": 3128, **more})


def test_a_proxy_is_given_in_both_spellings_with_what_needs_none() -> None:
    env = variables_of(EnvConfig(proxy=proxy()), {})
    assert {env[name] for name in SPELLINGS} == {"http://proxy.corp:3128"}
    assert env["NO_PROXY"] == env["no_proxy"] == NOT_THROUGH
    env = variables_of(EnvConfig(proxy=proxy(no_proxy=".corp")), {})
    assert env["NO_PROXY"] == ".corp"


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({"type": "https"}, "https://proxy.corp:3128"),
        ({"type": "socks5", "username": "ann"}, "socks5h://ann@proxy.corp:3128"),
        ({"username": "a b", "password": "p:/@"}, "http://a%20b:p%3A%2F%40@proxy.corp:3128"),
        ({"host": "fd00::1"}, "http://[fd00::1]:3128"),
    ],
)
def test_its_url_can_be_read_by_programs(more: dict[str, Any], url: str) -> None:
    assert proxy_url(proxy(**more)) == url


def test_a_proxy_that_is_off_undoes_that_of_the_machine() -> None:
    env = variables_of(EnvConfig(proxy=NodeProxy(enabled=False)), {})
    assert {env[name] for name in SPELLINGS} == {""}
    assert variables_of(EnvConfig(), {}) == {}


def test_what_a_run_sets_itself_counts_in_whatever_spelling() -> None:
    config = EnvConfig(proxy=proxy(), env_vars={"A": "node", "B": "node"})
    own = {"https_proxy": "http://mine:1", "A": "run"}
    snapshot = Snapshot(
        task_id=TaskId("task-1"),
        name="t",
        agent=Agent(type="command"),
        prompt="",
        labels={},
        env=own,
    )
    env = granted_snapshot(snapshot, config).env or {}
    assert (env["https_proxy"], env["A"], env["B"]) == ("http://mine:1", "run", "node")
    assert "HTTPS_PROXY" not in env
    assert env["HTTP_PROXY"] == "http://proxy.corp:3128"
    assert granted_snapshot(snapshot, None) is snapshot


def test_only_a_proxy_with_a_password_is_hidden() -> None:
    env = {"HTTP_PROXY": "http://p:1", "https_proxy": "http://a:b@p:1", "NO_PROXY": "x", "K": "v"}
    assert plain_names(env) == ["HTTP_PROXY", "NO_PROXY"]


@pytest.mark.parametrize(
    ("wanted", "memory_mb", "cpus"),
    [
        (WantedLimits(), 512, 1.5),
        (WantedLimits(memory_mb=256, cpus=4.0), 256, 1.5),
        (WantedLimits(memory_mb=2048, cpus=0.5), 512, 0.5),
    ],
)
def test_a_run_gets_no_more_than_its_node_may_give(
    wanted: WantedLimits, memory_mb: int, cpus: float
) -> None:
    place = Place(runtime="podman", wishes=Wishes(limits=wanted), image="x")
    limits = bounded(place, RunResources(memory_limit="512m", cpu_limit="1500m")).wishes.limits
    assert (limits.memory_mb, limits.cpus) == (memory_mb, cpus)
    assert bounded(place, None) is place
    seat = Place(runtime="podman", wishes=Wishes(), image="x", instance="agent-1")
    assert bounded(seat, RunResources(memory_limit="512m")) is seat


async def done(server: Any, run: Any) -> list[str]:
    await server.until(lambda: run.status in {"done", "failed"}, timeout_s=20)
    assert run.status == "done", run.events[-1]
    return stdout_of(run)


def config_of(kind: str, port: int, **more: Any) -> dict[str, Any]:
    given = {"enabled": True, "type": kind, "host": HOST, "port": port, **more}
    return {"proxy": given, "env_vars": {"TOKEN_OF_NODE": "tok-4711-abcdef", "PLAIN": "x"}}


async def test_curl_goes_through_the_http_proxy_of_its_node_and_its_password_is_not_seen(
    server, new_node
):
    login = f"ann:{PASSWORD}"
    async with target() as there, http_proxy(login=login, reach={"far.test": HOST}) as seen:
        server.env_config = config_of("http", seen.port, username="ann", password=PASSWORD)
        script = (
            f"curl -sS http://far.test:{there.port}/page; env | grep -i proxy; "
            "echo $TOKEN_OF_NODE; echo $PLAIN"
        )
        run = server.add("run-000000000001", ["sh", "-c", script])
        await new_node()
        said = await done(server, run)
        assert said[0] == "hello"
        assert seen.asked == [f"far.test:{there.port}"]
        assert there.asked == [f"GET /page HTTP/1.1 | Host: far.test:{there.port}"]
        everything = json.dumps(run.events)
        for secret in (PASSWORD, "s3cr3t%2Fwith%3Aodd%40signs", "tok-4711-abcdef"):
            assert secret not in everything
        assert f"NO_PROXY={NOT_THROUGH}" in said
        assert said[-1] == "x"


async def test_curl_goes_through_a_socks5_proxy_which_resolves_the_name(server, new_node):
    async with (
        target() as there,
        socks5_proxy(login="ann:pw-123456", reach={"far.test": HOST}) as seen,
    ):
        server.env_config = config_of("socks5", seen.port, username="ann", password="pw-123456")
        run = server.add("run-000000000001", ["curl", "-sS", f"http://far.test:{there.port}/"])
        await new_node()
        assert await done(server, run) == ["hello"]
        assert seen.asked == [f"far.test:{there.port}"]
        assert seen.logins == ["ann:pw-123456"]


async def test_python_goes_through_it_too_and_not_for_this_machine(server, new_node):
    code = (
        "import urllib.request as u, sys;"
        "[print(u.urlopen(url, timeout=10).read().decode().strip()) for url in sys.argv[1:]]"
    )
    async with target() as there, http_proxy(reach={"far.test": HOST}) as seen:
        server.env_config = config_of("http", seen.port)
        urls = [f"http://far.test:{there.port}/", f"http://127.0.0.1:{there.port}/"]
        run = server.add("run-000000000001", ["python3", "-c", code, *urls])
        await new_node()
        assert await done(server, run) == ["hello", "hello"]
        assert seen.asked == [f"far.test:{there.port}"]


async def test_the_memory_a_node_may_give_holds_for_a_process(server, new_node):
    server.env_config = {"resources": {"memory_limit": "64m"}}
    run = server.add("run-000000000001", ["sh", "-c", "ulimit -d"])
    await new_node()
    assert await done(server, run) == [str(64 * 1024)]
