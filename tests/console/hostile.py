"""Text that wants to do something to a terminal, to a layout or to a markup reader."""

SEQUENCES = [
    "\x1b]52;c;ZXZpbA==\x07",  # OSC 52: write the clipboard
    "\x1b]0;owned\x07",  # OSC 0: title
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[6n",  # DSR: the terminal answers into our input
    "\x1b[?1049l",  # leave the alternate screen
    "\x1b[2J\x1b[H",
    "\x1bP+q544e\x1b\\",  # DCS
    "\x1b_Gi=1;AAAA\x1b\\",  # APC
    "\x1b^pm\x1b\\\x1bXsos\x1b\\",
    "\x9b31m\x9d0;c1\x9c\x90q\x9c",  # C1
    "\x00\x07\x08\x7f\x0e\x0f",
    "\r\x0b\x0c\x85",
    "\u202egnp.exe\u202c\u2066x\u2069",  # bidi
    "\u200b\u200d\ufeff\U000e0041",
    "\udc80\udcff",
]
MARKUP = [
    "[@click=app.quit]hi[/]",
    "[/",
    "[TODO]",
    "a[b]c[/b]",
    "[link=x]",
    "$text [$x]",
    "{0} {x}",
]
WIDE = ["日本語テキスト", "한국어", "🚀🏳️‍🌈👨‍👩‍👧", "e\u0301" * 5, "\u0300" * 50]
ALL = "".join([*SEQUENCES, *MARKUP, *WIDE])
CONTROL = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]
