"""What a run asks of its runtime, read from ``agent.parameters``; decides nothing."""

from typing import Annotated, Any

import msgspec

from runwatch_nodemanager.runtimes.protocol import PlacementError

Wanted = Annotated[float, msgspec.Meta(gt=0)]


class WantedLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``agent.parameters.limits``; each can only lower what the node allows."""

    memory_mb: Annotated[int, msgspec.Meta(gt=0)] | None = None
    cpus: Wanted | None = None
    pids: Annotated[int, msgspec.Meta(gt=0)] | None = None
    open_files: Annotated[int, msgspec.Meta(gt=0)] | None = None
    cpu_s: Annotated[int, msgspec.Meta(gt=0)] | None = None


class WantedContainer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``agent.parameters.container``. ``mounts``: ``SOURCE:TARGET`` or ``SOURCE:TARGET:ro``."""

    image: str | None = None
    network: str | None = None
    mounts: list[str] = []
    read_only: bool = False


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; other parameters are the agent's."""

    runtime: str | None = None
    container: WantedContainer = WantedContainer()
    limits: WantedLimits = WantedLimits()


def read_wishes(parameters: dict[str, Any]) -> Wishes:
    """
    Raises:
        PlacementError: One of them has no such form; it is named.
    """
    named = {
        name: parameters[name]
        for name in Wishes.__struct_fields__
        if parameters.get(name) is not None
    }
    try:
        return msgspec.convert(named, Wishes)
    except msgspec.ValidationError as error:
        what, _, place = str(error).replace("`", "").partition(" - at $")
        raise PlacementError(f"agent.parameters{place or ''}: {what}") from error


def lower(allowed: float, wanted: float | None) -> float:
    """The smaller one, where 0 allows anything."""
    if wanted is None:
        return allowed
    return min(allowed, wanted) if allowed else wanted
