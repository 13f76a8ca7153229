"""Which variables a container gets, and how without its engine or a command line knowing them.

Variables in a container's configuration are shown by ``inspect`` and kept in files of the engine.
Only those that are no secret go there. The others come with standard input, before the agent's own,
to a fixed script of the shell, which sets them and becomes the agent.
"""

import os
import re
import secrets
import shlex
from collections.abc import Mapping
from typing import Final

from runwatch_nodemanager.runtimes.protocol import PlacementError
from runwatch_nodemanager.runtimes.workplace import HOME, SHELL, WORKSPACE

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY")
PROXY_NAMES: Final = frozenset((*PROXIES, *(name.lower() for name in PROXIES)))
OPEN_NAMES: Final = frozenset(
    {
        "HOME",
        "RUNWATCH_RUN_ID",
        "RUNWATCH_TASK_ID",
        "RUNWATCH_NODE_ID",
        "RUNWATCH_WORKSPACE",
        "RUNWATCH_RUNTIME",
    }
)
"""Variables that anybody may see."""
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PRELUDE: Final = (
    "IFS= read -r _rw_end; _rw_all=; "
    'while IFS= read -r _rw_line && [ "$_rw_line" != "$_rw_end" ]; '
    'do _rw_all="$_rw_all$_rw_line\n"; done; '
    'eval "$_rw_all"; unset _rw_end _rw_all _rw_line; exec "$@"'
)
"""Reads byte by byte, as every shell's ``read`` does of a pipe: the agent's input stays."""


def container_environment(
    asked: Mapping[str, str],
    *,
    names: list[str],
    node_environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The node's proxies, its variables of these ``names``, and over them what the run asks for.

    Raises:
        PlacementError: A variable has a name that no shell can set.
    """
    wanted = (*sorted(PROXY_NAMES), *names)
    own = {name: node_environment[name] for name in wanted if node_environment.get(name)}
    both = {"HOME": HOME, "RUNWATCH_WORKSPACE": WORKSPACE, **own, **asked}
    for name, value in both.items():
        if not NAME.fullmatch(name) or "\0" in value:
            raise PlacementError(f"a container cannot be given the variable {name!r}")
    return both


def split_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those that may be shown, and those that may not."""
    shown = {name: value for name, value in environment.items() if _harmless(name, value)}
    return shown, {name: value for name, value in environment.items() if name not in shown}


def with_prelude(
    argv: tuple[str, ...], hidden: Mapping[str, str], stdin: str | None
) -> tuple[tuple[str, ...], str | None]:
    """The command line and standard input that give an agent ``hidden`` too."""
    if not hidden:
        return argv, stdin
    end = secrets.token_hex(16)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in hidden.items()]
    text = "".join([f"{end}\n", *lines, f"{end}\n", stdin or ""])
    return (SHELL, "-c", PRELUDE, "runwatch", *argv), text


def with_whole_input(
    argv: tuple[str, ...], hidden: Mapping[str, str], stdin: str | None
) -> tuple[tuple[str, ...], str]:
    """As `with_prelude`, where standard input cannot be ended: the shell gives the agent its own,
    which gets a line end if it has none.
    """
    end, mark = secrets.token_hex(16), secrets.token_hex(16)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in hidden.items()]
    given = "exec </dev/null\n" if stdin is None else f"exec <<'{mark}'\n{_ended(stdin)}{mark}\n"
    return (SHELL, "-c", PRELUDE, "runwatch", *argv), "".join(
        [f"{end}\n", *lines, given, f"{end}\n"]
    )


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _harmless(name: str, value: str) -> bool:
    if name in PROXY_NAMES:
        return "@" not in value
    return name in OPEN_NAMES
