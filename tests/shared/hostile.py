"""Text as an enemy writes it: each entry would move, hide, recolour or answer something."""

from typing import Final

_CSI_BODIES: Final = (
    "31m", "0m", "1;31;44m", "38;2;255;0;0m", "38:2::1:2:3m", "2J", "3J", "H", "1;1H", "10A", "10B",
    "5C", "5D", "K", "2K", "1L", "1M", "1P", "1@", "6n", "5n", "c", ">c", "=c", "0x", "?1049h",
    "?1049l", "?25l", "?25h", "?1000h", "?1006h", "?2004h", "?2026h", "?7l", "?47h", "4h", "20h",
    "r", "1;5r", "s", "u", "S", "T", "8;50;200t", "14t", "21t", "22;0t", "!p", "?69h", "1 q",
    ">4;2m", "b", "999999999999b", "i", "5i", "?5n", "'z",
)  # fmt: skip
_STRING_BODIES: Final = (
    "0;title", "2;title", "4;1;?", "8;;https://evil.example/", "8;;", "9;notice", "10;?", "11;?",
    "50;?", "52;c;aGVsbG8=", "52;c;?", "104", "133;A", "777;notify;a;b", "1337;File=:AAAA",
    "1337;CurrentDir=/",
)  # fmt: skip
_TWO: Final = tuple(f"\x1b{final}" for final in "78=>DEHMNOZc<|}~no")
_CHARSETS: Final = ("\x1b(0", "\x1b)B", "\x1b%G", "\x1b#8", "\x1b F", "\x1b*A")

HOSTILE: Final[tuple[str, ...]] = (
    *(f"\x1b[{body}" for body in _CSI_BODIES),
    *(f"\x9b{body}" for body in _CSI_BODIES[:12]),
    *(f"\x1b]{body}\x07" for body in _STRING_BODIES),
    *(f"\x1b]{body}\x1b\\" for body in _STRING_BODIES),
    *(f"\x9d{body}\x9c" for body in _STRING_BODIES[:4]),
    *(f"\x1b{kind}q payload\x1b\\" for kind in "P_^X"),
    *(f"{kind}q payload\x9c" for kind in "\x90\x98\x9e\x9f"),
    *_TWO,
    *_CHARSETS,
    *(chr(code) for code in range(0x20)),
    "\x7f",
    *(chr(code) for code in range(0x80, 0xA0)),
    # unfinished, nested, interrupted
    "\x1b", "\x1b[", "\x1b[31", "\x1b]52;c;", "\x1bP", "\x1b[\x1b[31m", "\x1b]0;a\x1b]0;b\x07",
    "\x1b[3\x181m", "\x1b[\n31m", "\x1b\x1b\x1b[31m", "\x1b[31\x00m",
    # direction
    "user\u202etxt.exe", "\u202a", "\u202b", "\u202c", "\u202d",
    "\u2066", "\u2067", "\u2068", "\u2069",
    "\u200e", "\u200f", "\u061c",
    # invisible
    "a\u200bb", "a\u200cb", "a\u200db", "a\u2060b", "\ufeff", "a\u00adb", "\u034f", "\u180e",
    "\u115f",
    "\u1160", "\u3164", "\uffa0", "\u2028", "\u2029", "\ufff9a\ufffab\ufffb",
    "\u206a", "\ufffe", "\uffff",
    "".join(chr(0xE0000 + ord(letter)) for letter in "ignore this"), "\U000e0001", "\U000e007f",
    # broken encoding
    "\ud800", "\udfff", "\udc80", "\udc9b31m", "\ud83d\ud83d",
    # markup of Rich and Textual: harmless here, and must come through as it is
    "[@click=app.quit]hi[/]", "[red]", "a[/", "[stage] n = [x=1:", "\\[bold]",
)  # fmt: skip
