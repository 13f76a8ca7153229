"""Lines given to a reader of an agent's output, a second apart."""

import json
from typing import Any

from hypothesis import strategies as st

from runwatch_nodemanager.agents.protocol import Draft, Line, Stream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def feed(reader: Any, *values: Any, stream: Stream = "stdout") -> list[Draft]:
    """The events of these lines: text as it is, anything else as JSON."""
    drafts: list[Draft] = []
    for number, value in enumerate(values):
        text = value if isinstance(value, str) else json.dumps(value)
        drafts += reader.line(Line(stream=stream, text=text, moment_us=1_000_000 * (number + 1)))
    return drafts


def likely(names: list[str], words: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that look like lines: these names, often these words as values."""
    inner = st.recursive(
        VALUES | st.sampled_from(words),
        lambda deeper: (
            st.lists(deeper, max_size=4)
            | st.dictionaries(st.sampled_from(names), deeper, max_size=6)
        ),
        max_leaves=20,
    )
    return st.dictionaries(st.sampled_from(names), inner, max_size=8)
