"""Which shells there is a completion script for."""

from collections.abc import Callable
from enum import Enum
from typing import Final

from runwatch_shared.usage.bash import bash_script
from runwatch_shared.usage.fish import fish_script
from runwatch_shared.usage.tree import CommandTree
from runwatch_shared.usage.zsh import zsh_script


class Shell(Enum):
    """The shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SCRIPTS: Final[dict[Shell, Callable[[CommandTree], str]]] = {
    Shell.BASH: bash_script,
    Shell.ZSH: zsh_script,
    Shell.FISH: fish_script,
}


def completion_script(tree: CommandTree, shell: Shell) -> str:
    """What the shell reads to complete this program."""
    return _SCRIPTS[shell](tree)
