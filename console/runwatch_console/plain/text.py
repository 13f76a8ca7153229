"""Text that can be read out: no sign without a word, no control character; pure."""

import unicodedata
from typing import Final

from runwatch_console.looks import LOOKS

_SPOKEN: Final = str.maketrans(
    {
        "·": ",",
        "…": "...",
        "–": "-",
        "—": "-",
        "−": "-",
        "×": "x",
        "≥": ">=",
        "±": "+-",
        "→": "to",
        **{look.glyph: "" for look in LOOKS if look.glyph != "–"},
    }
)
_SIGNS: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})


def spoken(text: str) -> str:
    """One line: our signs as words or left out, spaces single, nothing that is not printable.

    Signs of other people's texts, emoji among them, stay: readers know their names.
    """
    shown = text.translate(_SPOKEN)
    kept = "".join(c for c in shown if not _is_drawn(c) and unicodedata.category(c) not in _SIGNS)
    return " ".join(kept.split()).replace(" ,", ",")


def _is_drawn(character: str) -> bool:
    """Lines, blocks and shapes: they draw and say nothing."""
    return "\u2500" <= character <= "\u25ff"
