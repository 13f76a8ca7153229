"""Cutting lines, joining them again, and cutting events to their limits."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.agents.protocol import Draft, Line
from runwatch_nodemanager.events import cut_payload, number_draft
from runwatch_nodemanager.line_cutter import PIECE_BYTES, LineCutter
from runwatch_nodemanager.line_joiner import LineJoiner

LINE, PART = 1, 2
LIMIT = 256 * 1024


def cut(chunks):
    cutter = LineCutter(LINE, PART)
    records = [record for chunk in chunks for record in cutter.feed(chunk)]
    return records + cutter.flush(ended=True)


def lines_of(records):
    lines, held = [], b""
    for kind, data in records:
        held += data
        if kind == LINE:
            lines.append(held)
            held = b""
    return lines


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=80).map(lambda b: b.replace(b"\n", b"")), max_size=12),
    cuts=st.lists(st.integers(min_value=1, max_value=60), max_size=30),
)
def test_lines_are_the_same_however_the_bytes_arrive(lines, cuts):
    data = b"".join(line + b"\n" for line in lines)
    chunks, start = [], 0
    for size in cuts:
        chunks.append(data[start : start + size])
        start += size
    chunks.append(data[start:])
    assert lines_of(cut(chunks)) == lines


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(min_size=1, max_size=40).map(lambda t: t.replace("\n", "x")),
    times=st.integers(min_value=2000, max_value=6000),
)
def test_pieces_of_a_long_line_end_between_characters(text, times):
    data = (text * times).encode()
    records = cut([data, b"\nnext\n"])
    assert lines_of(records) == [data, b"next"]
    assert all(len(piece) <= PIECE_BYTES for _, piece in records)
    assert "".join(piece.decode() for _, piece in records) == text * times + "next"


def test_a_line_without_end_at_the_end_is_a_line():
    assert cut([b"one\ntwo"]) == [(LINE, b"one"), (LINE, b"two")]


def test_a_prompt_is_handed_over_without_splitting_a_character():
    cutter = LineCutter(LINE, PART)
    assert cutter.feed("Weiter? é".encode()[:-1]) == []
    assert cutter.flush(ended=False) == [(PART, b"Weiter? ")]
    assert cutter.feed("é".encode()[1:] + b"\n") == [(LINE, "é".encode())]


def test_whole_lines_are_put_together_and_an_endless_one_is_told():
    joiner = LineJoiner(whole_lines=True, max_bytes=100)
    assert joiner.feed("stdout", b"a" * 30, ended=False, moment_us=1) is None
    assert not joiner.aligned
    line = joiner.feed("stdout", b"b", ended=True, moment_us=2)
    assert line == Line(stream="stdout", text="a" * 30 + "b", moment_us=2)
    for _ in range(5):
        assert joiner.feed("stdout", b"c" * 40, ended=False, moment_us=3) is None
    assert joiner.aligned
    again = LineJoiner(whole_lines=True, max_bytes=100, saved=joiner.save())
    draft = again.feed("stdout", b"", ended=True, moment_us=4)
    assert isinstance(draft, Draft)
    assert draft.payload["original_bytes"] == 200
    assert draft.payload["truncated"] is True
    after = again.feed("stdout", b"next", ended=True, moment_us=5)
    assert after == Line(stream="stdout", text="next", moment_us=5)


def test_pieces_pass_where_lines_need_not_be_whole():
    joiner = LineJoiner(whole_lines=False)
    first = joiner.feed("stdout", b"a", ended=False, moment_us=1)
    assert first == Line(stream="stdout", text="a", moment_us=1, piece=True)
    assert joiner.feed("stdout", b"", ended=True, moment_us=2) is None
    empty = joiner.feed("stdout", b"", ended=True, moment_us=3)
    assert empty == Line(stream="stdout", text="", moment_us=3)


def payload_of(sized):
    return json.loads(bytes(sized.event.payload))


def test_the_longest_strings_of_a_large_event_are_cut_first_and_raw_goes():
    draft = Draft("tool_result", {"id": "t1", "output": "x" * 400_000, "note": "short"}, raw="r")
    sized = number_draft(draft, seq=1, moment_us=0, limit_bytes=LIMIT)
    payload = payload_of(sized)
    assert payload["truncated"] is True
    assert payload["original_bytes"] > 400_000
    assert (payload["id"], payload["note"]) == ("t1", "short")
    assert payload["output"].startswith("x" * 1000)
    assert sized.event.raw is None
    assert len(bytes(sized.event.payload)) <= LIMIT


def test_a_raw_line_over_the_limit_goes_and_the_payload_stays_whole():
    draft = Draft("message", {"content": "hi"}, raw="é" * LIMIT)
    sized = number_draft(draft, seq=1, moment_us=0, limit_bytes=LIMIT)
    assert payload_of(sized) == {"content": "hi", "raw_dropped_bytes": 2 * LIMIT}
    assert sized.event.raw is None


@settings(max_examples=150, deadline=None)
@given(
    payload=st.dictionaries(
        st.text(max_size=30),
        st.recursive(
            st.text(max_size=300) | st.integers() | st.none(),
            lambda inner: (
                st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=5)
            ),
            max_leaves=30,
        ),
        max_size=12,
    ),
    raw=st.none() | st.text(max_size=3000),
)
def test_every_event_fits_its_limit_and_its_size_is_never_underestimated(payload, raw):
    limit = 2048
    sized = number_draft(Draft("message", payload, raw), seq=7, moment_us=0, limit_bytes=limit)
    assert len(bytes(sized.event.payload)) <= limit
    assert len(msgspec.json.encode(sized.event)) <= sized.size


@pytest.mark.parametrize("payload", [{"a": [["x"] * 50] * 500}, {str(n): n for n in range(5000)}])
def test_a_payload_large_without_long_strings_is_cut_too(payload):
    assert len(msgspec.json.encode(cut_payload(payload, 4096))) <= 4096
