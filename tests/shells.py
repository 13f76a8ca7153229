"""Asks real shells what they would complete."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

LIMIT_S = 20.0

BASH = """
source "$1"; shift
function="_${1//-/_}"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
"$function" 2>/dev/null
(( ${#COMPREPLY[@]} )) && printf '%s\\n' "${COMPREPLY[@]}"
exit 0
"""
ZSH = """
compdef() { : }
compadd() { [[ $1 == -- ]] && shift; print -rl -- "$@" }
compset() { words[CURRENT]=${words[CURRENT]#*=} }
_describe() { local name=${@[-1]}; print -rl -- "${(@P)name}" }
_files() { print -r -- "FILES $*" }
_message() { : }
source "$1"; shift
words=("$@"); CURRENT=$#
"_${1//-/_}"
exit 0
"""
FISH = "source $argv[1]; complete -C $argv[2]"


def needed(shell: str) -> str:
    """The shell's program; without it the test is skipped."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def completed(
    shell: str,
    script: Path,
    *words: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> list[str]:
    """What the shell offers for the last of `words`, descriptions left out.

    bash and fish are asked themselves; of zsh the functions that show are replaced by ones that
    print, so all that may stand there comes, whatever was typed of it.
    """
    program = needed(shell)
    if shell == "fish":
        arguments = ["--no-config", "-c", FISH, str(script), " ".join(words)]
    else:
        text = {"bash": BASH, "zsh": ZSH}[shell]
        bare = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}[shell]
        arguments = [*bare, "-c", text, shell, str(script), *words]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
        cwd=folder,
        env={"LANG": "C.UTF-8", "HOME": str(script.parent), **(environment or {}), "PATH": path},
    )
    return [line.partition("\t")[0].partition(":")[0] for line in done.stdout.splitlines()]
