"""What runs in real containers get, and what they are kept from."""

import hashlib
import json
from pathlib import Path

from tests.nodemanager.containers.podman import BARE_IMAGE, IMAGE, Podman
from tests.nodemanager.fake_server import FakeRun, FakeServer
from tests.nodemanager.test_runs_on_a_node import payloads, stdout_of

LIMIT_S = 40
RUN = "run-000000000001"
SECRET = 'it\'s "quoted", $HOME `id` \\n and\n\nlines at once: 8f3ac1\n'


def agent(*argv: str, **parameters):
    return {"type": "command", "parameters": {"argv": list(argv), **parameters}}


def shell(script: str, **parameters):
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
    server, contained_node, engine: Podman
):
    run = server.add(RUN, agent=shell("echo hello; echo oops >&2; pwd; exit 3"))
    await contained_node()
    await ended(server, run)
    (started,) = payloads(run, "run_started")
    assert started["runtime"] == "podman"
    assert len(started["container"]) == 12
    assert stdout_of(run) == ["hello", "/workspace"]
    assert {"stderr": "oops"} in payloads(run, "command_output")
    assert run.events[-1]["payload"]["exit_code"] == 3
    assert engine.containers() == []


async def test_a_container_can_do_next_to_nothing(server, contained_node, engine: Podman):
    script = (
        "grep -E '^(Cap(Eff|Bnd|Prm|Amb)|NoNewPrivs|Seccomp):' /proc/self/status;"
        "ls /sys/class/net; touch /workspace/mine /tmp/mine && echo writable; sleep 60"
    )
    run = server.add(RUN, agent=shell(script))
    await contained_node()
    await server.until(lambda: "writable" in stdout_of(run), timeout_s=LIMIT_S)
    (seen,) = json.loads(engine.run("inspect", *engine.containers()))
    words = dict(line.split(":\t") for line in stdout_of(run) if ":\t" in line)
    assert set(words) == {"CapEff", "CapBnd", "CapPrm", "CapAmb", "NoNewPrivs", "Seccomp"}
    assert {int(value, 16) for name, value in words.items() if name.startswith("Cap")} == {0}
    assert words["NoNewPrivs"] == "1"
    assert "lo" in stdout_of(run)
    assert "eth0" not in stdout_of(run)
    host = seen["HostConfig"]
    assert (host["Memory"], host["PidsLimit"]) == (256 * 1024 * 1024, 64)
    assert not host["Privileged"]
    assert [mount["Destination"] for mount in seen["Mounts"]] == ["/workspace"]
    labels = seen["Config"]["Labels"]
    assert labels["runwatch.run"] == RUN
    assert (labels["runwatch.epoch"], labels["runwatch.node"]) == ("1", "n1")


async def test_variables_of_a_run_arrive_and_are_seen_nowhere_else(
    server, contained_node, engine: Podman
):
    script = 'printf %s "$SECRET" | md5sum; cat; echo "$RUNWATCH_RUN_ID"; sleep 60'
    run = server.add(RUN, agent=shell(script), snapshot={"env": {"SECRET": SECRET}})
    await contained_node()
    await server.until(lambda: RUN in stdout_of(run), timeout_s=LIMIT_S)
    assert f"{hashlib.md5(SECRET.encode()).hexdigest()}  -" in stdout_of(run)
    seen = engine.run("inspect", *engine.containers())
    kept = b"".join(
        path.read_bytes()
        for path in engine.folder.rglob("*.json")
        if path.is_file() and "userdata" in path.parts
    )
    arguments = b"".join(
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)
    )
    assert kept
    for place in (seen.encode(), kept, arguments):
        assert b"8f3ac1" not in place
        assert b"SECRET" not in place.replace(b"$SECRET", b"").replace(b'\\"$SECRET', b"")


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


async def test_proxies_and_named_variables_of_the_node_arrive_and_the_run_wins(
    server, contained_node, engine, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv("https_proxy", "http://name:word@proxy:2")
    monkeypatch.setenv("NO_PROXY", "inside")
    monkeypatch.setenv("KEPT_OUT", "1")
    monkeypatch.setenv("LET_IN", "2")
    names = ("HTTP_PROXY", "https_proxy", "NO_PROXY", "KEPT_OUT", "LET_IN", "HOME", "PATH")
    script = "; ".join(f'echo "{name} ${name}" | tr @ A' for name in names)
    run = server.add(RUN, agent=shell(script), snapshot={"env": {"NO_PROXY": "mine"}})
    await contained_node({"env": ["LET_IN"]})
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


async def test_an_image_that_is_not_allowed_is_refused(server, contained_node, engine):
    run = server.add(RUN, agent=agent("true", container={"image": "docker.io/library/alpine"}))
    await contained_node()
    await ended(server, run)
    words = "this node does not allow the container image docker.io/library/alpine"
    assert failure(run) == ("start_failed", words)


async def test_no_image_is_allowed_by_itself(server, contained_node, engine):
    run = server.add(RUN, agent=agent("true", container={"image": IMAGE}))
    other = server.add("run-000000000002", agent=agent("true"))
    await contained_node({"images": [], "default_images": {}})
    assert failure(await ended(server, run)) == (
        "start_failed",
        f"this node does not allow the container image {IMAGE}",
    )
    assert failure(await ended(server, other)) == (
        "start_failed",
        "this node has no container image for command",
    )


async def test_an_allowed_image_that_is_not_there_is_told(server, contained_node, engine):
    absent = "localhost:1/absent:latest"
    run = server.add(RUN, agent=agent("true", container={"image": absent}))
    await contained_node({"images": ["localhost:1/*"]})
    assert failure(await ended(server, run)) == (
        "start_failed",
        f"the engine does not have the image {absent}",
    )


async def test_an_image_that_cannot_be_fetched_is_told_in_the_engines_words(
    server, contained_node, engine
):
    absent = "localhost:1/absent:latest"
    run = server.add(RUN, agent=agent("true", container={"image": absent}))
    await contained_node({"images": ["localhost:1/*"], "pull": "missing"})
    code, words = failure(await ended(server, run))
    assert code == "start_failed"
    assert "localhost:1" in words


async def test_a_program_the_image_lacks_is_told(server, contained_node, engine):
    run = server.add(RUN, agent=agent("no-such-program"))
    await contained_node({"init": False})
    assert failure(await ended(server, run)) == (
        "agent_missing",
        f"could not start no-such-program: {IMAGE} has no no-such-program",
    )


async def test_an_image_without_a_shell_runs_what_needs_no_variables(
    server, contained_node, engine
):
    bare = {"image": BARE_IMAGE}
    run = server.add(RUN, agent=agent("true", container=bare))
    other = server.add(
        "run-000000000002", agent=agent("true", container=bare), snapshot={"env": {"A": "b"}}
    )
    await contained_node()
    assert (await ended(server, run)).status == "done"
    code, words = failure(await ended(server, other))
    assert code == "agent_missing"
    assert words.endswith(f"{BARE_IMAGE} has no /bin/sh")


async def test_the_workspace_is_the_runs_own_and_mounts_are_those_allowed(
    server, contained_node, engine, outside: Path, tmp_path
):
    script = "cat /mnt/in/note; echo made >note; echo no >/mnt/in/note"
    mounts = {"mounts": [f"{outside}:/mnt/in:ro"]}
    run = server.add(RUN, agent=shell(script, container=mounts))
    node = await contained_node({"mounts": [f"{outside}:ro"]})
    await ended(server, run)
    assert stdout_of(run) == ["from outside"]
    assert "Read-only file system" in run.events[-1]["payload"]["error"]
    assert (node.folder.workspaces / RUN / "note").read_text() == "made\n"
    assert (outside / "note").read_text() == "from outside\n"


async def test_a_local_workspace_is_where_the_agent_works(
    server, contained_node, engine, outside: Path
):
    workspace = {"type": "local", "local": {"path": str(outside)}}
    run = server.add(
        RUN, agent=shell("cat note; echo more >>note"), snapshot={"workspace": workspace}
    )
    await contained_node(workspace_roots=[str(outside)])
    await ended(server, run)
    assert stdout_of(run) == ["from outside"]
    assert (outside / "note").read_text() == "from outside\nmore\n"


async def test_a_container_of_its_own_engine_is_refused(server, contained_node, engine: Podman):
    wish = f"{engine.folder}:/engine:ro"
    run = server.add(RUN, agent=agent("true", container={"mounts": [wish]}))
    await contained_node({"mounts": ["/"]})
    code, words = failure(await ended(server, run))
    assert code == "start_failed"
    assert "socket of a container engine" in words


async def test_the_files_of_the_image_can_be_kept_from_being_written(
    server, contained_node, engine
):
    script = "echo a >/etc/a; echo b >/tmp/b && echo c >c && cat /tmp/b c"
    run = server.add(RUN, agent=shell(script))
    await contained_node({"read_only": True})
    await ended(server, run)
    assert stdout_of(run) == ["b", "c"]
    errors = [p["stderr"] for p in payloads(run, "command_output") if "stderr" in p]
    assert any("Read-only file system" in error for error in errors)


async def test_a_network_that_is_not_allowed_is_refused(server, contained_node, engine):
    run = server.add(RUN, agent=agent("true", container={"network": "host"}))
    await contained_node()
    assert failure(await ended(server, run)) == (
        "start_failed",
        "this node does not allow the network host",
    )


async def test_more_memory_than_allowed_ends_a_run_with_the_reason(server, contained_node, engine):
    run = server.add(RUN, agent=agent("tail", "/dev/zero", limits={"memory_mb": 24}))
    await contained_node()
    await ended(server, run)
    assert run.status == "failed"
    assert run.events[-1]["payload"]["exit_code"] == 137
    assert "more memory than it has" in run.events[-1]["payload"]["error"]


async def test_more_processes_than_allowed_cannot_be_started(server, contained_node, engine):
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 60 & done"
    run = server.add(RUN, agent=shell(script, limits={"pids": 8}))
    await contained_node()
    await ended(server, run)
    assert "fork" in json.dumps(run.events[-1])


async def test_every_byte_of_much_output_arrives_in_order(server, contained_node, engine):
    run = server.add(RUN, agent=agent("seq", "1", "20000"))
    await contained_node()
    await ended(server, run)
    assert run.status == "done"
    assert stdout_of(run) == [str(number) for number in range(1, 20001)]


async def test_a_node_with_both_runtimes_obeys_the_run(server, contained_node, engine):
    inside = server.add(RUN, agent=agent("sh", "-c", "ls /", runtime="podman"))
    here = server.add("run-000000000002", agent=agent("pwd"))
    other = server.add("run-000000000003", agent=agent("true", runtime="docker"))
    node = await contained_node(runtimes=["process", "podman"])
    assert "workspace" in stdout_of(await ended(server, inside))
    assert stdout_of(await ended(server, here)) == [
        str(node.folder.workspaces / "run-000000000002")
    ]
    assert payloads(here, "run_started")[0]["runtime"] == "process"
    assert failure(await ended(server, other)) == (
        "start_failed",
        "this node has no runtime docker; it has process, podman",
    )
    assert server.beats[-1]["runtimes"] == ["process", "podman"]
