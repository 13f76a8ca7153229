"""What runs in real containers get, and what they are kept from."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.nodemanager.containers.podman import BARE_IMAGE, IMAGE, Podman
from tests.nodemanager.fake_server import FakeRun, FakeServer
from tests.nodemanager.test_runs_on_a_node import payloads, stdout_of

pytestmark = pytest.mark.timeout(240)

LIMIT_S = 100
RUN = "run-000000000001"
SECRET = 'it\'s "quoted", $HOME `id` \\n and\n\nlines at once: 8f3ac1\n'
ABSENT = "localhost:1/absent:latest"


def agent(*argv: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "command", "parameters": {"argv": list(argv), **parameters}}


def shell(script: str, **parameters: Any) -> dict[str, Any]:
    return agent("sh", "-c", script, **parameters)


async def ended(server: FakeServer, run: FakeRun) -> FakeRun:
    await server.until(
        lambda: run.status in ("done", "failed", "cancelled", "timeout"), timeout_s=LIMIT_S
    )
    return run


def failure(run: FakeRun) -> tuple[str, str]:
    payload = run.events[-1]["payload"]
    return payload["error_code"], payload["error"]


async def test_a_command_runs_in_a_container_and_is_reported_to_its_end(
    server, contained_node, engine: Podman, outside: Path
):
    workspace = {"type": "local", "local": {"path": str(outside)}}
    script = "echo hello; echo oops >&2; pwd; cat note; echo more >>note; exit 3"
    run = server.add(RUN, agent=shell(script), snapshot={"workspace": workspace})
    guarded = {"type": "local", "local": {"path": str(outside), "read_only": True}}
    reading = server.add(
        "run-000000000003", agent=shell("echo no >kept"), snapshot={"workspace": guarded}
    )
    told = server.add(
        "run-000000000004",
        agent={"type": "claude-code", "parameters": {}},
        prompt="- one\n- it's two",
    )
    much = server.add("run-000000000002", agent=agent("seq", "1", "20000"))
    await contained_node(workspace_roots=[str(outside)])
    await ended(server, run)
    (started,) = payloads(run, "run_started")
    assert started["runtime"] == "podman"
    assert len(started["container"]) == 12
    assert stdout_of(run) == ["hello", "/workspace", "from outside"]
    assert {"stderr": "oops"} in payloads(run, "command_output")
    assert run.events[-1]["payload"]["exit_code"] == 3
    assert (outside / "note").read_text() == "from outside\nmore\n"
    assert "Read-only file system" in failure(await ended(server, reading))[1]
    assert not (outside / "kept").exists()
    await ended(server, told)
    said = [p["content"] for p in payloads(told, "message")]
    assert said == ["- one", "- it's two"]
    assert (await ended(server, much)).status == "done"
    assert stdout_of(much) == [str(number) for number in range(1, 20001)]
    assert engine.containers() == []


async def test_a_container_can_do_next_to_nothing_and_its_variables_are_seen_nowhere_else(
    server, contained_node, engine: Podman
):
    script = (
        "grep -E '^(Cap(Eff|Bnd|Prm|Amb)|NoNewPrivs):' /proc/self/status; ls /sys/class/net;"
        'printf %s "$SECRET" | md5sum; cat; touch /workspace/mine /tmp/mine && echo writable;'
        "sleep 300"
    )
    run = server.add(RUN, agent=shell(script), snapshot={"env": {"SECRET": SECRET}})
    await contained_node()
    await server.until(lambda: "writable" in stdout_of(run), timeout_s=LIMIT_S)
    words = dict(line.split(":\t") for line in stdout_of(run) if ":\t" in line)
    assert set(words) == {"CapEff", "CapBnd", "CapPrm", "CapAmb", "NoNewPrivs"}
    assert {int(value, 16) for name, value in words.items() if name.startswith("Cap")} == {0}
    assert words["NoNewPrivs"] == "1"
    assert "lo" in stdout_of(run)
    assert "eth0" not in stdout_of(run)
    assert f"{hashlib.md5(SECRET.encode()).hexdigest()}  -" in stdout_of(run)
    inspected = engine.run("inspect", *engine.containers())
    (seen,) = json.loads(inspected)
    host, labels = seen["HostConfig"], seen["Config"]["Labels"]
    assert (host["Memory"], host["PidsLimit"]) == (256 * 1024 * 1024, 64)
    assert not host["Privileged"]
    assert [mount["Destination"] for mount in seen["Mounts"]] == ["/workspace"]
    assert labels["runwatch.run"] == RUN
    assert (labels["runwatch.epoch"], labels["runwatch.node"]) == ("1", "n1")
    kept = [path for path in engine.folder.rglob("*") if "userdata" in path.parts]
    arguments = list(Path("/proc").glob("[0-9]*/cmdline"))
    assert kept
    assert "8f3ac1" not in inspected
    assert [path for path in (*kept, *arguments) if b"8f3ac1" in _content(path)] == []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


async def test_variables_mounts_and_read_only_images_are_as_the_node_allows(
    server, contained_node, engine, outside: Path, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv("https_proxy", "http://name:word@proxy:2")
    monkeypatch.setenv("NO_PROXY", "inside")
    monkeypatch.setenv("KEPT_OUT", "1")
    monkeypatch.setenv("LET_IN", "2")
    names = ("HTTP_PROXY", "https_proxy", "NO_PROXY", "KEPT_OUT", "LET_IN", "HOME", "PATH")
    script = "; ".join(f'echo "{name} ${name}" | tr @ A' for name in names)
    run = server.add(RUN, agent=shell(script), snapshot={"env": {"NO_PROXY": "mine"}})
    script = (
        "cat /mnt/in/note; echo a >/etc/a; echo b >/tmp/b && echo c >c && cat /tmp/b c;"
        "echo no >/mnt/in/note"
    )
    mounts = {"mounts": [f"{outside}:/mnt/in:ro"]}
    writing = server.add("run-000000000002", agent=shell(script, container=mounts))
    node = await contained_node({"env": ["LET_IN"], "mounts": [f"{outside}:ro"], "read_only": True})
    await ended(server, run)
    assert stdout_of(run) == [
        "HTTP_PROXY http://proxy:1",
        "https_proxy http://name:wordAproxy:2",
        "NO_PROXY mine",
        "KEPT_OUT ",
        "LET_IN 2",
        "HOME /tmp",
        "PATH /usr/bin:/bin",
    ]
    await ended(server, writing)
    assert stdout_of(writing) == ["from outside", "b", "c"]
    refused = [p["stderr"] for p in payloads(writing, "command_output") if "stderr" in p]
    assert sum("Read-only file system" in line for line in refused) == 2
    assert (node.folder.workspaces / writing.id / "c").read_text() == "c\n"
    assert (outside / "note").read_text() == "from outside\n"


async def test_what_cannot_be_run_is_told_and_limits_hold(server, contained_node, engine: Podman):
    bare = {"image": BARE_IMAGE}
    many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 300 & done"
    asked: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
        "bare": (agent("true", container=bare), {}),
        "no shell": (agent("true", container=bare), {"A": "b"}),
        "no program": (agent("no-such-program"), {}),
        "no image": (agent("true", container={"image": ABSENT}), {}),
        "engine": (agent("true", container={"mounts": [f"{engine.folder}:/engine:ro"]}), {}),
        "memory": (agent("tail", "/dev/zero", limits={"memory_mb": 24}), {}),
        "processes": (shell(many, limits={"pids": 8}), {}),
        "process": (agent("pwd", runtime="process"), {}),
    }
    runs = {
        name: server.add(f"run-{number:012}", agent=of, snapshot={"env": env} if env else {})
        for number, (name, (of, env)) in enumerate(asked.items())
    }
    node = await contained_node(
        {"images": [BARE_IMAGE, "localhost:1/*"], "mounts": ["/"]},
        runtimes=["podman", "process"],
    )
    for run in runs.values():
        await ended(server, run)
    assert runs["bare"].status == "done"
    words = "could not start true: localhost/bare:latest has no /bin/sh"
    assert failure(runs["no shell"]) == ("agent_missing", words)
    words = f"could not start no-such-program: {IMAGE} has no no-such-program"
    assert failure(runs["no program"]) == ("agent_missing", words)
    words = f"the engine does not have the image {ABSENT}"
    assert failure(runs["no image"]) == ("start_failed", words)
    code, words = failure(runs["engine"])
    assert code == "start_failed"
    assert "socket of a container engine" in words
    assert runs["memory"].events[-1]["payload"]["exit_code"] == 137
    assert "more memory than it has" in failure(runs["memory"])[1]
    assert "fork" in json.dumps(runs["processes"].events)
    assert stdout_of(runs["process"]) == [str(node.folder.workspaces / runs["process"].id)]
    assert payloads(runs["process"], "run_started")[0]["runtime"] == "process"
    assert server.beats[-1]["runtimes"] == ["podman", "process"]


async def test_an_image_that_cannot_be_fetched_is_told_in_the_engines_words(
    server, contained_node, engine
):
    run = server.add(RUN, agent=agent("true", container={"image": ABSENT}))
    await contained_node({"images": ["localhost:1/*"], "pull": "missing"})
    code, words = failure(await ended(server, run))
    assert code == "start_failed"
    assert "localhost:1" in words
