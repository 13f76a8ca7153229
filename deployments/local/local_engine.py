"""Docker Compose where there is an engine that has it; what is composed is in `compose/`."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local_stack import LocalError

FILES: Final = Path(__file__).resolve().parents[1] / "compose"
ASK_S: Final = 20.0
UP_S: Final = 600.0
"""Images may have to be fetched first."""
DOWN_S: Final = 120.0


class Engine:
    """One engine with Compose; `found` gives it where it answers."""

    def __init__(self, program: str, environment: Mapping[str, str]) -> None:
        self._program = program
        self._environment = environment

    def up(self, name: str, values: Mapping[str, str]) -> None:
        """Start what `compose/NAME.yaml` says and wait until it is healthy.

        Raises:
            LocalError: It could not be started.
        """
        self._compose(name, values, ["up", "--detach", "--wait", "--remove-orphans"], UP_S)

    def signal(self, name: str, values: Mapping[str, str], service: str, signal: str) -> None:
        """Send a signal to the first process of a service.

        Raises:
            LocalError: It does not run.
        """
        self._compose(name, values, ["kill", "--signal", signal, service], DOWN_S)

    def down(self, name: str, values: Mapping[str, str]) -> None:
        """End it and remove what it kept; nothing happens where it does not run.

        Raises:
            LocalError: It could not be ended.
        """
        self._compose(name, values, ["down", "--volumes", "--remove-orphans"], DOWN_S)

    def _compose(
        self, name: str, values: Mapping[str, str], words: list[str], limit_s: float
    ) -> None:
        command = [self._program, "compose", "--file", str(FILES / f"{name}.yaml"), *words]
        try:
            ran = subprocess.run(
                command,
                env={**self._environment, **values},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LocalError(f"{' '.join(command)} took more than {limit_s:.0f} s") from error
        if ran.returncode:
            raise LocalError(f"{' '.join(command)} failed:\n{ran.stderr.strip()[-2000:]}")


def found(environment: Mapping[str, str]) -> Engine | None:
    """The engine of this machine; None where there is none, or it has no Compose."""
    program = shutil.which("docker", path=environment.get("PATH", os.defpath))
    if program is None:
        return None
    for words in (["info"], ["compose", "version"]):
        try:
            asked = subprocess.run(
                [program, *words],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ASK_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if asked.returncode:
            return None
    return Engine(program, environment)
