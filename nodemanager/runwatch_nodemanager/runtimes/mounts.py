"""Which folders of this machine a container may see; never the way to its own engine."""

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Final

from runwatch_nodemanager.runtimes.container_plan import Mount
from runwatch_nodemanager.runtimes.protocol import PlacementError

READ_ONLY: Final = "ro"
ENGINE_SOCKETS: Final = (
    Path("/run/docker.sock"),
    Path("/run/podman/podman.sock"),
    Path("/run/containerd/containerd.sock"),
    Path("/run/crio/crio.sock"),
    Path(f"/run/user/{os.getuid()}/docker.sock"),
    Path(f"/run/user/{os.getuid()}/podman/podman.sock"),
)
KERNEL_FOLDERS: Final = (Path("/proc"), Path("/sys"), Path("/dev"))
SHARED_MEMORY: Final = Path("/dev/shm")


def allowed_mount(
    wish: str,
    allowed: list[str],
    *,
    taken: tuple[str, ...],
    engine: Path | None,
    own: Path | None = None,
) -> Mount:
    """What a run asks for, if the node lets it.

    Args:
        wish: ``SOURCE:TARGET`` or ``SOURCE:TARGET:ro``.
        allowed: ``PATH``, with all below it, or ``PATH:ro`` only for reading.
        taken: Targets that are in use.
        engine: The engine's socket.
        own: The node's own folder, with its token and the logs of other runs.

    Raises:
        PlacementError: It is not allowed, not there or no mount.
    """
    source_text, _, rest = wish.partition(":")
    target, _, mode = rest.partition(":")
    if mode not in ("", READ_ONLY) or "\0" in wish:
        raise PlacementError(f"a mount is SOURCE:TARGET or SOURCE:TARGET:ro, not {wish!r}")
    pure = PurePosixPath(target)
    if not pure.is_absolute() or ".." in pure.parts or pure == PurePosixPath("/"):
        raise PlacementError(f"a mount needs an absolute target inside the container: {wish!r}")
    for other in taken:
        if pure.is_relative_to(other) or PurePosixPath(other).is_relative_to(pure):
            raise PlacementError(f"the mount {wish!r} would hide {other}")
    source = Path(source_text)
    if not source.is_absolute():
        raise PlacementError(f"a mount needs an absolute source: {wish!r}")
    try:
        real = source.resolve(strict=True)
    except OSError as error:
        raise PlacementError(f"no such folder on this node: {source_text}") from error
    may_write = _may_write(real, allowed)
    if may_write is None:
        raise PlacementError(f"this node does not allow mounts of {source_text}")
    refuse_dangerous(real, engine=engine, own=own)
    if own is not None and real.is_relative_to(own.resolve()):
        raise PlacementError(f"{source_text} belongs to the node itself; never mounted")
    if not may_write and mode != READ_ONLY:
        raise PlacementError(f"this node allows {source_text} only for reading: add :ro")
    return Mount(source=real, target=str(pure), read_only=mode == READ_ONLY)


def refuse_dangerous(source: Path, *, engine: Path | None, own: Path | None = None) -> None:
    """
    Raises:
        PlacementError: Through it a container could reach its engine, the kernel's switches or
            what the node keeps in its ``own`` folder.
    """
    real = source.resolve()
    sockets = [path.resolve() for path in (*ENGINE_SOCKETS, *([engine] if engine else []))]
    if any(socket == real or socket.is_relative_to(real) for socket in sockets):
        raise PlacementError(f"{source} holds the socket of a container engine; never mounted")
    kernel = any(real.is_relative_to(folder) for folder in KERNEL_FOLDERS)
    if kernel and not (real != SHARED_MEMORY and real.is_relative_to(SHARED_MEMORY)):
        raise PlacementError(f"{source} belongs to the kernel; never mounted")
    if own is not None and own.resolve().is_relative_to(real):
        raise PlacementError(f"{source} holds the node's own folder; never mounted")
    if real.exists() and stat.S_ISSOCK(real.stat().st_mode):
        raise PlacementError(f"{source} is a socket; never mounted")


def _may_write(real: Path, allowed: list[str]) -> bool | None:
    """Whether the best entry for it lets it be written; ``None`` if there is none."""
    found: bool | None = None
    for entry in allowed:
        path = entry.removesuffix(f":{READ_ONLY}")
        if path and real.is_relative_to(Path(path).expanduser().resolve()):
            found = bool(found) or path == entry
    return found
