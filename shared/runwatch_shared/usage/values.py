"""Values that a program lists for a shell: only such as no shell can take for anything else."""

import re
from collections.abc import Iterable
from typing import Final

SAFE: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,128}")
MOST: Final = 500


def safe_values(values: Iterable[str], typed: str = "") -> list[str]:
    """Those that begin as typed and are plain words, in order, each once, at most `MOST`."""
    found = dict.fromkeys(v for v in values if v.startswith(typed) and SAFE.fullmatch(v))
    return [value for value in found if not value.startswith("-")][:MOST]
