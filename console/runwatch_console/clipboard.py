"""Which way a text goes to the clipboard, and what may be said of it afterwards; pure.

Nobody answers an OSC 52 sequence: a terminal may ignore it. So no message ever says that something
*was* copied.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OSC_52_LIMIT = 74_994
"""Characters some terminals take at most (100,000 bytes of base64 with the sequence around it)."""


@dataclass(frozen=True, slots=True)
class CopyWay:
    """`command`: a program that takes the text on its standard input, or none: OSC 52. `word`: what
    to say.
    """

    command: tuple[str, ...]
    word: str


def copy_way(environment: Mapping[str, str], size: int) -> CopyWay:
    """tmux keeps a buffer of its own and passes it on to the outer terminal; else OSC 52."""
    if environment.get("TMUX"):
        return CopyWay(("tmux", "load-buffer", "-w", "-"), "copy.tmux")
    if size > OSC_52_LIMIT:
        return CopyWay((), "copy.large")
    if environment.get("STY"):
        return CopyWay((), "copy.screen")
    return CopyWay((), "copy.osc52")
