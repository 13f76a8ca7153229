"""The filter language of the lists: text to a predicate on rows, pure.

`s:wait age>1h node:n2 !docs "exact words"`: terms are joined by "and"; `!` before a term turns it
round; commas inside a
value mean "or"; a bare word is looked for in id, name, node, agent and activity, without regard to
case.
"""

import difflib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from runwatch_console.locale.words import Words
from runwatch_console.looks import look_of_run
from runwatch_console.rows import RunRow
from runwatch_shared.text import clean

RunTest = Callable[[RunRow, float], bool]
"""Whether a row matches at this moment of the server's clock (seconds since the epoch)."""


class FilterError(ValueError):
    """A term that means nothing. `term` is what the user typed, `expected` a locale id, `facts` its
    facts.
    """

    def __init__(self, term: str, expected: str, **facts: str) -> None:
        super().__init__(f"{term}: {expected}")
        self.term = term
        self.expected = expected
        self.facts = facts

    @property
    def near(self) -> list[str]:
        """What is known and looks like what was typed."""
        known = self.facts.get("known", "").split()
        return difflib.get_close_matches(self.facts.get("name", ""), known, n=2)


def filter_problem(error: FilterError, words: Words) -> str:
    """Which term means nothing, and what is allowed there; clean."""
    facts = {name: clean(fact, limit=400) for name, fact in error.facts.items()}
    near = words("filter.near", names=", ".join(error.near)) if error.near else ""
    return words(error.expected, term=clean(error.term, limit=80), near=near, **facts)


class Term(NamedTuple):
    """A term as it was typed, without what turns it round. `name`: empty for a bare word."""

    name: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter; the empty one matches everything."""

    text: str = ""
    tests: tuple[RunTest, ...] = ()
    timed: bool = False
    """Whether the answer can change by time alone (ages), without a change of the row."""
    words: tuple[str, ...] = field(default=())
    """Bare words, for highlighting."""
    terms: tuple[Term, ...] = field(default=(), compare=False)
    """Those that are not turned round, for a server to narrow its own list by."""

    def matches(self, run: RunRow, now_s: float) -> bool:
        """Whether a row passes every term."""
        # Asked of every row at every letter: `all` over a generator takes four times as long.
        for test in self.tests:  # noqa: SIM110
            if not test(run, now_s):
                return False
        return True

    def __bool__(self) -> bool:
        return bool(self.tests)


ANY: Final = Filter()

_TERM: Final = re.compile(r"([a-z_]+)(:|>=|<=|>|<|=)(.*)", re.DOTALL)
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_POWERS: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}

_STATES: Final[dict[str, RunTest]] = {
    "active": lambda run, _: not run.ended,
    "run": lambda run, _: look_of_run(run).word == "look.run",
    "running": lambda run, _: run.state == "running",
    "wait": lambda run, _: run.state == "waiting",
    "waiting": lambda run, _: run.state == "waiting",
    "queue": lambda run, _: run.status in ("queued", "assigned"),
    "queued": lambda run, _: run.status == "queued",
    "assigned": lambda run, _: run.status == "assigned",
    "pending": lambda run, _: run.state == "pending",
    "loop": lambda run, _: run.health == "looping",
    "stall": lambda run, _: run.health == "stalled",
    "slow": lambda run, _: run.health == "slow",
    "stuck": lambda run, _: run.health == "stuck_queued",
    "sick": lambda run, _: run.attention == 3,
    "needs": lambda run, _: run.attention >= 3,
    "ended": lambda run, _: run.ended,
    "done": lambda run, _: run.status == "done",
    "fail": lambda run, _: run.status in ("failed", "timeout"),
    "failed": lambda run, _: run.status == "failed",
    "timeout": lambda run, _: run.status == "timeout",
    "cancel": lambda run, _: run.status == "cancelled" or run.cancelling,
    "cancelled": lambda run, _: run.status == "cancelled",
    "unknown": lambda run, _: run.state == "unknown",
}
STATES: Final = tuple(_STATES)
"""Values of `s:`, for completion."""

_TEXTS: Final[dict[str, Callable[[RunRow], str]]] = {
    "node": lambda run: run.node,
    "agent": lambda run: run.agent,
    "id": lambda run: run.id,
    "run": lambda run: run.id,
    "task": lambda run: f"{run.task_id} {run.name}",
    "name": lambda run: run.name,
    "model": lambda run: run.model,
    "now": lambda run: run.activity,
    "error": lambda run: f"{run.error_code} {run.error}",
    "why": lambda run: f"{run.health_reason} {run.queue_code} {run.queue_reason}",
}
_AGES: Final[dict[str, Callable[[RunRow, float], float | None]]] = {
    "age": lambda run, now: run.age_s(now),
    "took": lambda run, now: run.took_s(now),
    "silent": lambda run, now: None if run.last_activity_s is None else now - run.last_activity_s,
    "ended": lambda run, now: None if run.ended_s is None else now - run.ended_s,
    "wait": lambda run, now: (
        None if run.wait is None or run.wait.since_s is None else now - run.wait.since_s
    ),
}
_AMOUNTS: Final[dict[str, Callable[[RunRow], float | None]]] = {
    "cost": lambda run: run.cost_usd,
    "rate": lambda run: run.cost_per_h,
    "tok": lambda run: run.tokens,
    "tools": lambda run: run.tool_calls,
    "fails": lambda run: run.tool_failures,
    "events": lambda run: run.event_count,
    "exit": lambda run: run.exit_code,
}
FIELDS: Final = ("s", *dict.fromkeys([*_TEXTS, *_AGES, *_AMOUNTS, "label"]))
"""Names that may stand before an operator, for completion."""

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    ":": lambda a, b: a == b,
}


def parse_filter(text: str, *, typing: bool = False) -> Filter:
    """A filter from what the user typed. `typing`: a last term that has no value yet does not
    count.

    Raises:
        FilterError: A term has an unknown field, state or a value that does not fit it.
    """
    tests: list[RunTest] = []
    words: list[str] = []
    plain: list[Term] = []
    timed = False
    for term in _terms(text):
        inverted = term.startswith("!")
        bare = term[1:] if inverted else term
        if not bare:
            continue
        match = _TERM.fullmatch(bare)
        if typing and match is not None and not match[3] and text.endswith(bare):
            continue
        if match is None:
            words.extend([] if inverted else [bare])
            plain.extend([] if inverted else [Term("", "", bare)])
            test = _word_test(bare)
        else:
            name, operator, value = match.groups()
            test = _field_test(term, name, operator, value)
            timed = timed or name in _AGES
            plain.extend([] if inverted else [Term(name, operator, value)])
        tests.append(_inverted(test) if inverted else test)
    return Filter(text.strip(), tuple(tests), timed, tuple(words), tuple(plain))


def age_s(value: str) -> float | None:
    """Seconds of `90s`, `15m`, `6h`, `7d`; None for what is no age."""
    match = _AGE.fullmatch(value)
    return None if match is None else float(match[1]) * _SECONDS[match[2]]


def state_named(word: str) -> str | None:
    """The state that a word of `s:` means: itself, or the first that begins so; None for none."""
    if word in _STATES:
        return word
    return next((name for name in STATES if word and name.startswith(word)), None)


def _terms(text: str) -> list[str]:
    try:
        return shlex.split(text, posix=True)
    except ValueError:
        # A quote is still open while the user types.
        return text.replace('"', " ").replace("'", " ").split()


def _inverted(test: RunTest) -> RunTest:
    return lambda run, now: not test(run, now)


def _word_test(word: str) -> RunTest:
    needle = word.casefold()
    return lambda run, _: needle in run.searched


def _field_test(term: str, name: str, operator: str, value: str) -> RunTest:
    if name in ("s", "state", "st"):
        return _state_test(term, value)
    if name == "label":
        return _label_test(value)
    # `run:…` and `wait>…` share their names with states and ages; the operator decides.
    if operator in (":", "=") and name in _TEXTS:
        return _text_test(_TEXTS[name], value)
    if name in _AGES:
        return _age_test(term, _AGES[name], operator, value)
    if name in _AMOUNTS:
        return _amount_test(term, _AMOUNTS[name], operator, value)
    raise FilterError(term, "filter.unknown_field", name=name, known=" ".join(FIELDS))


def _state_test(term: str, value: str) -> RunTest:
    chosen = []
    for word in value.casefold().split(","):
        # A prefix is enough while typing: `s:wa`.
        if (name := state_named(word)) is None:
            raise FilterError(term, "filter.unknown_state", name=word, known=" ".join(STATES))
        chosen.append(_STATES[name])
    return lambda run, now: any(test(run, now) for test in chosen)


def _label_test(value: str) -> RunTest:
    key, equals, wanted = value.partition("=")
    if not equals:
        return lambda run, _: key in run.labels
    return lambda run, _: run.labels.get(key) == wanted


def _text_test(read: Callable[[RunRow], str], value: str) -> RunTest:
    needles = tuple(part.casefold() for part in value.split(",") if part)
    if not needles:
        return lambda run, _: not read(run)
    return lambda run, _: any(needle in read(run).casefold() for needle in needles)


def _since_midnight_s(now_s: float) -> float:
    midnight = (
        datetime.fromtimestamp(now_s)
        .astimezone()
        .replace(hour=0, minute=0, second=0, microsecond=0)
    )
    return now_s - midnight.timestamp()


def _age_test(
    term: str, read: Callable[[RunRow, float], float | None], operator: str, value: str
) -> RunTest:
    if value == "today" and operator in (":", "="):
        # Midnight of the user's own clock.
        return lambda run, now: (
            (age := read(run, now)) is not None and age <= _since_midnight_s(now)
        )
    bound = age_s(value)
    if bound is None:
        raise FilterError(term, "filter.not_an_age", value=value)
    compare = _COMPARE[operator]
    return lambda run, now: (age := read(run, now)) is not None and compare(age, bound)


def _amount_test(
    term: str, read: Callable[[RunRow], float | None], operator: str, value: str
) -> RunTest:
    match = _AMOUNT.fullmatch(value.removeprefix("$"))
    if match is None:
        raise FilterError(term, "filter.not_a_number", value=value)
    bound = float(match[1]) * _POWERS[match[2].lower()]
    compare = _COMPARE[operator]
    return lambda run, _: (amount := read(run)) is not None and compare(amount, bound)
