"""A container as the engine's API takes it, with everything locked that an agent does not need."""

import hashlib
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager.agents.protocol import Launch
from runwatch_nodemanager.homes import ACCOUNT_HOME
from runwatch_nodemanager.runtimes.container_environment import (
    split_environment,
    with_prelude,
    with_whole_input,
)
from runwatch_nodemanager.runtimes.container_plan import ContainerPlan, InstancePlan, Mount
from runwatch_nodemanager.runtimes.workplace import HOME, PLACES, SHELL, WORKSPACE

MIB: Final = 1024 * 1024
NANO: Final = 1_000_000_000
RUN_LABEL: Final = "runwatch.run"
INSTANCE_LABEL: Final = "runwatch.instance"
"""Instead of a run's: of a container that runs come and go in."""
ACCOUNT_LABEL: Final = "runwatch.account"
WAITING: Final = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"
EPOCH_LABEL: Final = "runwatch.epoch"
NODE_LABEL: Final = "runwatch.node"
HOME_LABEL: Final = "runwatch.node-folder"
"""Two data directories may hold nodes of one name."""


def node_labels(node_id: str, folder: Path) -> dict[str, str]:
    """What all containers of a node bear, and no other's."""
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return {NODE_LABEL: node_id, HOME_LABEL: place}


def container_labels(node_id: str, folder: Path, *, run_id: str, epoch: int) -> dict[str, str]:
    """Of a run's container."""
    return {**node_labels(node_id, folder), RUN_LABEL: run_id, EPOCH_LABEL: str(epoch)}


def instance_labels(
    node_id: str, folder: Path, *, instance_id: str, account_id: str
) -> dict[str, str]:
    """Of an instance's container."""
    labels = node_labels(node_id, folder)
    return {**labels, INSTANCE_LABEL: instance_id, ACCOUNT_LABEL: account_id}


def instance_name(instance_id: str) -> str:
    """The name of its container: an engine gives each name once, so there are never two."""
    return f"runwatch-{instance_id}"


def instance_body(plan: ContainerPlan) -> dict[str, Any]:
    """An instance's container for `Engine.create`: it waits until it is stopped, for runs to be
    started in it."""
    return {
        "Image": plan.image,
        "Entrypoint": [SHELL],
        "Cmd": ["-c", WAITING],
        "Env": [f"HOME={ACCOUNT_HOME}"],
        "WorkingDir": WORKSPACE,
        "User": plan.user,
        "Labels": plan.labels,
        "Tty": False,
        "OpenStdin": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(plan),
    }


def inner_call(plan: InstancePlan, launch: Launch) -> tuple[dict[str, Any], str]:
    """What is started in an instance for a run, as `engine.Call`, and what its input begins with.

    The connection to it is never ended from this side: over TLS it could not be.
    """
    shown, hidden = split_environment(launch.env)
    argv, stdin = with_whole_input(launch.argv, hidden, launch.stdin)
    call = {
        "argv": list(argv),
        "env": [f"{name}={value}" for name, value in shown.items()],
        "workdir": plan.workdir,
        "user": plan.user,
    }
    return call, stdin


def container_body(plan: ContainerPlan, launch: Launch) -> tuple[dict[str, Any], str | None]:
    """The body of "create a container" of Docker's Engine API, and its whole standard input."""
    shown, hidden = split_environment(launch.env)
    argv, stdin = with_prelude(launch.argv, hidden, launch.stdin)
    body = {
        "Image": plan.image,
        "Entrypoint": [argv[0]],
        "Cmd": list(argv[1:]),
        "Env": [f"{name}={value}" for name, value in shown.items()],
        "WorkingDir": WORKSPACE,
        "User": plan.user,
        "Labels": plan.labels,
        "Tty": False,
        "OpenStdin": stdin is not None,
        "StdinOnce": stdin is not None,
        "AttachStdin": stdin is not None,
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(plan),
    }
    return body, stdin


def needed_programs(launch: Launch) -> list[str]:
    """Those that the image itself must have; not what a variable of the run may lead to."""
    _, hidden = split_environment(launch.env)
    program = launch.argv[0]
    found_by_image = "/" not in program and "PATH" not in launch.env
    of_image = program.startswith("/") and not program.startswith(tuple(f"{p}/" for p in PLACES))
    mounts = launch.plan.mounts if isinstance(launch.plan, ContainerPlan) else ()
    in_mount = any(program.startswith(f"{mount.target}/") for mount in mounts)
    return [
        *([SHELL] if hidden else []),
        *([program] if (found_by_image or of_image) and not in_mount else []),
    ]


def _host_config(plan: ContainerPlan) -> dict[str, Any]:
    workspace = Mount(source=plan.workspace, target=WORKSPACE, read_only=plan.workspace_read_only)
    config: dict[str, Any] = {
        "NetworkMode": plan.network,
        # What an agent prints is kept once, by its supervisor, which takes out secrets before.
        "LogConfig": {"Type": "none"},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "ReadonlyRootfs": plan.read_only,
        "Init": plan.init,
        "IpcMode": "private",
        "RestartPolicy": {"Name": "no"},
        "Tmpfs": {HOME: f"rw,exec,nosuid,nodev,mode=1777,size={plan.tmp_mb}m"},
        "Mounts": [_mount(mount) for mount in (workspace, *plan.mounts)],
    }
    if plan.memory_mb:
        config["Memory"] = config["MemorySwap"] = plan.memory_mb * MIB
    if plan.cpus:
        config["NanoCpus"] = round(plan.cpus * NANO)
    if plan.pids:
        config["PidsLimit"] = plan.pids
    if plan.userns:
        config["UsernsMode"] = plan.userns
    return config


def _mount(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(mount.source),
        "Target": mount.target,
        "ReadOnly": mount.read_only,
        "BindOptions": {"Propagation": "rprivate"},
    }
