"""What a list asks for, as a filter, and its keyset page."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.view import View
from runwatch_server.storage.protocols import Query, TaskQuery
from runwatch_server.storage.sql.pages import SORT_COLUMNS, THEN_BY
from runwatch_server.storage.sql.run_columns import SEPARATOR

_MAY_BE_MISSING: Final = frozenset({"duration_ms", "cost_usd", "total_tokens"})
_NOTHING: Final[Fields] = {"_id": {"$in": []}}


def of_runs(query: Query) -> Fields:
    """The filter of a list of runs (contract 6.1)."""
    return _all_of(
        _among("_id", query.ids),
        _among("status", query.status),
        _among("state", query.state),
        _among("node_id", query.node),
        _among("agent_type", query.agent_type),
        _among("health", query.health),
        {} if query.task is None else {"task_id": query.task},
        {} if query.waiting is None else {"waiting": query.waiting},
        {} if query.active is None else {"active": query.active},
        *_labelled(query.labels),
        _containing(query.q),
        _between("updated_us", query.since_us, query.until_us),
    )


def of_tasks(query: TaskQuery) -> Fields:
    """The filter of a list of tasks (contract 8.1)."""
    return _all_of(
        _among("status", query.status),
        {} if query.parent_id is None else {"parent_id": query.parent_id},
        *_labelled(query.labels),
        _containing(query.q),
        _between("created_us", query.since_us, query.until_us),
    )


def labels_of(labels: Mapping[str, str]) -> list[str]:
    """What labels are found by: each name, and each name with its value."""
    return [_label(name) for name in labels] + [_label(*pair) for pair in labels.items()]


def searched(text: str) -> str:
    """Text as a word is looked for in it: no pattern of the server can have a zero character."""
    return text.replace("\0", "\ufffd")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a kind; column and id go in one direction, rows without the value come last.

    ``after`` has the values of the order of the last row of the page before.
    """

    kind: str
    column: str
    descending: bool
    after: tuple[Any, ...] | None
    limit: int
    offset: int

    def read(self, view: View, where: Fields) -> list[Fields]:
        """Rows with a value and rows without one are two stretches, each in its own order."""
        if self.column not in _MAY_BE_MISSING:
            return self._rows(
                view, _all_of(where, self._beyond()), self._order, self.limit, self.offset
            )
        missing = _all_of(where, {self.column: None})
        by_id = self._order[-1:]
        if self.after is not None and self.after[0] is None:
            beyond = {"_id": {self._sign: self.after[-1]}}
            return self._rows(view, _all_of(missing, beyond), by_id, self.limit, self.offset)
        present = _all_of(where, {self.column: {"$ne": None}}, self._beyond())
        rows = self._rows(view, present, self._order, self.limit, self.offset)
        wanted = self.limit - len(rows)
        if not wanted:
            return rows
        offset = 0
        if not rows and self.offset:
            offset = self.offset - view.count(self.kind, present, at_most=self.offset)
        return rows + self._rows(view, missing, by_id, wanted, offset)

    @property
    def _names(self) -> tuple[str, ...]:
        then = THEN_BY.get(self.column)
        return (self.column, "_id") if then is None else (self.column, then, "_id")

    @property
    def _order(self) -> list[tuple[str, int]]:
        return [(name, -1 if self.descending else 1) for name in self._names]

    @property
    def _sign(self) -> str:
        return "$lt" if self.descending else "$gt"

    def _beyond(self) -> Fields:
        if self.after is None:
            return {}
        terms: list[Fields] = []
        same: Fields = {}
        for name, value in zip(self._names, self.after, strict=True):
            terms.append({**same, name: {self._sign: value}})
            same[name] = value
        # What all of them share bounds the part of an index that is looked through.
        return {self.column: {f"{self._sign}e": self.after[0]}, "$or": terms}

    def _rows(
        self, view: View, where: Fields, order: list[tuple[str, int]], limit: int, offset: int
    ) -> list[Fields]:
        return view.find(self.kind, where, order, limit=limit, skip=offset)


def page_of_runs(query: Query) -> Page:
    return Page(
        kind="runs",
        column=SORT_COLUMNS[query.sort],
        descending=query.descending,
        after=query.after,
        limit=query.limit,
        offset=query.offset,
    )


def _all_of(*conditions: Fields) -> Fields:
    asked = [each for each in conditions if each]
    if len(asked) <= 1:
        return asked[0] if asked else {}
    return {"$and": asked}


def _among(name: str, values: Sequence[str] | None) -> Fields:
    """``name`` is one of ``values``; None asks nothing, no value matches nothing."""
    if values is None:
        return {}
    return {name: values[0]} if len(values) == 1 else {name: {"$in": list(values)}}


def _labelled(labels: Mapping[str, str | None] | None) -> list[Fields]:
    return [
        {"labels": _label(name) if value is None else _label(name, value)}
        for name, value in (labels or {}).items()
    ]


def _label(*parts: str) -> str:
    return msgspec.json.encode(parts).decode()


def _containing(q: str | None) -> Fields:
    """``search`` has ``q`` somewhere; its parts are lines, so ``q`` is within one of them."""
    if not q:
        return {}
    if SEPARATOR in q:
        return _NOTHING
    return {"search": {"$regex": re.escape(searched(q.casefold()))}}


def _between(name: str, since: int | None, until: int | None) -> Fields:
    """Both ends included."""
    bounds = {
        sign: bound for sign, bound in (("$gte", since), ("$lte", until)) if bound is not None
    }
    return {name: bounds} if bounds else {}
