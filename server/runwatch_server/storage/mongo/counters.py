"""Kept counters: each moved once a commit, whatever the number of works in it."""

from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import Span


def add(view: View, increments: list[tuple[Span, int, str, float]]) -> None:
    for span, start_us, name, by in increments:
        key = key_of(span, start_us, name)
        row = view.get("counters", key)
        value = float(by if row is None else row["value"] + by)
        view.put(
            "counters", key, {"span": span, "start_us": start_us, "name": name, "value": value}
        )


def all_of(view: View) -> list[tuple[Span, int, str, float]]:
    """(span, start_us, name, value) of every counter."""
    rows = view.find("counters", {}, [("_id", 1)])
    return [(row["span"], row["start_us"], row["name"], row["value"]) for row in rows]


def value(view: View, name: str) -> float:
    """A counter of all time; 0 when it was never moved."""
    row = view.get("counters", key_of("all", 0, name))
    return 0.0 if row is None else float(row["value"])


def prune(view: View, span: Span, before_us: int, limit: int) -> int:
    """Remove at most ``limit`` counters of a span that began before a moment."""
    where = {"span": span, "start_us": {"$lt": before_us}}
    rows = view.find("counters", where, [("start_us", 1), ("_id", 1)], limit=limit)
    return sum(view.remove("counters", row["_id"]) for row in rows)


def key_of(span: str, start_us: int, name: str) -> str:
    """The id of a counter."""
    return f"{span}:{start_us}:{name}"
