"""The settings in force: what may change while the server runs, and who follows a change.

Where new ones are read and checked is in `reloading`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakMethod

import msgspec

from runwatch_shared.settings import Limits, ServerSettings

Follower = Callable[[ServerSettings], None]

LIVE: Final = frozenset(
    {
        "allowed_hosts",
        "allowed_origins",
        "default_timeout_s",
        "drain_s",
        "limits",
        "log_format",
        "log_level",
        "metrics_public",
        "retention",
        "stop_s",
        "tls_cert",
        "tls_key",
        "trusted_proxies",
    }
)
"""Settings that are taken while the server runs; all others wait for the next start."""
FIXED_LIMITS: Final = frozenset({"client_frame_bytes", "ingest_queue_events", "otlp_bytes"})
"""Limits that are built into what is open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What becomes of new settings."""

    settings: ServerSettings
    """Those in force from now on."""
    taken: tuple[str, ...]
    """Names of what changed, dotted within tables."""
    waiting: tuple[str, ...]
    """What changed in the files and waits for a start."""


def change_of(old: ServerSettings, new: ServerSettings) -> Change:
    """What of ``new`` can be taken by a server that runs with ``old``."""
    taken, waiting = [], []
    values: dict[str, Any] = {}
    for name in _different(old, new):
        if name == "limits":
            values[name], own, others = _limits(old.limits, new.limits)
            taken += own
            waiting += others
        elif name in LIVE:
            values[name] = getattr(new, name)
            taken.append(name)
        else:
            waiting.append(name)
    return Change(
        settings=msgspec.structs.replace(old, **values),
        taken=tuple(taken),
        waiting=tuple(waiting),
    )


class LiveSettings:
    """Read by who asks at each use; who keeps a part of them follows.

    Followers are methods and held weakly: one that is gone follows no more.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._followers: list[WeakMethod[Follower]] = []

    def follow(self, follower: Follower) -> None:
        """Tell a method each new settings; it must not fail."""
        self._followers = [known for known in self._followers if known() is not None]
        self._followers.append(WeakMethod(follower))

    def replace(self, settings: ServerSettings) -> None:
        """Put new settings in force, all in one turn of the event loop."""
        self.settings = settings
        for known in self._followers:
            follower = known()
            if follower is not None:
                follower(settings)


def _different(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    names = [field.name for field in msgspec.structs.fields(old)]
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _limits(old: Limits, new: Limits) -> tuple[Limits, list[str], list[str]]:
    names = _different(old, new)
    own = [name for name in names if name not in FIXED_LIMITS]
    limits = msgspec.structs.replace(old, **{name: getattr(new, name) for name in own})
    others = [f"limits.{name}" for name in names if name in FIXED_LIMITS]
    return limits, [f"limits.{name}" for name in own], others
