"""What secrets look like that nobody named: keys of known services, bearer tokens, private keys.

A pattern begins with a fixed text, so that all of them are looked for in one pass.
"""

import re
from dataclasses import dataclass
from typing import Final

SECRET: Final = "secret"
"""The group of a pattern that is the secret, where the whole of it is not."""


_WORD_TO_THE_END: Final = re.compile(rb"[^\s\"'<>]{0,512}\Z")
_KEY_TO_THE_END: Final = re.compile(rb"[\s>A-Za-z0-9+/=\\|:,.\x80-\xff-]{0,128}\Z")


@dataclass(frozen=True, slots=True)
class Pattern:
    """``expression`` is tried where one of ``triggers`` stands, which it begins with.

    Args:
        unfinished: Matches what follows the match, or else the trigger, if more data may make it a
            match or a longer one.
    """

    triggers: tuple[bytes, ...]
    expression: re.Pattern[bytes]
    unfinished: re.Pattern[bytes] = _WORD_TO_THE_END


def _starting(text: str, rest: str, *, inside_words: bool = False) -> Pattern:
    """A key that begins with ``text``; as a rule not in the middle of a word."""
    before = "" if inside_words else r"(?<![A-Za-z0-9_-])"
    expression = re.compile((before + re.escape(text) + rest).encode())
    return Pattern((text.encode(),), expression)


def _named(*names: str, rest: str) -> Pattern:
    """``name = value`` in the usual spellings, the value being the secret."""
    spelled = {name: (name, name.upper(), name.title()) for name in names}
    triggers = tuple(form.encode() for forms in spelled.values() for form in forms)
    expression = re.compile(rf"(?i:{'|'.join(names)}){rest}".encode())
    return Pattern(triggers, expression)


_WORD: Final = "[A-Za-z0-9_-]"
_HAS_DIGIT: Final = r"(?=[A-Za-z_-]*[0-9])"
_LINE_END: Final = r"(?:\r?\n|(?:\\{1,4}r)?\\{1,4}n)"
_MARGIN: Final = r"(?:[+>]|-(?!-))?(?:[ \t]|[0-9]+(?:\t|\\{1,4}t|\xe2\x86\x92|\||:))*"
"""Before a line of a key that a tool shows with line numbers, quoted or as a difference."""
_KEY_LINE: Final = r"(?:[A-Za-z-]{4,16}: [A-Za-z0-9,.()+/=@ -]{1,80}|[A-Za-z0-9+/=]{4,})"
_KEY_END: Final = rf"{_LINE_END}?{_MARGIN}-?-----END [A-Z0-9 ]{{0,40}}-----"

PRIVATE_KEY: Final = Pattern(
    (b"-----BEGIN ",),
    re.compile(
        rf"-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----"
        rf"(?P<secret>(?:{_LINE_END}{_MARGIN}{_KEY_LINE}?)*)(?:{_KEY_END})?".encode()
    ),
    _KEY_TO_THE_END,
)
PATTERNS: Final[tuple[Pattern, ...]] = (
    PRIVATE_KEY,
    _starting("sk-ant-", rf"{_WORD}{{16,}}"),
    _starting("sk-", rf"{_HAS_DIGIT}{_WORD}{{20,}}"),
    _starting("sk_live_", "[A-Za-z0-9]{10,}"),
    _starting("sk_test_", "[A-Za-z0-9]{10,}"),
    _starting("rk_live_", "[A-Za-z0-9]{10,}"),
    _starting("rk_test_", "[A-Za-z0-9]{10,}"),
    _starting("whsec_", "[A-Za-z0-9+/=]{20,}"),
    *(_starting(f"gh{kind}_", "[A-Za-z0-9]{30,}") for kind in "pousr"),
    _starting("github_pat_", "[A-Za-z0-9_]{22,}"),
    *(_starting(f"gl{kind}-", rf"{_WORD}{{20,}}") for kind in ("pat", "dt", "rt", "cbt", "ptt")),
    _starting("AKIA", "[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _starting("ASIA", "[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _starting("AIza", rf"{_WORD}{{35}}"),
    _starting("ya29.", rf"{_WORD}{{20,}}"),
    _starting("GOCSPX-", rf"{_WORD}{{20,}}"),
    *(_starting(f"xox{kind}-", "[A-Za-z0-9-]{10,}") for kind in "abeoprs"),
    _starting("xapp-", "[A-Za-z0-9-]{20,}"),
    _starting("hooks.slack.com/services/", "[A-Za-z0-9/_]{20,}", inside_words=True),
    _starting("hf_", "[A-Za-z0-9]{30,}"),
    _starting("npm_", "[A-Za-z0-9]{30,}"),
    _starting("pypi-", rf"{_WORD}{{50,}}"),
    *(_starting(f"do{kind}_v1_", "[a-f0-9]{40,}") for kind in "opr"),
    _starting("SG.", rf"{_WORD}{{16,}}\.{_WORD}{{16,}}"),
    _starting("gsk_", "[A-Za-z0-9]{20,}"),
    _starting("xai-", "[A-Za-z0-9]{20,}"),
    _starting("pplx-", "[A-Za-z0-9]{20,}"),
    _starting("r8_", "[A-Za-z0-9]{30,}"),
    _starting("dckr_pat_", rf"{_WORD}{{20,}}"),
    _starting("hvs.", rf"{_WORD}{{20,}}"),
    _starting("tskey-", "[A-Za-z0-9-]{16,}"),
    _starting("dapi", "[a-f0-9]{32}"),
    _starting("lin_api_", "[A-Za-z0-9]{20,}"),
    _starting("AGE-SECRET-KEY-1", "[A-Z0-9]{20,}"),
    _starting("AccountKey=", "(?P<secret>[A-Za-z0-9+/=]{40,})"),
    _starting("eyJ", rf"{_WORD}{{10,}}\.eyJ{_WORD}{{10,}}\.{_WORD}{{10,}}", inside_words=True),
    _starting(
        "runwatch_", "(?:viewer|operator|admin|node)_[0-9a-f]{8}_[0-9A-Za-z]{30,}_[0-9A-Za-z]+"
    ),
    _starting(
        "://",
        r"[^/\s:@\"'<>\\]{0,64}:(?P<secret>[^@/\s\"'<>\\]{1,256})@",
        inside_words=True,
    ),
    _named("bearer", rest=r"\s{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{16,})"),
    _named(
        "authorization",
        rest=r"[\"'\\]{0,4}\s{0,4}[:=]\s{0,4}[\"'\\]{0,4}(?:Basic|Token|basic|token)\s{1,4}"
        r"(?P<secret>[A-Za-z0-9._~+/=-]{8,})",
    ),
    _named(
        "aws_secret_access_key",
        "secretaccesskey",
        "secret_access_key",
        rest=r"[\"'\\]{0,4}\s{0,4}[:=]\s{0,4}[\"'\\]{0,4}(?P<secret>[A-Za-z0-9+/]{40})(?![A-Za-z0-9+/])",
    ),
)
