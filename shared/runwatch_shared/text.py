"""Making outside text harmless for a terminal; markup, layout and width are not its matter.

What is unsafe: C0 and C1 controls (escape sequences begin with one), line and paragraph separators,
bidirectional controls, invisible and tag characters, lone surrogates (threat T1 of the reliability
requirements). Printable text, CJK and emoji included, passes unchanged.
"""

import re
from typing import Final

_ALWAYS_SHOWN: Final = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian selectors and vowel separator
    (0x200B, 0x200F),  # zero width space, joiners, direction marks
    (0x2028, 0x202E),  # line and paragraph separator, bidi embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidi isolates, deprecated controls
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xDFFF),  # lone surrogates
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # half width Hangul filler
    (0xFFF0, 0xFFFB),  # unassigned ignorables, interlinear annotation
    (0xFFFE, 0xFFFF),  # noncharacters
    (0x1BCA0, 0x1BCA3),  # shorthand controls
    (0x1D173, 0x1D17A),  # musical controls
    (0xE0000, 0xE00FF),  # tags
    (0xE01F0, 0xE0FFF),  # unassigned ignorables
)
_SELECTORS: Final = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
"""Variation selectors choose a look only. They are dropped: terminals disagree on their width."""


def _class(*ranges: tuple[int, int]) -> str:
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)


_CONTROLS: Final = _class((0x00, 0x1F), (0x7F, 0x9F))
_UNSAFE: Final = re.compile(f"[{_CONTROLS}{_class(*_ALWAYS_SHOWN, *_SELECTORS)}]")
_REFUSED_IN_NAMES: Final = re.compile(f"[{_CONTROLS}{_class(*_ALWAYS_SHOWN)}]")
_EMOJI_JOINER: Final = re.compile(
    "(?<=[\u2190-\u2bff\U0001f000-\U0001faff\ufe0f])\u200d(?=[\u2190-\u2bff\U0001f000-\U0001faff])"
)
_WHITE_SPACE: Final = re.compile(
    "[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
)
_LINE_ENDS: Final = re.compile("\r\n?")
_SEQUENCES: Final = re.compile(
    # Each alternative begins with a control and runs at most to the next one: linear in the text.
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    # OSC, DCS, SOS, PM, APC: strings
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x18\x1a\x1b\x90\x98\x9b-\x9f]*"
    "(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]+[0-~]"  # charset and the like
    "|\x1b[0-~]"  # two characters, and the beginnings of unfinished ones
)
_CUT_MARGIN: Final = 8
"""Characters of input looked at for each one of output: the limit decides what cleaning costs."""


def clean(
    text: str,
    *,
    limit: int | None = None,
    fold: bool = False,
    newlines: bool = False,
    tab_size: int = 0,
    marks: bool = True,
) -> str:
    """The text without anything a terminal would obey or not show.

    Args:
        limit: Most characters of the result; what is longer ends in ``…``.
        fold: For fields of one line: white space of every kind becomes one space, none at the ends.
        newlines: Keep line ends, as ``\\n``.
        tab_size: Columns between tab stops; 0 shows a tab as any other control.
        marks: Show what is unsafe: ``␛`` for C0, ``<9B>`` for C1 and for bytes that were no UTF-8
            (`surrogateescape`), ``<U+202E>`` for the rest. False removes it, whole escape sequences
            with it, as the server does for short fields (contract 1.1).
    """
    cut = False
    if limit is not None and len(text) > (most := limit * _CUT_MARGIN + 256):
        text, cut = text[:most], True
    if not _harmless(text):
        if not marks:
            text = _SEQUENCES.sub("", text)
        text = _spaced(text, fold=fold, tab_size=tab_size)
        text = _EMOJI_JOINER.sub("", text)
        if newlines and not fold:
            text = "\n".join(_replaced(line, marks=marks) for line in text.split("\n"))
        else:
            text = _replaced(text, marks=marks)
    if fold:
        text = _WHITE_SPACE.sub(" ", text).strip()
    if limit is not None and (cut or len(text) > limit):
        text = text[: max(limit - 1, 0)] + "…" if limit else ""
    return text


def has_control(text: str) -> bool:
    """Whether a name must be refused: a control, escape, bidi control or invisible character.

    Variation selectors, which belong to many emoji, are no reason.
    """
    return not _harmless(text) and _REFUSED_IN_NAMES.search(text) is not None


def strip_sequences(text: str) -> str:
    """The text without whole escape sequences, colours for example; other controls stay."""
    return _SEQUENCES.sub("", text)


def _harmless(text: str) -> bool:
    """Nearly all text is printable ASCII; only other text costs a search."""
    return text.isprintable() and (text.isascii() or _UNSAFE.search(text) is None)


def _spaced(text: str, *, fold: bool, tab_size: int) -> str:
    if fold:
        return _WHITE_SPACE.sub(" ", text)
    text = _LINE_ENDS.sub("\n", text)
    return text.expandtabs(tab_size) if tab_size else text


def _replaced(text: str, *, marks: bool) -> str:
    return text if _harmless(text) else _UNSAFE.sub(_mark if marks else "", text)


def _mark(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if code < 0xA0:
        return f"<{code:02X}>"
    if 0xDC80 <= code <= 0xDCFF:
        return f"<{code - 0xDC00:02X}>"
    if any(low <= code <= high for low, high in _SELECTORS):
        return ""
    return f"<U+{code:04X}>"
