"""A login's steps, as its own process tells them and the node manager passes them on."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from runwatch_nodemanager.run_folder import RunFolder
from runwatch_shared.logins import Phase

PROGRESS: Final[Mapping[str, int]] = {
    "initializing": 5,
    "launching_container": 10,
    "authenticating": 20,
    "requesting_device_code": 30,
    "waiting_oauth": 50,
    "waiting_device_code": 50,
    "waiting_input": 60,
    "polling_token": 75,
    "verifying_credentials": 85,
    "saving_credentials": 92,
    "finalizing": 97,
}
Outcome = Literal["succeeded", "failed", "timeout", "cancelled"]


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of them; ``number`` counts from 1. An ``outcome`` is the last one's.

    Args:
        result: What is known besides, laid over what was (`logins.ActionPatch`).
        typed: How many texts a person gave were typed so far.
    """

    number: int
    phase: Phase
    message: str
    waiting: bool = False
    result: dict[str, Any] = {}
    error: str | None = None
    outcome: Outcome | None = None
    typed: int = 0

    @property
    def progress(self) -> int:
        return PROGRESS[self.phase]


class LoginFolder(RunFolder):
    """The folder of one login, with the same means of talking as a run's."""

    @property
    def steps(self) -> Path:
        """Lines of JSON, appended by the login's own process."""
        return self.path / "steps"

    @property
    def known(self) -> Path:
        """What the node manager noted of it (`notes.Note`)."""
        return self.path / "login.json"

    def read_steps(self) -> list[Step]:
        """All that were told; a last line that is not whole yet is left out."""
        try:
            data = self.steps.read_bytes()
        except FileNotFoundError:
            return []
        lines = data[: data.rfind(b"\n") + 1].splitlines()
        return [msgspec.json.decode(line, type=Step) for line in lines]


class StepWriter:
    """Tells the steps of one login."""

    def __init__(self, folder: LoginFolder) -> None:
        self._file = os.open(folder.steps, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._wake = os.open(folder.wake, os.O_RDWR | os.O_NONBLOCK)
        self._number = len(folder.read_steps())

    def tell(self, phase: Phase, message: str, **more: Any) -> Step:
        self._number += 1
        step = Step(number=self._number, phase=phase, message=message, **more)
        os.write(self._file, msgspec.json.encode(step) + b"\n")
        os.fdatasync(self._file)
        # A full pipe is no loss: whoever wakes up reads all.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"s")
        return step

    def close(self) -> None:
        os.close(self._file)
        os.close(self._wake)


def read_json(path: Path) -> Any:
    """A small file of JSON, ``None`` where there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
