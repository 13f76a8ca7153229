"""What a node lets containers of runs be; nothing is started here."""

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_nodemanager.agents.programs import RUNTIME_VARIABLE, find_program
from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.runtimes.contained_offers import offers_of
from runwatch_nodemanager.runtimes.container_body import container_body, needed_programs
from runwatch_nodemanager.runtimes.container_environment import (
    container_environment,
    with_prelude,
)
from runwatch_nodemanager.runtimes.container_plan import ContainerPlan, Mount
from runwatch_nodemanager.runtimes.docker import ContainerRuntime
from runwatch_nodemanager.runtimes.engine_address import EngineAddress, EngineError, find_engine
from runwatch_nodemanager.runtimes.placement import Placement, check_rules
from runwatch_nodemanager.runtimes.process import ProcessRuntime
from runwatch_nodemanager.runtimes.protocol import PlacementError, RuntimeStartError
from runwatch_nodemanager.runtimes.wishes import lower
from runwatch_shared.models import AgentOffer, Snapshot
from runwatch_shared.settings import ContainerSettings, NodeSettings, ProcessLimits


def snapshot(**parameters: Any) -> Snapshot:
    agent = {"type": "command", "parameters": parameters}
    wire = {"task_id": "t", "name": "n", "agent": agent, "prompt": "", "labels": {}}
    return msgspec.convert(wire, Snapshot)


def rules(*, runtimes: tuple[str, ...] = ("docker",), **containers: Any) -> Placement:
    settings = NodeSettings(runtimes=list(runtimes), containers=ContainerSettings(**containers))
    return Placement(settings, engine=None)


def plan_of(placement: Placement, workspace: Path, **container: Any) -> ContainerPlan:
    asked = snapshot(container={"image": "agent", **container})
    place = placement.place(asked, "command")
    return placement.plan(place, name="c", labels={}, workspace=workspace, read_only=False)


@pytest.mark.parametrize(
    ("allowed", "asked", "granted"),
    [
        (["agent"], "agent", True),
        (["agent"], "agent:latest", True),
        (["agent"], "agent:1", False),
        (["agent:*"], "agent:1", True),
        (["localhost/*"], "localhost/team/agent:1", True),
        (["localhost/*"], "evil/localhost/agent", False),
        (["agent@sha256:ab"], "agent@sha256:ab", True),
        (["agent@sha256:ab"], "agent@sha256:cd", False),
        (["localhost:5000/agent"], "localhost:5000/agent:latest", True),
        (["*"], "anything", True),
        ([], "agent", False),
    ],
)
def test_an_image_must_be_named_by_the_node(allowed, asked, granted):
    placement = rules(images=allowed)
    if granted:
        assert placement.place(snapshot(container={"image": asked}), "command").image == asked
    else:
        with pytest.raises(PlacementError, match="does not allow the container image"):
            placement.place(snapshot(container={"image": asked}), "command")


def test_each_agent_has_its_image_by_type_or_alias():
    placement = rules(default_images={"claude": "c", "*": "rest"})
    assert placement.place(snapshot(), "claude-code").image == "c"
    assert placement.place(snapshot(), "command").image == "rest"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"runtime": "docker"}, "no runtime docker; it has process"),
        ({"runtime": 3}, r"agent\.parameters\.runtime"),
        ({"container": {"image": "a"}}, "for runs in a container"),
        ({"container": {"privileged": True}}, r"agent\.parameters\.container"),
        ({"limits": {"memory_mb": -1}}, r"agent\.parameters\.limits\.memory_mb"),
        ({"limits": "all"}, r"agent\.parameters\.limits"),
    ],
)
def test_wishes_that_cannot_be_granted_are_named(parameters, words):
    with pytest.raises(PlacementError, match=words):
        rules(runtimes=()).place(snapshot(**parameters), "command")


def test_a_run_without_wishes_is_a_process_by_default():
    place = rules(runtimes=()).place(snapshot(args=["x"], image="picture.png"), "command")
    assert (place.runtime, place.contained) == ("process", False)


@given(allowed=st.integers(0, 1000), wanted=st.none() | st.integers(1, 1000))
def test_a_run_can_only_lower_a_limit(allowed, wanted):
    granted = lower(allowed, wanted)
    if allowed:
        assert 0 < granted <= allowed
    else:
        assert granted == (wanted or 0)


def test_limits_of_a_process_are_the_lower_ones():
    settings = NodeSettings(process_limits=ProcessLimits(memory_mb=100, open_files=64))
    placement = Placement(settings, engine=None)
    place = placement.place(snapshot(limits={"memory_mb": 50, "cpu_s": 9}), "command")
    limits = placement.process_limits(place)
    assert limits == {"memory_bytes": 50 * 1024 * 1024, "open_files": 64, "cpu_s": 9}


def test_networks_are_those_named_and_none(tmp_path):
    placement = rules(images=["agent"], network="bridge", networks=["lab"])
    assert plan_of(placement, tmp_path).network == "bridge"
    assert plan_of(placement, tmp_path, network="none").network == "none"
    assert plan_of(placement, tmp_path, network="lab").network == "lab"
    for refused in ("host", "container:other", "other"):
        with pytest.raises(PlacementError, match="does not allow the network"):
            plan_of(placement, tmp_path, network=refused)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    (tmp_path / "shared/below").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "shared/way-out").symlink_to(tmp_path / "secret")
    return tmp_path


def test_mounts_are_folders_named_by_the_node_or_below_them(folders):
    placement = rules(images=["agent"], mounts=[f"{folders}/shared:ro", f"{folders}/shared/below"])
    wishes = [f"{folders}/shared:/a:ro", f"{folders}/shared/below:/b"]
    assert plan_of(placement, folders, mounts=wishes).mounts == (
        Mount(source=folders / "shared", target="/a", read_only=True),
        Mount(source=folders / "shared/below", target="/b", read_only=False),
    )


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("{folders}/shared:/a", "only for reading"),
        ("{folders}/secret:/a:ro", "does not allow mounts"),
        ("{folders}/shared/../secret:/a:ro", "does not allow mounts"),
        ("{folders}/shared/way-out:/a:ro", "does not allow mounts"),
        ("{folders}/absent:/a:ro", "no such folder"),
        ("shared:/a:ro", "absolute source"),
        ("{folders}/shared:a:ro", "absolute target"),
        ("{folders}/shared:/a/../..:ro", "absolute target"),
        ("{folders}/shared:/:ro", "absolute target"),
        ("{folders}/shared:/workspace/deep:ro", "would hide /workspace"),
        ("{folders}/shared:/tmp:ro", "would hide /tmp"),
        ("{folders}/shared:/a:rw,shared", "SOURCE:TARGET"),
        ("{folders}/shared", "absolute target"),
    ],
)
def test_other_mounts_are_refused(folders, wish, words):
    placement = rules(images=["agent"], mounts=[f"{folders}/shared:ro"])
    with pytest.raises(PlacementError, match=words):
        plan_of(placement, folders, mounts=[wish.format(folders=folders)])


def test_sockets_and_the_kernels_folders_are_never_mounted(tmp_path):
    placement = Placement(
        NodeSettings(
            runtimes=["docker"], containers=ContainerSettings(images=["agent"], mounts=["/"])
        ),
        engine=tmp_path / "engine/engine.sock",
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "any.sock"))
        (tmp_path / "engine").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "engine")
        for source in ("/", "/run", "/var/run", "/proc", "/sys/fs", "/dev"):
            with pytest.raises(PlacementError, match="never mounted"):
                plan_of(placement, tmp_path / "w", mounts=[f"{source}:/a:ro"])
        for name in ("any.sock", "engine", "link", ""):
            with pytest.raises(PlacementError, match="never mounted"):
                plan_of(placement, tmp_path / "w", mounts=[f"{tmp_path}/{name}:/a:ro"])
    with pytest.raises(PlacementError, match="never mounted"):
        plan_of(placement, Path("/"))


def test_what_the_node_keeps_is_never_mounted(tmp_path):
    own = tmp_path / "home/data"
    (own / "workspaces/run").mkdir(parents=True)
    (tmp_path / "home/other").mkdir()
    placement = Placement(
        NodeSettings(
            runtimes=["docker"],
            data_dir=str(own),
            containers=ContainerSettings(images=["agent"], mounts=[str(tmp_path)]),
        ),
        engine=None,
    )
    for source in (tmp_path, tmp_path / "home", own, own / "workspaces"):
        with pytest.raises(PlacementError, match="never mounted"):
            plan_of(placement, own / "workspaces/run", mounts=[f"{source}:/a:ro"])
    for workspace in (own, tmp_path / "home"):
        with pytest.raises(PlacementError, match="never mounted"):
            plan_of(placement, workspace)
    plan = plan_of(placement, own / "workspaces/run", mounts=[f"{tmp_path}/home/other:/a"])
    assert plan.workspace == own / "workspaces/run"


async def test_a_folder_that_became_a_link_after_it_was_judged_is_not_mounted(tmp_path):
    (tmp_path / "volume/sub").mkdir(parents=True)
    plan = plan_of(rules(images=["agent"]), tmp_path / "volume/sub")
    (tmp_path / "volume/sub").rename(tmp_path / "volume/was")
    (tmp_path / "volume/sub").symlink_to("/etc")
    runtime = ContainerRuntime(
        "docker",
        lambda: EngineAddress(url="unix:///nowhere"),
        ProcessRuntime(),
        node_id="n",
        folder=tmp_path,
    )
    launch = Launch(argv=("true",), cwd="/workspace", env={}, plan=plan)
    with pytest.raises(RuntimeStartError, match="not the folder any more"):
        await runtime.start(RunFolder(tmp_path), launch, log_limit_bytes=1)


@pytest.mark.parametrize("name", ["all", "line", "end", "IFS", "_"])
def test_a_variable_of_any_name_reaches_an_agent_through_the_shell(name):
    argv, stdin = with_prelude(("/usr/bin/env", "-0"), {name: "a b\n'c'", "OTHER": "x"}, "rest")
    told = subprocess.run(
        argv, input=stdin, env={"PATH": os.defpath}, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    # The shell sets `_` itself before each program.
    assert name == "_" or f"{name}=a b\n'c'" in told
    assert "OTHER=x" in told
    assert not any(line.startswith("_rw") for line in told)


def body_of(tmp_path: Path, launch: Launch, **rest: Any) -> tuple[dict[str, Any], str | None]:
    return container_body(plan_of(rules(images=["agent"], **rest), tmp_path), launch)


def test_a_container_is_locked_whatever_the_run_asks(tmp_path):
    launch = Launch(argv=("agent", "-p", "x"), cwd="/workspace", env={"HOME": "/tmp"})
    body, stdin = body_of(tmp_path, launch, cpus=1.5)
    host = body["HostConfig"]
    assert stdin is None
    assert (body["Entrypoint"], body["Cmd"]) == (["agent"], ["-p", "x"])
    assert body["User"] == f"{os.getuid()}:{os.getgid()}"
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert (host["Privileged"], host["LogConfig"]) == (False, {"Type": "none"})
    assert host["Memory"] == host["MemorySwap"] == 4096 * 1024 * 1024
    assert (host["NanoCpus"], host["PidsLimit"]) == (1_500_000_000, 1024)
    assert [mount["Target"] for mount in host["Mounts"]] == ["/workspace"]


def test_only_variables_that_are_no_secret_are_in_the_configuration(tmp_path):
    env = {
        "HOME": "/tmp",
        "RUNWATCH_RUN_ID": "r",
        "RUNWATCH_PROMPT": "a prompt",
        "HTTP_PROXY": "http://proxy",
        "https_proxy": "http://user:word@proxy",
        "TOKEN": "s3cr3t",
    }
    body, stdin = body_of(tmp_path, Launch(argv=("a",), cwd="/", env=env, stdin="input"))
    assert body["Env"] == ["HOME=/tmp", "RUNWATCH_RUN_ID=r", "HTTP_PROXY=http://proxy"]
    assert stdin is not None
    assert stdin.endswith("\ninput")
    for hidden in ("s3cr3t", "user:word", "a prompt"):
        assert hidden in stdin
        assert hidden not in str(body)
    assert needed_programs(Launch(argv=("a",), cwd="/", env=env)) == ["/bin/sh", "a"]


@pytest.mark.parametrize("name", ["", "A-B", "1A", "A B", "A=B", "x;y"])
def test_a_variable_no_shell_can_set_is_refused(name):
    with pytest.raises(PlacementError, match="cannot be given the variable"):
        container_environment({name: "v"}, names=[], node_environment={})


def test_of_the_nodes_environment_only_proxies_and_named_variables_get_in():
    given_ = {"PATH": "/x", "NODE_TOKEN": "t", "no_proxy": "a", "KEY": "k", "EMPTY": ""}
    made = container_environment({"no_proxy": "b"}, names=["KEY"], node_environment=given_)
    assert made == {
        "HOME": "/tmp",
        "RUNWATCH_WORKSPACE": "/workspace",
        "KEY": "k",
        "no_proxy": "b",
    }


def test_in_a_container_a_program_is_its_name():
    assert find_program("/opt/claude/bin/claude", {RUNTIME_VARIABLE: "docker"}) == "claude"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"runtimes": ["vm"]}, "runtimes: vm"),
        ({"runtimes": ["docker", "podman"]}, "one engine"),
        ({"containers": ContainerSettings(network="host")}, "containers.network: host"),
        ({"containers": ContainerSettings(networks=["container:x"])}, "containers.network"),
        ({"containers": ContainerSettings(mounts=["data"])}, "containers.mounts: data"),
    ],
)
def test_settings_that_cannot_be_are_told(settings, words):
    assert words in (check_rules(NodeSettings(**settings)) or "")


def test_settings_that_can_be_are_not():
    assert check_rules(NodeSettings()) is None
    assert check_rules(NodeSettings(runtimes=["process", "podman"])) is None


def test_what_is_installed_here_says_nothing_of_images():
    here = [
        AgentOffer(type="command", ready=True, version="1"),
        AgentOffer(type="claude-code", ready=False, reason="not on the PATH"),
        AgentOffer(type="general", ready=False, reason="not on the PATH"),
    ]
    placement = rules(default_images={"claude-code": "c"})
    offers = {o.type: o for o in offers_of(here, placement, ["docker"], "claude-code")}
    assert {name: o.ready for name, o in offers.items()} == {
        "command": False,
        "claude-code": True,
        "general": True,
    }
    assert offers["command"].reason == "this node has no container image for it"
    away = offers_of(here, placement, [], "claude-code")
    assert {o.reason for o in away} == {"docker does not answer"}
    assert offers_of(here, rules(runtimes=("process", "docker")), [], "command") == here


def test_an_engine_is_looked_for_where_it_usually_is(tmp_path):
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman/podman.sock").touch()
    run = {"XDG_RUNTIME_DIR": str(tmp_path)}
    found = find_engine("", kind="podman", environment=run)
    assert found.socket == tmp_path / "podman/podman.sock"
    told = find_engine("", kind="podman", environment={**run, "DOCKER_HOST": "unix:///a.sock"})
    assert told.socket == Path("/a.sock")
    assert find_engine("unix:///b.sock", kind="podman", environment={}).socket == Path("/b.sock")
    with pytest.raises(EngineError, match="unix:// or tcp://"):
        find_engine("ssh://somebody@somewhere", kind="docker", environment={})
