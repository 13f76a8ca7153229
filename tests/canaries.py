"""A secret in every spelling an agent may print it in, and a program that prints them all.

As a program: ``canaries.py SEED GATE`` writes the variable ``CANARY`` in all spellings to standard
output and error, in pieces of random length, then waits for the file ``GATE`` and ends.
"""

import base64
import codecs
import html
import json
import os
import random
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

CANARY = "c4n'ary\"/+<é&>% $key=="
ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda s: s,
    "json": json.dumps,
    "json_utf8": lambda s: json.dumps(s, ensure_ascii=False),
    "json_in_json": lambda s: json.dumps(json.dumps({"a": s})),
    "json_of_go": lambda s: (
        json.dumps(s).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "url": lambda s: quote(s, safe=""),
    "url_lower": lambda s: "".join(
        c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in s
    ).replace("%5f", "_"),
    "form": quote_plus,
    "url_twice": lambda s: quote(quote(s, safe=""), safe=""),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64_second": lambda s: base64.b64encode(b"u" + s.encode() + b":x").decode(),
    "base64_third": lambda s: base64.b64encode(b"uu" + s.encode() + b"x").decode(),
    "base64_url": lambda s: base64.urlsafe_b64encode(b"user:" + s.encode()).decode(),
    "base64_twice": lambda s: base64.b64encode(base64.b64encode(s.encode())).decode(),
    "base64_utf16": lambda s: base64.b64encode(s.encode("utf-16-le")).decode(),
    "base32": lambda s: base64.b32encode(b"abc" + s.encode()).decode(),
    "hex": lambda s: s.encode().hex(),
    "hex_upper": lambda s: s.encode().hex().upper(),
    "hex_colons": lambda s: s.encode().hex(":"),
    "hex_escapes": lambda s: "".join(f"\\x{b:02x}" for b in s.encode()),
    "html": html.escape,
    "xml": lambda s: html.escape(s).replace("&#x27;", "&apos;"),
    "shell": shlex.quote,
    "shell_other": lambda s: "'" + s.replace("'", "'\\''") + "'",
    "python": repr,
    "reversed": lambda s: s[::-1],
    "upper": str.upper,
    "lower": str.lower,
    "rot13": lambda s: codecs.encode(s, "rot13"),
    "octal": lambda s: "".join(f"\\{b:03o}" for b in s.encode()),
    "octal_of_git": lambda s: "".join(
        f"\\{c}" if c in '\\"' else "".join(f"\\{b:03o}" for b in c.encode()) if c > "~" else c
        for c in s
    ),
    "python_bytes": lambda s: repr(s.encode()),
    "buffer_of_node": lambda s: json.dumps(list(s.encode()), separators=(",", ":")),
    "numbers": lambda s: str(list(s.encode())),
    "html_decimal": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "html_hex": lambda s: "".join(f"&#x{ord(c):x};" for c in s),
    "braces": lambda s: "".join(f"\\u{{{ord(c):x}}}" for c in s),
    "hex_utf16": lambda s: s.encode("utf-16-le").hex(),
    "ascii85": lambda s: base64.a85encode(s.encode()).decode(),
    "base85": lambda s: base64.b85encode(s.encode()).decode(),
    "percent_all": lambda s: "".join(f"%{b:02X}" for b in s.encode()),
}


def traces(secret: str) -> dict[str, bytes]:
    """By encoding what tells that it was kept: the spelling without what others share with it."""
    found = {}
    for name, encode in ENCODINGS.items():
        spelled = encode(secret).encode().strip(b"\"'=")
        found[name] = spelled[4:-4] if name.startswith("base") else spelled
    return found


def write_slowly(descriptor: int, data: bytes, dice: random.Random) -> None:
    at = 0
    while at < len(data):
        size = dice.choice([1, 2, 3, 7, 20, 200])
        os.write(descriptor, data[at : at + size])
        at += size
        if dice.random() < 0.05:
            time.sleep(0.001)


def main() -> None:
    seed, gate = sys.argv[1:]
    dice = random.Random(seed)
    for descriptor in (1, 2):
        for name, encode in ENCODINGS.items():
            spelled = encode(os.environ["CANARY"])
            line_end = dice.choice(["\n", " ", "\r\n"])
            write_slowly(descriptor, f"{name}: {spelled} .{line_end}".encode(), dice)
    os.write(1, f"shown: {os.environ['SHOWN']}\n".encode())
    while not Path(gate).exists():
        time.sleep(0.02)


if __name__ == "__main__":
    main()
