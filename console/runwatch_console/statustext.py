"""What the top line and the bar of a broken connection say, as (text, tone); no Textual."""

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from runwatch_console.feeditems import Disconnected, LossReason, other_scheme
from runwatch_console.formats import (
    format_age,
    format_clock,
    format_cost,
    format_duration,
    zone_of,
)
from runwatch_console.link import LinkState
from runwatch_console.locale.words import counted
from runwatch_console.state import ConsoleState

Span = tuple[str, str]

WIDE: Final = 100
"""From this width on the line names the screen; below it has room for the counts only."""

_COUNTED: Final = (
    ("look.wait", "waiting"),
    ("look.loop", "looping"),
    ("look.stall", "stalled"),
    ("look.fail", "failed"),
    ("look.unknown", "unknown"),
)


def status_spans(
    state: ConsoleState,
    width: int,
    title: tuple[Span, ...],
    *,
    counts: bool,
    cells: Callable[[str], int],
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The top line: context, link, then the screen's title or the counts, or both; and its right
    end. `cells`: how many columns a text takes.
    """
    line = _line(state, width, title, counts=counts, room=Room.FULL)
    for room in Room if counts else ():
        line = _line(state, width, title, counts=counts, room=room)
        if sum(cells(text) for spans in line for text, _ in spans) <= width:
            break
    return line


class Room(IntEnum):
    """How much the top line may take: no count of a state is given up for anything else."""

    FULL = 0
    CLOSE = 1
    """Gaps of one column."""
    NO_COST = 2
    NO_NODES = 3


def _line(
    state: ConsoleState, width: int, title: tuple[Span, ...], *, counts: bool, room: Room
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    gap, before = ("  ", "   ") if room is Room.FULL else (" ", " ")
    left: list[Span] = [(f" {state.target.context} ", "title"), *_link_spans(state)]
    if title and (width >= WIDE or not counts):
        left.append(("  │  " if width >= WIDE else "  ", "muted"))
        left.extend(title)
    if counts:
        left.append(("  │  " if title and width >= WIDE else before, "muted"))
        left.extend(_count_spans(state, gap))
    right: list[Span] = []
    if (counts or width >= 140) and room < Room.NO_NODES:
        right.extend(_fleet_spans(state, width if room < Room.NO_COST else 0, gap))
    if state.link.read_only or state.preferences.read_only:
        right.append((f"  {state.words('status.read_only')}", "accent"))
    return tuple(left), (*right, (" ", ""))


def _link_spans(state: ConsoleState) -> list[Span]:
    words = state.words
    silent = format_age(state.link.silent_s(state.now_mono_s))
    match state.link_state:
        case LinkState.CONNECTING:
            return [(f"○ {words('link.connecting')}", "muted")]
        case LinkState.LIVE:
            return [(f"● {words('link.live')} {silent:<3}", "running"), *_caught_up_spans(state)]
        case LinkState.LATE:
            return [(f"◔ {words('link.late')} {silent}", "stalled")]
        case LinkState.LOST:
            return [(f"✕ {words('link.lost')} {_lost_for(state)}", "failed")]


def _caught_up_spans(state: ConsoleState) -> list[Span]:
    caught = state.caught_up
    if caught is None or state.now_mono_s >= caught.until_mono_s:
        return []
    word = "link.caught_up" if caught.resumed else "link.reloaded"
    if not caught.events:
        return [(f" {state.words(word + '.none')}", "done")]
    return [(f" {counted(state.words, word, caught.events)}", "done")]


def _lost_for(state: ConsoleState) -> str:
    since = state.link.lost_mono_s
    return format_age(None if since is None else state.now_mono_s - since)


def _count_spans(state: ConsoleState, gap: str) -> list[Span]:
    words = state.words
    if not state.fleet.loaded:
        return [(words("status.loading"), "muted")] if state.link.connected else []
    stale = state.stale
    looks = state.fleet.looks
    running = looks.get("look.run", 0) + looks.get("look.slow", 0)
    spans: list[Span] = [(f"{running} {words('look.run')}", "muted" if stale else "running")]
    for word, tone in _COUNTED:
        if count := _count(state, word):
            spans.append((gap, ""))
            spans.append((f"{count} {words(word)}", "muted" if stale else tone))
    return spans


def _count(state: ConsoleState, word: str) -> int:
    if word != "look.fail":
        return state.fleet.looks.get(word, 0)
    stats = state.fleet.stats
    return stats.failed_today if stats is not None else state.fleet.looks.get(word, 0)


def _fleet_spans(state: ConsoleState, width: int, gap: str) -> list[Span]:
    if not state.fleet.loaded:
        return []
    words = state.words
    nodes = state.fleet.nodes.values()
    online = sum(1 for node in nodes if node.reachable)
    tone = "muted" if state.stale else "" if online == len(nodes) else "stalled"
    spans: list[Span] = [(f"{gap}{words('status.nodes')} {online}/{len(nodes)}", tone)]
    stats = state.fleet.stats
    if stats is not None and width >= 72:
        rate = stats.burn.cost_usd_per_h
        cost = "–" if rate is None else f"${format_cost(rate)}"
        spans.append((f"{gap}{cost}/h", "muted" if state.stale or rate is None else ""))
    return spans


_ADVICE: Final = {
    LossReason.UNAUTHORIZED: "advice.unauthorized",
    LossReason.NO_TOKEN: "advice.no_token",
    LossReason.FORBIDDEN: "advice.forbidden",
    LossReason.UNTRUSTED_CERTIFICATE: "advice.certificate_unusable",
    LossReason.CHANGED_CERTIFICATE: "advice.certificate_changed",
    LossReason.NEEDS_TLS: "advice.needs_tls",
    LossReason.NO_TLS: "advice.no_tls",
    LossReason.VERSION: "advice.version",
}


def _advice(loss: Disconnected) -> str | None:
    """Id of what to do about it."""
    if loss.offered is not None and loss.offered.may_be_trusted:
        return "advice.certificate"
    return _ADVICE.get(loss.reason)


def bar_lines(state: ConsoleState) -> list[tuple[Span, ...]]:
    """The full-width bar of a connection that is late or gone, and of a console that shows the
    past; no lines while all is well.
    """
    return [*_past_lines(state), *_link_lines(state)]


def _past_lines(state: ConsoleState) -> list[tuple[Span, ...]]:
    if state.past is None:
        return []
    text = state.words(
        "rewind.bar",
        time=_clock(state, state.past.at_s),
        behind=_whole_seconds(state.behind_s),
        oldest=_clock(state, state.past.oldest_s),
    )
    return [((text, ""),)]


def _whole_seconds(seconds: float) -> str:
    return format_age(seconds) if seconds < 60 else format_duration(math.floor(seconds))


def _clock(state: ConsoleState, moment_s: float | None) -> str:
    """A clock time in the zone the user chose."""
    return format_clock(moment_s, zone_of(state.preferences.time_format))


def _link_lines(state: ConsoleState) -> list[tuple[Span, ...]]:
    words = state.words
    match state.link_state:
        case LinkState.LIVE:
            return []
        case LinkState.CONNECTING:
            if state.link.attempt <= 1:
                return []
            return [((f"{words('bar.connecting', url=state.target.server_url)}", ""),)]
        case LinkState.LATE:
            age = format_age(state.link.silent_s(state.now_mono_s))
            return [((f"{words('bar.late', age=age)}", ""),)]
        case LinkState.LOST:
            return _lost_lines(state)


def _lost_lines(state: ConsoleState) -> list[tuple[Span, ...]]:
    words = state.words
    loss = state.link.loss
    assert loss is not None
    head = f"{words(f'loss.{loss.reason}')} {_lost_for(state)}"
    if state.link.server_s is not None:
        head += words("bar.as_of", time=_clock(state, state.link.server_s))
    retry = state.link.retry_mono_s
    if retry is not None:
        left = max(0, round(retry - state.now_mono_s))
        head += words("bar.retry_in", s=left)
    elif loss.retry_in_s is not None or state.link.attempt:
        head += words("bar.retrying")
    lines: list[tuple[Span, ...]] = [((head, ""), (words("bar.retry_key"), "key"))]
    if detail := words(f"cause.{loss.cause}") if loss.cause is not None else loss.detail:
        lines.append(((detail, ""),))
    if advice := _advice(loss):
        low, high = loss.server_protocol or (0, 0)
        text = words(
            advice,
            credential=state.target.credential,
            context=state.target.context,
            url=state.target.server_url,
            other=other_scheme(state.target.server_url),
            fingerprint=in_two_lines(loss.fingerprint or "?"),
            known=in_two_lines(loss.known_fingerprint),
            place=loss.known_place,
            low=low,
            high=high,
        )
        lines.extend(((line, ""),) for line in text.split("\n"))
    return lines


def in_two_lines(fingerprint: str) -> str:
    """64 digits do not fit in 80 columns with anything beside them, and a broken pair cannot be
    compared.
    """
    head, colon, digits = fingerprint.partition("SHA256:")
    if head or len(digits) != 95:
        return fingerprint
    return f"{colon}{digits[:48]}\n{' ' * len(colon)}{digits[48:]}"
