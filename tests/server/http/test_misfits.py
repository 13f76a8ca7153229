"""What does not fit a record is named by its dotted path, in words of our own (contract 1.2)."""

from typing import Any, Literal

import msgspec
import pytest

from runwatch_server.misfits import of_decoding
from runwatch_shared.errors import RefusedError
from runwatch_shared.wire import EventBatch, Heartbeat, NodePatch, SubscribeFrame, TaskRequest


class Inner(msgspec.Struct):
    numbers: dict[str, list[int]] = {}
    level: Literal["low", "high"] = "low"


class Outer(msgspec.Struct):
    by_name: dict[str, Inner] = {}
    rows: list[dict[str, Inner]] = []


def refusal(kind: Any, value: Any) -> RefusedError:
    body = msgspec.json.encode(value)
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(body, type=kind)
    return of_decoding(caught.value, kind, body)


@pytest.mark.parametrize(
    ("kind", "value", "code", "field"),
    [
        (TaskRequest, {"name": "x", "labels": {"b": "1", "a": 1}}, "invalid_field", "labels.a"),
        (TaskRequest, {"name": "x", "env": {"A": None}}, "invalid_field", "env.A"),
        (
            TaskRequest,
            {"name": "x", "constraints": {"node_labels": {"gpu": True}}},
            "invalid_field",
            "constraints.node_labels.gpu",
        ),
        (NodePatch, {"labels": {"a": None, "b": 2}}, "invalid_field", "labels.b"),
        (Heartbeat, {"node_id": "n", "labels": {"x": []}}, "invalid_field", "labels.x"),
        (Heartbeat, {"node_id": "n", "agents": [{}]}, "missing_field", "agents[0].type"),
        (EventBatch, {"events": [{}, {}]}, "missing_field", "events[0].seq"),
        (
            SubscribeFrame,
            {"type": "subscribe", "id": 1, "filter": {"labels": {"a": 1}}},
            "invalid_field",
            "filter.labels.a",
        ),
        (
            Outer,
            {"by_name": {"a": {}, "b": {"numbers": {"c": [1, "x"]}}}},
            "invalid_field",
            "by_name.b.numbers.c[1]",
        ),
        (Outer, {"rows": [{}, {"k": {"level": "odd"}}]}, "invalid_value", "rows[1].k.level"),
    ],
)
def test_the_entry_that_does_not_fit_is_named(kind: Any, value: Any, code: str, field: str) -> None:
    refused = refusal(kind, value)
    assert (refused.code, refused.field) == (code, field)
    assert "`" not in refused.message
    assert "$" not in refused.message


def test_an_unknown_value_deep_below_a_map_names_those_that_are_known() -> None:
    refused = refusal(Outer, {"rows": [{"k": {"level": "odd"}}]})
    assert refused.details == {"allowed": ["low", "high"]}


def test_a_key_from_outside_is_cleaned_and_cut() -> None:
    refused = refusal(TaskRequest, {"name": "x", "labels": {"a\x1b[31m\u202e" + "k" * 500: 1}})
    assert refused.field is not None
    assert refused.field.startswith("labels.a")
    assert refused.field.isprintable()
    assert len(refused.field) < 80
