"""Secrets out of streams, whatever spelling and wherever a stream is cut; all else unchanged."""

import base64
import itertools
import json
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.redaction.choice import secret_values, unprotected
from runwatch_nodemanager.redaction.redactor import MASK, Redactor, Rules
from runwatch_nodemanager.redaction.spellings import spellings
from tests.canaries import CANARY, ENCODINGS


def redacted(rules, data, cuts):
    redactor = Redactor(rules)
    places = [0, *sorted(cuts), len(data)]
    shown = [redactor.feed(data[a:b]) for a, b in itertools.pairwise(places)]
    return b"".join((*shown, redactor.flush(ended=True)))


@pytest.fixture(scope="module")
def rules():
    return Rules([CANARY])


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_is_found_wherever_the_stream_is_cut(rules, name):
    encoded = ENCODINGS[name](CANARY).encode()
    data = b"before " + encoded + b" after\n"
    core = encoded.strip(b"\"'=")
    whole = redacted(rules, data, [])
    assert MASK in whole
    assert core not in whole
    for cut in range(len(data)):
        assert redacted(rules, data, [cut]) == whole
    generator = random.Random(name)
    for _ in range(50):
        cuts = generator.sample(range(len(data)), k=min(8, len(data)))
        assert redacted(rules, data, cuts) == whole


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_are_found(rules, code):
    data = f"a {CANARY} b\n".encode(code)
    for cut in range(len(data)):
        assert CANARY.encode(code) not in redacted(rules, data, [cut])


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_stands_around_a_secret_stays(rules, name):
    encoded = ENCODINGS[name](CANARY).encode()
    shown = rules.data(b"before " + encoded + b" after\n")
    assert shown.startswith(b"before ")
    assert shown.endswith(b" after\n")
    left = shown.removeprefix(b"before ").removesuffix(b" after\n").replace(MASK, b"")
    # Of base64 and base32 the characters shared with a neighbour, quotes, what was added.
    assert len(left) <= 16


@settings(max_examples=60, deadline=None)
@given(
    secret=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=6, max_size=40),
    around=st.lists(st.binary(max_size=80), min_size=2, max_size=4),
    seed=st.integers(),
)
@example(secret="aaaaaa", around=[b"aaaa", b"aaaaaaaaa"], seed=0)
@example(secret="abcabc", around=[b"abcab", b"cabc"], seed=1)
def test_no_secret_survives_any_cutting_and_nothing_else_is_touched(secret, around, seed):
    rules = Rules([secret])
    needle = secret.encode()
    data = needle.join(around)
    generator = random.Random(seed)
    cuts = [generator.randrange(len(data) + 1) for _ in range(generator.randrange(12))]
    shown = redacted(rules, data, cuts)
    assert shown == rules.data(data)
    if len(needle.strip()) >= 6:
        assert needle not in shown.replace(MASK, b"\xff")
    kept = iter(data)
    assert all(byte in kept for byte in shown.replace(MASK, b""))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.integers())
def test_a_stream_without_secrets_is_unchanged(data, seed):
    rules = Rules(["not-in-any-of-these-bytes"])
    generator = random.Random(seed)
    cuts = [generator.randrange(len(data) + 1) for _ in range(6)]
    assert redacted(rules, data, cuts) == rules.data(data)


def test_lines_leave_as_soon_as_they_are_whole(rules):
    redactor = Redactor(rules)
    assert redactor.feed(b"one\ntwo\nthr") == b"one\ntwo\n"
    assert redactor.feed(b"ee\n") == b"three\n"
    assert not redactor.waiting


def test_a_prompt_is_shown_but_not_the_beginning_of_a_secret(rules):
    redactor = Redactor(rules)
    assert redactor.feed(b"Continue? ") == b""
    assert redactor.flush(ended=False) == b"Continue? "
    redactor.feed(b"token: " + CANARY[:7].encode())
    assert redactor.flush(ended=False) == b"token: "
    redactor.feed(CANARY[7:].encode() + b"? ")
    assert redactor.flush(ended=False) == MASK + b"? "


def test_a_key_that_comes_in_two_parts_with_a_pause_is_replaced(rules):
    redactor = Redactor(rules)
    redactor.feed(b"key sk-ant-api03-abc")
    shown = redactor.flush(ended=False)
    redactor.feed(b"defghijklmnopqrstuvwxyz0123 end")
    shown += redactor.flush(ended=True)
    assert shown == b"key *** end"


def test_never_more_than_the_limit_is_held():
    rules = Rules(["aaaaaa"])
    redactor = Redactor(rules)
    for _ in range(64):
        redactor.feed(b"a" * 2048)
        assert len(redactor._held) <= rules.held_bytes + 2048
    assert MASK in redactor.flush(ended=True)


PRIVATE = "\n".join(
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        *(base64.b64encode(bytes([n]) * 48).decode() for n in range(20)),
        "QUJD",
        "-----END RSA PRIVATE KEY-----",
    ]
)


ENCRYPTED = PRIVATE.replace(
    "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n", 1
)


@pytest.mark.parametrize(
    "text",
    [
        PRIVATE,
        json.dumps({"key": PRIVATE}),
        json.dumps(json.dumps({"key": PRIVATE})),
        PRIVATE.replace("\n", "\r\n"),
        "".join(f"{n:6}\t{line}\n" for n, line in enumerate(PRIVATE.splitlines(), 1)),
        "".join(f"{n:6}→{line}\n" for n, line in enumerate(PRIVATE.splitlines(), 1)),
        *("".join(f"{mark}{line}\n" for line in PRIVATE.splitlines()) for mark in "+- >"),
        json.dumps("".join(f"-{line}\n" for line in PRIVATE.splitlines())),
        "".join(f"+{line}\n" for line in ENCRYPTED.splitlines()),
    ],
)
def test_a_private_key_is_replaced_however_its_lines_are_told(text):
    data = text.encode()
    rules = Rules()
    whole = redacted(rules, data, [])
    assert whole.count(MASK) == 1
    assert not any(line.encode() in whole for line in PRIVATE.splitlines()[1:-1])
    for seed in range(30):
        generator = random.Random(seed)
        cuts = [generator.randrange(len(data)) for _ in range(20)]
        assert redacted(rules, data, cuts) == whole


LISTING = "".join(f"NAME_{n}=value of {n}\n" for n in range(9)) + f"KEY={CANARY}\n"


def rows(code, width, end):
    return "".join(code[at : at + width] + end for at in range(0, len(code), width))


@pytest.mark.parametrize("width", [60, 64, 76])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n"])
@pytest.mark.parametrize("name", ["base64", "base64_url", "hex"])
def test_a_secret_anywhere_in_rows_of_a_code_is_replaced(rules, name, width, end):
    for shift in range(width):
        code = ENCODINGS[name](" " * shift + LISTING)
        data = rows(code, width, end).encode()
        clean = rules.data(data)
        shown = clean.replace(end.encode(), b"").replace(MASK, b"")
        before = ENCODINGS[name](" " * shift + LISTING.partition("KEY=")[0])
        assert shown.startswith(before[:-4].encode())
        assert len(shown) < len(before) + 20
        generator = random.Random(shift)
        cuts = [generator.randrange(len(data)) for _ in range(12)]
        assert redacted(rules, data, cuts) == clean


def test_rows_of_a_code_leave_one_by_one(rules):
    code = ENCODINGS["base64"]("all that is not secret " * 40)
    redactor = Redactor(rules)
    left = [redactor.feed(row.encode() + b"\n") for row in rows(code, 76, "\n").split()]
    assert max(map(len, left)) <= 3 * 77
    assert b"".join(left) + redactor.flush(ended=True) == rows(code, 76, "\n").encode()


def test_a_word_without_end_costs_no_more_than_its_length(rules):
    data = b"y" * 2_000_000
    assert rules.data(data) == data


def test_the_mention_of_a_private_key_is_none():
    text = "grep -l -- '-----BEGIN PRIVATE KEY-----' *.pem\nand more\n"
    assert Rules().text(text) == text


LETTERS = "Ab1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2yZ3Ab1cD2eF3gH4iJ5kL6mN7oP8"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"OPENAI_API_KEY=sk-proj-{LETTERS}", "OPENAI_API_KEY=***"),
        (f"x-api-key: sk-ant-api03-{LETTERS}", "x-api-key: ***"),
        (f'"ghp_{LETTERS[:36]}"', '"***"'),
        (f"github_pat_{LETTERS}", "***"),
        (f"glpat-{LETTERS[:20]}", "***"),
        ("AKIAIOSFODNN7EXAMPLE ", "*** "),
        (f"key=AIza{LETTERS[:35]}", "key=***"),
        (f"xoxb-1234567890-{LETTERS[:24]}", "***"),
        (f"hf_{LETTERS[:34]}", "***"),
        (f"curl -H 'Authorization: Bearer {LETTERS}'", "curl -H 'Authorization: Bearer ***'"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic ***"),
        ("git clone https://me:t0ken@example.org/r", "git clone https://me:***@example.org/r"),
        (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{LETTERS[:43]}", "***"),
        (f"runwatch_node_0a1b2c3d_{LETTERS[:43]}_AbCdEf", "***"),
        ('aws_secret_access_key = "' + "a/B+" * 10 + '"', 'aws_secret_access_key = "***"'),
    ],
)
def test_known_formats_are_replaced(text, shown):
    assert Rules().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessment-and-a-long-name-2024-of-things",
        "see https://example.org:8080/path@v1 and http://[::1]:80/",
        "the bearer of this letter",
        "import AKIAH; AIzawa",
        "sha256:" + "ab" * 32,
        json.dumps({"type": "assistant", "id": "msg_01AbCdEf", "uuid": "0" * 32}),
    ],
)
def test_what_only_resembles_a_key_stays(text):
    assert Rules().text(text) == text


def test_expressions_of_the_settings_replace_their_group_or_all():
    rules = Rules(expressions=["corp-[0-9]{6}", "pin=(?P<secret>[0-9]+)"])
    assert rules.text("corp-123456 pin=99 pin=x") == "*** pin=*** pin=x"
    for cut in range(20):
        assert redacted(rules, b"a corp-123456 pin=99\n", [cut]) == b"a *** pin=***\n"


def test_secrets_with_lines_are_found_line_by_line():
    secret = "first line of it\nsecond line of it\nno"
    shown = Rules([secret]).text("got: second line of it, and\r\nfirst line of it\n")
    assert shown == "got: ***, and\r\n***\n"


def test_a_very_long_secret_costs_little_and_is_found():
    secret = random.Random(1).randbytes(40_000).hex()
    rules = Rules([secret])
    assert redacted(rules, b"x " + secret.encode() + b" y", [70_000]) == b"x *** y"
    assert len(spellings(secret)) < 400


def test_trees_are_redacted_with_their_names():
    tree = {"a": ["x hunter2-hunter2", 1, None], "hunter2-hunter2": {"b": True}}
    assert Rules(["hunter2-hunter2"]).tree(tree) == {"a": ["x ***", 1, None], "***": {"b": True}}


def test_all_a_run_is_given_is_secret_but_usual_names():
    asked = {"API": "value-1", "PATH": "/usr/bin", "LC_ALL": "en_US.UTF-8", "SHORT": "abc"}
    assert secret_values(asked, {}) == ["value-1"]
    assert secret_values(asked, {}, plain=["A?I"]) == []


def test_of_the_machines_own_variables_those_with_a_telling_name_are_secret():
    own = {"OPENAI_API_KEY": "sk-own-1", "GREETING": "hello there", "SSH_AUTH_SOCK": "/run/agent"}
    assert secret_values({}, own) == ["sk-own-1"]


def test_the_password_of_an_address_is_secret_by_itself():
    values = secret_values({"DB": "postgres://me:p%40ssword@host/db"}, {})
    assert values == ["p%40ssword", "p@ssword", "postgres://me:p%40ssword@host/db"]


def test_a_word_that_stands_everywhere_is_no_secret_but_is_named_where_it_is_meant_as_one():
    asked = {"ROLE": "assistant", "DB_PASSWORD": "Production"}
    assert secret_values(asked, {}) == []
    assert unprotected(asked) == ["DB_PASSWORD"]


def test_what_is_called_secret_and_is_too_short_is_named():
    assert unprotected({"PIN_TOKEN": "1234", "DEBUG": "1", "EMPTY_KEY": ""}) == ["PIN_TOKEN"]
