"""What this machine holds: the settings file, the data directory and its secrets, the clipboard's
way.
"""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from runwatch_console.doctor.findings import Finding, fail, ok, warn
from runwatch_shared.text import clean

PROGRAM_S: Final = 3.0
MOST_PROBLEMS: Final = 50
SECRETS: Final = ("token", "known_hosts", "tls/ca.key", "jwt_secret")

Run = Callable[[Sequence[str]], str | None]
"""Runs a program and gives its output; None: it is not there or failed."""


def run_program(command: Sequence[str]) -> str | None:
    """See `Run`."""
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=PROGRAM_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()


def look_at_settings(path: Path, problem: str) -> Iterator[Finding]:
    """The settings file; `problem`: what loading it said, a line each; empty if nothing."""
    if problem:
        for line in problem.splitlines()[:MOST_PROBLEMS]:
            told = clean(line, limit=600, fold=True)
            facts = {"path": _shown(path), "problem": told}
            wrong, mend = "doctor.settings_wrong", "doctor.settings_wrong.mend"
            yield fail("settings.file", wrong, mend, **facts)
    else:
        yield _settings_file(path)


def _settings_file(path: Path) -> Finding:
    facts = {"path": _shown(path)}
    if not path.exists():
        return ok("settings.file", "doctor.settings_none", **facts)
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return warn("settings.file", "doctor.settings_open", "doctor.settings_open.mend", **facts)
    return ok("settings.file", "doctor.settings", **facts)


def look_at_data(folder: Path) -> Iterator[Finding]:
    """The data directory of a local server, and whether its secrets are their owner's alone."""
    if not folder.is_dir():
        yield ok("data.folder", "doctor.data_none", path=_shown(folder))
        return
    yield ok("data.folder", "doctor.data", path=_shown(folder), mode=f"{_mode(folder):04o}")
    for name in SECRETS:
        path = folder / name
        if not path.is_file():
            continue
        facts = {"path": _shown(path), "mode": f"{_mode(path):04o}"}
        if _mode(path) & 0o077:
            yield warn("data.secret", "doctor.secret_open", "doctor.secret_open.mend", **facts)
        elif not os.access(path, os.R_OK):
            yield fail("data.secret", "doctor.secret_unread", "doctor.secret_unread.mend", **facts)
        else:
            yield ok("data.secret", "doctor.secret", **facts)


def look_at_clipboard(environment: Mapping[str, str], run: Run = run_program) -> Finding:
    """Which way a copied text goes. Nobody answers on that way, so it is never said to arrive."""
    if environment.get("TMUX"):
        version = clean(run(("tmux", "-V")) or "", limit=40, fold=True)
        if not version:
            return fail("clipboard.way", "doctor.no_tmux", "doctor.no_tmux.mend")
        setting = clean(run(("tmux", "show", "-gv", "set-clipboard")) or "?", limit=20, fold=True)
        facts = {"version": version, "setting": setting}
        if setting == "off":
            return warn("clipboard.way", "doctor.tmux_off", "doctor.tmux_off.mend", **facts)
        if _older_than(version, (3, 2)):
            return warn("clipboard.way", "doctor.tmux_old", "doctor.tmux_old.mend", **facts)
        return ok("clipboard.way", "doctor.tmux", **facts)
    if environment.get("STY"):
        return warn("clipboard.way", "doctor.screen", "doctor.screen.mend")
    return ok("clipboard.way", "doctor.osc52")


def _older_than(version: str, least: tuple[int, int]) -> bool:
    numbers = version.removeprefix("tmux").strip().removeprefix("next-").split(".")
    try:
        found = (int(numbers[0]), int("".join(filter(str.isdigit, numbers[1])) or 0))
    except (ValueError, IndexError):
        return False
    return found < least


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _shown(path: Path) -> str:
    return clean(str(path), limit=200, fold=True)
