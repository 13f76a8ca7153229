"""What agents that are programs of their vendors share: found, asked for a version, given flags.

Nothing here is ever given to a shell; what a run asks for becomes elements of a list.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, Final

from runwatch_nodemanager.agents.protocol import AgentError, Json
from runwatch_shared.models import AgentOffer, Snapshot

MAX_ARGUMENT_BYTES: Final = 100 * 1024
"""The kernel takes no argument above 128 KiB."""
SECRET_CHARS: Final = 6
"""A shorter value is not taken for a secret (`redaction.spellings.LEAST_BYTES` in ASCII)."""
VERSION_TIMEOUT_S: Final = 10.0
VERSION: Final = re.compile(r"\d[\w.+-]{0,39}")
RUNTIME_VARIABLE: Final = "RUNWATCH_RUNTIME"
"""In the environment of every agent: ``process``, ``docker`` or ``podman``."""
HERE: Final = "process"
ARGUMENTS: Final = "args"
"""The parameter that is a list of further arguments, given as they are."""


def offer_of(agent_type: str, program: str) -> AgentOffer:
    """Whether the program is there, and its version; may take seconds."""
    found = shutil.which(program)
    if found is None:
        return AgentOffer(type=agent_type, ready=False, reason=_absent(program))
    return AgentOffer(type=agent_type, ready=True, version=version_of(found))


def find_program(program: str, env: Mapping[str, str]) -> str:
    """Its path, by the PATH it would be started with; in a container its name, which is looked for
    there.

    Raises:
        AgentError: It is not there.
    """
    if env.get(RUNTIME_VARIABLE, HERE) != HERE:
        return os.path.basename(program)
    found = shutil.which(program, path=env.get("PATH", os.defpath))
    if found is None:
        raise AgentError("agent_missing", f"{_absent(program)} of this node")
    return found


def version_of(program: str) -> str | None:
    """The first word that begins with a digit of what ``--version`` prints."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    words = answer.stdout.decode("utf-8", "replace").split()
    return next((word[:40] for word in words if VERSION.match(word)), None)


def prompt_of(snapshot: Snapshot) -> str:
    """
    Raises:
        AgentError: No program can be given it.
    """
    if "\0" in snapshot.prompt:
        raise AgentError("start_failed", "the prompt holds a zero byte")
    return snapshot.prompt


def holds_value(text: str, snapshot: Snapshot) -> bool:
    """Whether a value of the run's own variables stands in it, which may be a secret."""
    values = (snapshot.env or {}).values()
    return any(value in text for value in values if len(value) >= SECRET_CHARS)


def flags_of(
    parameters: Json, flags: Mapping[str, str], *, repeated: frozenset[str] = frozenset()
) -> list[str]:
    """The parameters that have a flag, as ``--flag=value``; true is the bare flag.

    Args:
        repeated: Parameters of which each value of a list gets a flag of its own; the values of
            others are joined by commas.

    Raises:
        AgentError: A value has a form no flag can have.
    """
    made: list[str] = []
    for name, value in parameters.items():
        flag = flags.get(name)
        if flag is not None:
            made += _flag(name, flag, value, repeated=name in repeated)
    return made


def arguments_of(parameters: Json) -> list[str]:
    """The parameter ``args``: a list of arguments the program gets as they are.

    Raises:
        AgentError: It is no list of strings, or one of them cannot be an argument.
    """
    given = parameters.get(ARGUMENTS)
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(part, str) for part in given):
        raise AgentError("start_failed", f"agent.parameters.{ARGUMENTS} must be a list of strings")
    return [usable_argument(ARGUMENTS, part) for part in given]


def usable_argument(name: str, text: str) -> str:
    """The text, for it can be an argument.

    Raises:
        AgentError: It cannot; the parameter is named.
    """
    if "\0" in text or len(text.encode("utf-8", "surrogatepass")) > MAX_ARGUMENT_BYTES:
        raise AgentError(
            "start_failed", f"agent.parameters.{name} is too long or holds a zero byte"
        )
    return text


def _flag(name: str, flag: str, value: Any, *, repeated: bool) -> Iterator[str]:
    match value:
        case None | False:
            return
        case True:
            yield flag
        case list() if repeated:
            for part in value:
                yield f"{flag}={usable_argument(name, _text(name, part))}"
        case list():
            joined = ",".join(_text(name, part) for part in value)
            yield f"{flag}={usable_argument(name, joined)}"
        case _:
            yield f"{flag}={usable_argument(name, _text(name, value))}"


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise AgentError("start_failed", f"agent.parameters.{name} has no such form")
    return str(value)


def _absent(program: str) -> str:
    return f"{program} is not there" if os.sep in program else f"{program} is not on the PATH"
