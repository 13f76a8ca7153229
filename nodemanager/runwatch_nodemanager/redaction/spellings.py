"""How else a secret may be written: escaped, percent-encoded, in base64 and so on; as bytes."""

import base64
import codecs
import html
import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

LEAST_BYTES: Final = 6
"""What is shorter is not looked for: it would be found in everything."""
LEAST_LINE_BYTES: Final = 12
"""Of a line of a secret with several."""
LEAST_OTHER_CASE_CHARS: Final = 12
"""A shorter one is, with other letters, some other word."""
LINE_WIDTHS: Final = (60, 64, 76)
"""Where xxd, PEM and base64 break a line."""
JSON_DEPTH: Final = 2
"""A string in JSON in JSON, as an agent reports the output of a tool that prints JSON."""

Escape = Callable[[str], str]


def spellings(secret: str) -> frozenset[bytes]:
    """All spellings of ``secret`` that are looked for, itself among them, and of its lines."""
    found: set[bytes] = set()
    lines = [line.strip() for line in secret.splitlines()]
    long_lines = [line for line in lines if len(_bytes(line)) >= LEAST_LINE_BYTES]
    for text in {secret, secret.strip(), *long_lines}:
        found.update(_texts(text))
        found.update(_codes(_bytes(text)))
    return frozenset(spelling for spelling in found if len(spelling) >= LEAST_BYTES)


def _texts(text: str) -> Iterator[bytes]:
    """Spellings in which the characters that need no escape stand as they are."""
    level = {text, text[::-1], *(escape(text) for escape in ESCAPES)}
    if len(text) >= LEAST_OTHER_CASE_CHARS:
        level |= {text.upper(), text.lower(), codecs.encode(text, "rot13")}
    yield from map(_bytes, level)
    for _ in range(JSON_DEPTH):
        level = {escape(inner) for inner in level for escape in JSON_ESCAPES}
        yield from map(_bytes, level)


def _codes(data: bytes) -> Iterator[bytes]:
    """Spellings in which nothing stands as it is."""
    for code in _hexadecimal(data.hex()):
        yield code
        yield code.upper().replace(b"\\X", b"\\x").replace(b"\\U", b"\\u").replace(b"0X", b"0x")
    yield from _numbers(data)
    text = data.decode("utf-8", "replace")
    yield from (text.encode(code) for code in ("utf-16-be", "utf-32-le", "utf-32-be"))
    wide = text.encode("utf-16-le")
    yield wide.hex().encode()
    yield from (base64.b85encode(data), base64.a85encode(data))
    for source in (data, wide):
        yield source
        yield from _base64(source)
    yield from _base64(base64.b64encode(data))
    for shift in range(5):
        code = _core(base64.b32encode(bytes(shift) + data), shift, len(data), bits=5)
        yield from (code, code.lower())


def _hexadecimal(digits: str) -> Iterator[bytes]:
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    for separator in ("", " ", ":", "-"):
        yield separator.join(pairs).encode()
    for prefix in ("%", "\\x", "\\\\x", "\\u00", "\\\\u00", "%25"):
        yield "".join(prefix + pair for pair in pairs).encode()
    yield ", ".join("0x" + pair for pair in pairs).encode()
    for width in LINE_WIDTHS:
        yield from _wrapped(digits.encode(), width)


def _numbers(data: bytes) -> Iterator[bytes]:
    """Each byte or character by its number: escapes, entities of HTML, a list as of a buffer."""
    yield "".join(f"\\{byte:03o}" for byte in data).encode()
    yield from (between.join(map(str, data)).encode() for between in (",", ", ", " "))
    for code in ("&#{};", "&#x{:x};", "&#x{:X};", "\\u{{{:x}}}"):
        yield "".join(code.format(ord(c)) for c in data.decode("utf-8", "replace")).encode()


def _base64(data: bytes) -> Iterator[bytes]:
    """Both alphabets, wherever in what is encoded the secret begins.

    The first and last character, which others share, are left out; source: the three shifts of
    GitHub's runner (its ADR 0297).
    """
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            code = _core(encode(bytes(shift) + data), shift, len(data), bits=6)
            yield code
            yield quote(code, safe="").encode()
        for width in LINE_WIDTHS:
            yield from _wrapped(encode(data).rstrip(b"="), width)


def _core(code: bytes, shift: int, length: int, *, bits: int) -> bytes:
    """The characters of ``code`` that depend on the secret alone."""
    first = -(-shift * 8 // bits)
    last = (shift + length) * 8 // bits
    return code[first:last]


def _wrapped(code: bytes, width: int) -> Iterator[bytes]:
    if len(code) > width:
        rows = [code[at : at + width] for at in range(0, len(code), width)]
        for line_end in (b"\n", b"\r\n", b"\\n", b"\\\\n"):
            yield line_end.join(rows)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _json_ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def _json_slashes(text: str) -> str:
    return _json_ascii(text).replace("/", "\\/")


def _unicode_escaped(encode: Escape, characters: str) -> Escape:
    """With more characters escaped, as what may stand in HTML has them."""
    table = str.maketrans({c: f"\\u{ord(c):04x}" for c in characters})
    return lambda text: encode(text).translate(table)


def _quoted(safe: str) -> Escape:
    return lambda text: quote(text, safe=safe, errors="surrogateescape")


def _strictly_quoted(safe: str) -> Escape:
    """With all percent codes but letters, digits and ``safe``: `quote` leaves more as it is."""
    return lambda text: "".join(
        c if (c.isascii() and c.isalnum()) or c in safe else "".join(f"%{b:02X}" for b in _bytes(c))
        for c in text
    )


def _lower(encode: Escape) -> Escape:
    """With small letters in the percent codes."""

    def escape(text: str) -> str:
        head, *codes = encode(text).split("%")
        return head + "".join(f"%{code[:2].lower()}{code[2:]}" for code in codes)

    return escape


def _doubled(character: str) -> Escape:
    return lambda text: text.replace(character, character * 2)


def _backslashed(characters: str) -> Escape:
    return lambda text: "".join("\\" + c if c in characters else c for c in text)


def _octal(text: str) -> str:
    """As git names files."""
    marked = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(chr(b) if 32 <= b < 127 else f"\\{b:03o}" for b in _bytes(marked))


def _plus(text: str) -> str:
    return quote_plus(text, errors="surrogateescape")


def _twice(text: str) -> str:
    return quote(quote(text, safe="", errors="surrogateescape"), safe="")


def _named(entities: Iterable[tuple[str, str]]) -> Escape:
    table = str.maketrans(dict(entities))
    return lambda text: text.translate(table)


_PERCENT: Final = (
    *(_quoted(safe) for safe in ("", "/", "!~*'()", ";,/?:@&=+$!~*'()#")),
    *(_strictly_quoted(safe) for safe in ("", "_", "_-", ".-*_", "@*_+-./")),
    _plus,
)
_AND: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
_SHELL_SPECIAL: Final = " \t!\"#$&'()*,;<>?[\\]^`{|}~"
JSON_ESCAPES: Final[tuple[Escape, ...]] = (_json, _json_ascii)
ESCAPES: Final[tuple[Escape, ...]] = (
    *JSON_ESCAPES,
    *(_unicode_escaped(encode, "<>&") for encode in JSON_ESCAPES),  # Go
    *(_unicode_escaped(encode, "<>&='") for encode in JSON_ESCAPES),  # Gson
    _json_slashes,
    *_PERCENT,
    *(_lower(encode) for encode in _PERCENT),
    _twice,
    html.escape,
    _named(_AND),
    _named((*_AND, ('"', "&quot;"), ("'", "&apos;"))),
    _named((*_AND, ('"', "&quot;"), ("'", "&#39;"))),
    _named((*_AND, ('"', "&#34;"), ("'", "&#39;"))),
    lambda text: repr(text)[1:-1],
    lambda text: repr(_bytes(text))[2:-1],
    _octal,
    lambda text: shlex.quote(text).strip("'"),
    lambda text: text.replace("'", "'\\''"),
    _backslashed("'\\"),
    _backslashed('"\\$`'),
    _backslashed(_SHELL_SPECIAL),
    _doubled("'"),
    _doubled('"'),
)
