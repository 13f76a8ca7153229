"""What is known of one run or node, as labelled facts; pure.

Why a run is as it is: `explanation`.
"""

from dataclasses import dataclass

from runwatch_console.attention import health_text
from runwatch_console.columns import ended_text, short_agent
from runwatch_console.formats import (
    UNKNOWN,
    format_amount,
    format_cost,
    format_duration,
    format_rate,
)
from runwatch_console.lens import Lens
from runwatch_console.locale.words import counted
from runwatch_console.looks import look_of_node, look_of_run
from runwatch_console.rows import NodeRow, RunRow
from runwatch_console.told import queue_words


@dataclass(frozen=True, slots=True)
class Fact:
    """A label (id of the locale, or empty to go on below the last one), its text and tone."""

    label: str
    text: str
    tone: str = ""


def head_spans(run: RunRow, lens: Lens) -> tuple[tuple[str, str], ...]:
    """A run in one line: state, age, id, name, agent and node, money, tools."""
    look = look_of_run(run)
    spans = [
        (lens.look(look), look.tone),
        (f" {lens.age(run.age_s(lens.now_s))}  ", ""),
        (run.id, "id"),
        (f"  {run.name}", "title"),
        (f"  {short_agent(run.agent)} @ {run.node or UNKNOWN}", "muted"),
    ]
    if run.ended and run.took_s(lens.now_s) is not None:
        spans.append((f"  {_took(run, lens)}", ""))
    if run.tokens is not None:
        spans.append((f"  {format_amount(run.tokens)} tok", ""))
    if run.cost_usd is not None:
        rate = "" if run.cost_per_h is None else f" ({format_rate(run.cost_per_h)}/h)"
        spans.append((f"  ${format_cost(run.cost_usd)}{rate}", ""))
    if run.tool_calls:
        spans.append((f"  {run.tool_calls}", ""))
        spans.append((f" {run.tool_failures}✕" if run.tool_failures else "", "failed"))
    return tuple(spans)


def _took(run: RunRow, lens: Lens) -> str:
    return lens.words("fact.took", t=format_duration(run.took_s(lens.now_s)))


def why_text(run: RunRow, lens: Lens) -> tuple[str, str]:
    """The one sentence that matters now, and its tone."""
    if run.ended:
        return ended_text(run, lens), "failed" if run.status in ("failed", "timeout") else "muted"
    if run.wait is not None:
        due = "" if run.wait.deadline_s is None else f" · {lens.due(run.wait.deadline_s)}"
        kind = lens.words(f"wait.{run.wait.kind}")
        return f"{kind}: {run.wait.prompt}{due}", "waiting"
    if run.state == "unknown":
        return lens.words("why.unknown", node=run.node or "?"), "unknown"
    if run.health != "ok":
        return f"{health_text(run, lens)} · {run.activity}".removesuffix(" · "), "stalled"
    if run.queue_reason:
        return queue_words(run, lens.words), "queued"
    return run.activity, ""


def run_facts(run: RunRow, lens: Lens) -> list[Fact]:
    """Everything a row knows, for peek and explain."""
    why, tone = why_text(run, lens)
    look = look_of_run(run)
    facts = [
        Fact("fact.state", f"{lens.look(look)} · {run.status} · {run.progress}%", look.tone),
        Fact("fact.now", why or UNKNOWN, tone),
        Fact("fact.run", f"{run.id}  {run.name}"),
        Fact("fact.where", f"{run.agent} @ {run.node or UNKNOWN}{_model(run)}"),
        Fact("fact.began", _times(run, lens)),
        Fact("fact.activity", _activity(run, lens)),
        Fact("fact.usage", _usage(run)),
        Fact("fact.tools", _tools(run, lens)),
    ]
    if run.error or run.error_code or run.exit_code:
        facts.append(Fact("fact.error", ended_text(run, lens), "failed"))
    if run.labels:
        facts.append(
            Fact("fact.labels", " ".join(f"{k}={v}" for k, v in sorted(run.labels.items())))
        )
    note = f" · {run.source_note}" if run.source_note else ""
    said = lens.words(f"source.{run.source_kind}")
    facts.append(Fact("fact.source", f"{said} · {lens.since(run.source_s)}{note}", _inferred(run)))
    return facts


def _inferred(run: RunRow) -> str:
    return "unknown" if run.source_kind == "inferred" else "muted"


def _model(run: RunRow) -> str:
    return f" · {run.model}" if run.model else ""


def _times(run: RunRow, lens: Lens) -> str:
    parts = [lens.words("fact.created", at=lens.since(run.created_s))]
    if run.queue_wait_ms is not None:
        parts.append(lens.words("fact.queued_for", t=format_duration(run.queue_wait_ms / 1000)))
    if run.started_s is not None:
        parts.append(lens.words("fact.started", at=lens.since(run.started_s)))
    if run.ended_s is not None:
        parts.append(lens.words("fact.ended", at=lens.since(run.ended_s)))
    if run.ended and run.started_s is not None:
        parts.append(_took(run, lens))
    return " · ".join(parts)


def _activity(run: RunRow, lens: Lens) -> str:
    silent = None if run.last_activity_s is None else lens.now_s - run.last_activity_s
    parts = [UNKNOWN if silent is None else lens.words("fact.ago", age=lens.age(silent))]
    if run.activity:
        parts.append(run.activity)
    parts.append(counted(lens.words, "fact.events", run.event_count))
    return " · ".join(parts)


def _usage(run: RunRow) -> str:
    if run.tokens is None:
        return UNKNOWN
    cost = UNKNOWN if run.cost_usd is None else f"${format_cost(run.cost_usd)}"
    rate = "" if run.cost_per_h is None else f" · ${format_rate(run.cost_per_h)}/h"
    split = (
        f"in {format_amount(run.input_tokens)} out {format_amount(run.output_tokens)} "
        f"cache {format_amount(run.cache_tokens)}"
    )
    return f"{cost}{rate} · {format_amount(run.tokens)} tok ({split})"


def _tools(run: RunRow, lens: Lens) -> str:
    return lens.words(
        "fact.tool_counts", calls=run.tool_calls, failures=run.tool_failures, open=run.open_tools
    )


def node_facts(node: NodeRow, lens: Lens) -> list[Fact]:
    """Everything known of a node."""
    look = look_of_node(node)
    facts = [
        Fact("fact.state", f"{lens.look(look)} · {node.admin_status}", look.tone),
        Fact("fact.node", f"{node.id} {node.name if node.name != node.id else ''} {node.hostname}"),
        Fact("fact.heartbeat", lens.since(node.heartbeat_s), "" if node.reachable else "failed"),
        Fact("fact.slots", lens.words("fact.slot_counts", used=node.allocated, all=node.capacity)),
        Fact("fact.agents", ", ".join(node.agents) or UNKNOWN),
    ]
    facts += [Fact("", agent, "waiting") for agent in node.agents_not_ready]
    if node.runtimes:
        facts.append(Fact("fact.runtimes", ", ".join(node.runtimes)))
    if node.skew_ms is not None:
        tone = "stalled" if abs(node.skew_ms) > 1000 else ""
        facts.append(Fact("fact.skew", f"{node.skew_ms:+,} ms", tone))
    if node.spool_events:
        facts.append(Fact("fact.spool", counted(lens.words, "fact.events", node.spool_events)))
    if node.labels:
        facts.append(
            Fact("fact.labels", " ".join(f"{k}={v}" for k, v in sorted(node.labels.items())))
        )
    if node.version:
        facts.append(Fact("fact.version", node.version))
    return [*facts, _ledger(node, lens)]


def _ledger(node: NodeRow, lens: Lens) -> Fact:
    """What it was given against what it reports, as two sums."""
    slots = node.slots
    if slots is None:
        return Fact("fact.ledger", lens.words("fact.no_ledger"), "unknown")
    if slots.real is None:
        return Fact("fact.ledger", lens.words("fact.ledger_unknown", n=node.allocated), "unknown")
    text = lens.words(
        "fact.ledger_counts",
        allocated=node.allocated,
        pending=slots.pending,
        matched=slots.matched,
        phantom=slots.phantom,
        real=slots.real,
        orphan=slots.orphan,
    )
    return Fact("fact.ledger", text, "stalled" if slots.phantom or slots.orphan else "")
