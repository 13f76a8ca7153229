"""An event's JSON is that of its record, whatever is in it."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server import records
from runwatch_server.fanout.pages import encode_events
from runwatch_server.rows import EventRow
from runwatch_shared.models import Event
from runwatch_shared.states import EVENT_TYPES

MOMENTS = st.integers(0, 4_000_000_000_000_000)
PAYLOADS = st.one_of(
    st.none(),
    st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3).map(msgspec.json.encode),
)
EVENTS = st.builds(
    EventRow,
    seq=st.integers(1, 2**62),
    epoch=st.integers(0, 99),
    type=st.one_of(
        st.sampled_from(EVENT_TYPES), st.from_regex(r"x_[a-z0-9_]{1,62}", fullmatch=True)
    ),
    at_us=MOMENTS,
    received_us=MOMENTS,
    level=st.sampled_from(("info", "success", "warning", "error")),
    payload=PAYLOADS,
    raw=st.one_of(st.none(), st.text(max_size=20)),
)


@given(events=st.lists(EVENTS, max_size=4), raw=st.booleans())
def test_an_event_is_encoded_as_its_record(events: list[EventRow], raw: bool) -> None:
    run_id = "run-000000000001"
    encoded = encode_events(run_id, events, raw=raw)
    for row, found in zip(events, encoded, strict=True):
        record = records.event_record(run_id, row, raw=raw)
        assert found.json == msgspec.json.encode(record)
        assert msgspec.json.decode(found.json, type=Event).seq == row.seq
        assert (found.seq, found.at_us) == (row.seq, row.received_us)
