"""SQL with ``?`` and ``?N`` as PostgreSQL writes its marks."""

import re
from functools import lru_cache
from typing import Final

_MARK: Final = re.compile(r"\?(\d*)")


@lru_cache(maxsize=4096)
def numbered(sql: str) -> str:
    """``?`` is the number after the highest so far, ``?N`` is N, as SQLite reads them."""
    highest = 0

    def number(mark: re.Match[str]) -> str:
        nonlocal highest
        given = int(mark[1]) if mark[1] else highest + 1
        highest = max(highest, given)
        return f"${given}"

    return _MARK.sub(number, sql)
