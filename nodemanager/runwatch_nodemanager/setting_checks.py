"""Whether a node could work with its settings: every one looked at, nothing made or opened."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runwatch_nodemanager import metrics_listener
from runwatch_nodemanager.agents.claude import ClaudeAgent
from runwatch_nodemanager.agents.codex import CodexAgent
from runwatch_nodemanager.agents.gemini import GeminiAgent
from runwatch_nodemanager.agents.qwen import QwenAgent
from runwatch_nodemanager.agents.registry import agent_type
from runwatch_nodemanager.credentials import find_access
from runwatch_nodemanager.logins.recipe import wrong_with
from runwatch_nodemanager.proxy_tests import allowed_of
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.runtimes.placement import check_rules
from runwatch_shared.errors import SettingsError
from runwatch_shared.findings import Finding, out_of_range, refuse
from runwatch_shared.settings import NodeSettings

VENDORS_AGENTS: Final = (ClaudeAgent, CodexAgent, GeminiAgent, QwenAgent)
"""Programs of their own, each found on the PATH unless a setting says where it is."""
RANGES: Final[dict[str, tuple[float, float | None]]] = {
    "capacity": (1, None),
    "metrics_port": (0, 65_535),
    "heartbeat_s": (0.05, 3600),
    "claim_wait_s": (0, 300),
    "spool_limit_bytes": (1, None),
    "run_spool_limit_bytes": (1, None),
    "stop_grace_s": (0, 3600),
    "cancel_kill_s": (0, 3600),
    "keep_finished_s": (0, None),
}


def findings_of(settings: NodeSettings) -> list[Finding]:
    """All there is to mend."""
    return [
        *out_of_range(settings, RANGES),
        *_about_work(settings),
        *_about_access(settings),
        *_about_places(settings),
    ]


def refuse_unusable(settings: NodeSettings) -> None:
    """Raises SettingsError with everything there is to mend."""
    refuse(findings_of(settings))


def _about_work(settings: NodeSettings) -> Iterator[Finding]:
    for name in settings.agent_programs:
        if agent_type(name) not in {kind.type for kind in VENDORS_AGENTS}:
            known = ", ".join(kind.type for kind in VENDORS_AGENTS)
            told = f"agent_programs names {name}, which is no agent with a program"
            yield Finding("agent_programs", told, f"there are {known}")
    for kind, recipes in settings.logins.items():
        for method, recipe in recipes.items():
            wrong = wrong_with(method, recipe)
            if wrong is not None:
                yield Finding(f"logins.{kind}.{method}", wrong, "see docs/logins.md")
    wrong = check_rules(settings)
    if wrong is not None:
        name, _, told = wrong.partition(": ")
        yield Finding(name, told, "see docs/containers.md")
    try:
        allowed_of(settings.proxy_test_allow)
    except SettingsError as error:
        told = str(error).partition(": ")[2]
        yield Finding("proxy_test_allow", told, "use 10.0.0.0/8 or a host's name")
    try:
        Rules(expressions=settings.redact_patterns)
    except re.error as error:
        yield Finding("redact_patterns", f"{error.pattern!r}: {error}", "mend the expression")


def _about_access(settings: NodeSettings) -> Iterator[Finding]:
    try:
        metrics_listener.tls_of(settings)
    except SettingsError as error:
        name, _, told = str(error).partition(": ")
        yield Finding(name if told else "metrics_port", told or name, "see docs/metrics.md")
    try:
        access = find_access(settings)
    except SettingsError as error:
        yield Finding("server", str(error), "see docs/settings.md")
        return
    if access.token is None and not access.loopback:
        yield Finding(
            "token",
            "no node token",
            "copy 'node-token' and 'tls/ca.pem' from the server's data directory "
            f"to {settings.data_dir}, or give --token-file and --ca",
        )


def _about_places(settings: NodeSettings) -> Iterator[Finding]:
    directory = Path(settings.data_dir)
    place = next(each for each in (directory, *directory.parents) if each.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        user = os.getuid()
        wrong = f"user {user} cannot write to {place}"
        yield Finding("data_dir", wrong, f"install -d -m 700 -o {user} {directory}")
