"""Whether a server could work with its settings: every one looked at, nothing made or opened.

`monitor-server check`, every start and every reload ask here.
"""

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from runwatch_server.access.forwarding import Forwarding
from runwatch_server.access.passwords import LONGEST, SHORTEST
from runwatch_server.access.sessions import SHORTEST_KEY
from runwatch_server.addresses import access_mode, database_url
from runwatch_server.alerts.target import kinds_of, target_of
from runwatch_server.days import time_zone
from runwatch_server.handshakes import Pair, served_of
from runwatch_server.proxies.testing import allowed_of, usable_url
from runwatch_server.storage.urls import parts_of
from runwatch_server.tracing.opening import check_endpoint
from runwatch_shared.errors import SettingsError
from runwatch_shared.findings import Finding, out_of_range, refuse
from runwatch_shared.settings import ServerSettings
from runwatch_shared.text import clean

SCHEMES: Final = ("sqlite", "postgresql", "postgres", "mongodb", "mongodb+srv")
SHORTEST_TOKEN: Final = 16
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:\d+)?|[0-9a-fA-F:]+|\[[0-9a-fA-F:]+\](:\d+)?")


def _numbers_of(settings: msgspec.Struct, place: str = "") -> Iterator[str]:
    """The dotted names of all numbers."""
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _numbers_of(value, f"{field.name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{place}{field.name}"


LEAST: Final = {"limits": 1.0, "health": 1.0}
"""Of each number in a table; of all others 0."""
RANGES: Final[dict[str, tuple[float, float | None]]] = {
    name: (LEAST.get(name.partition(".")[0], 0.0), None) for name in _numbers_of(ServerSettings())
} | {
    "port": (0, 65_535),
    "default_timeout_s": (1, 604_800),
    "drain_s": (0, 3600),
    "stop_s": (0, 3600),
    "sweep_s": (0.001, 3600),
    "commit_works": (1, None),
    "otlp_silence_s": (1, None),
    "webhook_queue": (1, None),
    "webhook_attempts": (1, None),
    "webhook_give_up_s": (1, None),
    "webhook_timeout_s": (0.001, None),
    "trace_share": (0, 1),
}


def findings_of(settings: ServerSettings) -> list[Finding]:
    """All there is to mend, in the order of the settings' groups."""
    if broken := list(_not_usable_text(settings)):
        return broken
    return [
        *out_of_range(settings, RANGES),
        *_refusals(settings),
        *_about_listening(settings),
        *_about_places(settings),
        *_about_secrets(settings),
        *_about_numbers(settings),
    ]


def refuse_unusable(settings: ServerSettings) -> None:
    """Raises SettingsError with everything there is to mend."""
    refuse(findings_of(settings))


def _not_usable_text(settings: ServerSettings) -> Iterator[Finding]:
    """No path, host or URL has a NUL; what looks at the others later need not expect one."""
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        parts = value if isinstance(value, list) else [value]
        if any(isinstance(part, str) and "\0" in part for part in parts):
            yield Finding(field.name, "it holds a NUL character", "take it out")


def _refusals(settings: ServerSettings) -> Iterator[Finding]:
    """What other parts say of the settings they read."""
    asked: tuple[tuple[str, Callable[[], object], str], ...] = (
        ("auth", lambda: access_mode(settings), "or listen on 127.0.0.1"),
        ("time_zone", lambda: time_zone(settings.time_zone), "use a name such as Europe/Berlin"),
        ("trusted_proxies", lambda: Forwarding(settings.trusted_proxies), "use 10.0.0.0/8"),
        ("database", lambda: parts_of(database_url(settings)), "see docs/configuration.md"),
        ("webhook_kinds", lambda: kinds_of(settings), "take the others out"),
        ("webhook_url", lambda: target_of(settings), "see docs/alerts.md"),
        ("trace_endpoint", lambda: check_endpoint(settings), "see docs/monitoring.md"),
        (
            "proxy_test_allow",
            lambda: allowed_of(settings.proxy_test_allow),
            "use 10.0.0.0/8 or a host's name",
        ),
        ("proxy_test_url", lambda: usable_url(settings.proxy_test_url), "use https://host/"),
    )
    for name, ask, mend in asked:
        try:
            ask()
        except SettingsError as error:
            named, _, wrong = str(error).partition(": ")
            told = wrong if named == name and wrong else str(error)
            if not (name == "webhook_url" and told.startswith("webhook_kinds")):
                yield Finding(name, told, mend)


def _about_listening(settings: ServerSettings) -> Iterator[Finding]:
    try:
        socket.getaddrinfo(settings.host.strip("[]") or None, 0, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        yield Finding(
            "host", f"{settings.host!r} is no address of a machine", "use 127.0.0.1 or 0.0.0.0"
        )
    for name in settings.allowed_hosts:
        if _HOST.fullmatch(name) is None:
            yield Finding("allowed_hosts", f"{name!r} is no host name", "leave scheme and path out")
    for origin in settings.allowed_origins:
        if not _is_origin(origin):
            yield Finding(
                "allowed_origins",
                f"{origin!r} is no web origin",
                "write https://host or https://host:port, without a path",
            )
    if bool(settings.tls_cert) != bool(settings.tls_key):
        yield Finding("tls_cert", "tls_cert and tls_key go together", "set both or neither")
    elif settings.tls and settings.tls_cert:
        try:
            served_of(Pair(cert=Path(settings.tls_cert), key=Path(settings.tls_key)))
        except SettingsError as error:
            name, _, wrong = str(error).partition(": ")
            yield Finding(name, wrong, "give PEM files this user can read, that belong together")


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    shown = f"{parts.scheme}://{parts.netloc}"
    plain = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    return bool(plain) and shown == text and port != 0


def _about_places(settings: ServerSettings) -> Iterator[Finding]:
    yield from _unusable_directory("data_dir", Path(settings.data_dir))
    if settings.ready_file:
        folder = Path(settings.ready_file).absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            yield Finding("ready_file", f"{folder} cannot be written to", "make it, or give it")
    scheme = database_url(settings).partition(":")[0]
    if scheme not in SCHEMES:
        mend = "use sqlite:///, postgresql:// or mongodb://"
        yield Finding("database", f"there is no store {clean(scheme, limit=16)!r}", mend)


def _unusable_directory(name: str, directory: Path) -> Iterator[Finding]:
    """The directory, or where it would be made: the first of its parents that is there."""
    place = next(each for each in (directory, *directory.parents) if each.exists())
    if not place.is_dir():
        yield Finding(name, f"{place} is no directory", "name another")
    elif not os.access(place, os.W_OK | os.X_OK):
        user = os.getuid()
        yield Finding(
            name,
            f"user {user} cannot write to {place}",
            f"install -d -m 700 -o {user} {directory}, or name another",
        )


def _about_secrets(settings: ServerSettings) -> Iterator[Finding]:
    if settings.jwt_secret and len(settings.jwt_secret) < SHORTEST_KEY:
        yield Finding(
            "jwt_secret", f"it has less than {SHORTEST_KEY} characters", "openssl rand -hex 32"
        )
    if settings.node_token and len(settings.node_token) < SHORTEST_TOKEN:
        yield Finding(
            "node_token",
            f"it has less than {SHORTEST_TOKEN} characters",
            "monitor-server token create --scope node",
        )
    if bool(settings.admin_email) != bool(settings.admin_password):
        yield Finding("admin_email", "it goes with admin_password", "set both or neither")
    elif settings.admin_email and "@" not in settings.admin_email:
        yield Finding("admin_email", "it is no e-mail address", "write name@host")
    if settings.admin_password and not SHORTEST <= len(settings.admin_password) <= LONGEST:
        yield Finding("admin_password", "its length does not fit", f"{SHORTEST} to {LONGEST}")


def _about_numbers(settings: ServerSettings) -> Iterator[Finding]:
    """Numbers that have to fit each other."""
    limits, health = settings.limits, settings.health
    pairs = (
        ("drain_s", settings.drain_s, "stop_s", settings.stop_s),
        ("limits.reads_per_s", limits.reads_per_s, "limits.reads_burst", limits.reads_burst),
        ("limits.writes_per_s", limits.writes_per_s, "limits.writes_burst", limits.writes_burst),
        (
            "limits.batch_events",
            limits.batch_events,
            "limits.ingest_queue_events",
            limits.ingest_queue_events,
        ),
        (
            "health.looping_calls",
            health.looping_calls,
            "health.looping_window",
            health.looping_window,
        ),
    )
    for name, less, other, more in pairs:
        if less > more:
            yield Finding(name, f"{less:g} is more than {other}, {more:g}", f"raise {other}")
