"""Two versions of text files as unified differences, by git, in a folder of their own."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from runwatch_nodemanager.changes.before import GIT_S, QUIET_GIT

HEAD: Final = re.compile(rb"^diff --git a/[ab]/(\d+) b/[ab]/\1$", re.MULTILINE)
OPTIONS: Final = (
    *("diff", "--no-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    *("--text", "--unified=3", "a", "b"),
)

Versions = tuple[bytes | None, bytes | None]
"""Before and after; ``None`` where there was no file."""


def differences(scratch: Path, files: dict[str, Versions]) -> dict[str, str]:
    """By path the unified difference; of none where git is missing or takes too long. Blocks.

    Args:
        scratch: A folder that does not exist; it is made and removed again.
    """
    names = list(files)
    try:
        for side in (0, 1):
            folder = scratch / "ab"[side]
            folder.mkdir(mode=0o700, parents=True)
            for number, name in enumerate(names):
                content = files[name][side]
                if content is not None:
                    (folder / str(number)).write_bytes(content)
        told = subprocess.run(
            ["git", *OPTIONS],
            cwd=scratch,
            env=QUIET_GIT | {"GIT_CEILING_DIRECTORIES": os.fspath(scratch.resolve().parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GIT_S,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    heads = list(HEAD.finditer(told))
    ends = [*(head.start() for head in heads), len(told)][1:]
    found: dict[str, str] = {}
    for head, end in zip(heads, ends, strict=True):
        name = names[int(head[1])]
        hunks = told.find(b"\n@@", head.end(), end)
        if hunks >= 0:
            old, new = files[name]
            above = f"--- {_side('a', name, old)}\n+++ {_side('b', name, new)}"
            found[name] = above + told[hunks:end].decode("utf-8", "replace")
    return found


def _side(letter: str, name: str, content: bytes | None) -> str:
    return "/dev/null" if content is None else f"{letter}/{name}"
