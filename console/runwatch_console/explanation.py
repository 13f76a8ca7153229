"""Why a run is queued, waits, is unhealthy, unknown or over, as labelled facts of the server; pure.

Which events show it is `inquiry`'s.
"""

from collections.abc import Mapping
from typing import Final

from runwatch_console.columns import ended_text
from runwatch_console.facts import Fact
from runwatch_console.formats import format_age, format_count
from runwatch_console.inquiry import Evidence
from runwatch_console.lens import Lens
from runwatch_console.rows import RunRow
from runwatch_console.told import code_words, health_words, misfit_text, queue_words
from runwatch_shared.models import WorkflowDetail
from runwatch_shared.text import clean

NO_THRESHOLDS: Final[Mapping[str, int]] = {}


def explanation(
    run: RunRow,
    detail: WorkflowDetail | None,
    lens: Lens,
    thresholds: Mapping[str, int] = NO_THRESHOLDS,
) -> list[Fact]:
    """Why a run is as it is, each cause with since when and by which rule, then who said it."""
    facts = [
        *_why_waiting(run, lens),
        *_why_unhealthy(run, lens, thresholds),
        *_why_queued(run, detail, lens),
        *_why_unknown(run, lens),
        *_why_ended(run, lens),
    ]
    if run.cancelling:
        facts.append(Fact("explain.cancel", lens.words("explain.cancelling"), "waiting"))
    if not facts:
        facts.append(Fact("explain.nothing", lens.words("explain.healthy"), "done"))
    return [*facts, _source(run, lens)]


def _why_waiting(run: RunRow, lens: Lens) -> list[Fact]:
    wait = run.wait
    if wait is None:
        return []
    kind = lens.words(f"wait.{wait.kind}")
    facts = [
        Fact("explain.waits", f"{kind}: {wait.prompt}", "waiting"),
        Fact("explain.since", lens.since(wait.since_s)),
    ]
    if wait.open > 1:
        facts.append(Fact("", lens.words("explain.open_waits", n=wait.open)))
    if wait.deadline_s is not None:
        then = lens.words(f"expiry.{wait.on_expiry or 'unsaid'}")
        facts.append(Fact("explain.deadline", f"{lens.until(wait.deadline_s)} · {then}"))
    if wait.holds_slot:
        facts.append(Fact("", lens.words("explain.holds_slot", node=run.node or "?")))
    return facts


def _why_unhealthy(run: RunRow, lens: Lens, thresholds: Mapping[str, int]) -> list[Fact]:
    if run.health == "ok" or run.ended:
        return []
    reason = health_words(run.health_reason, lens.words) or run.health
    facts = [Fact("explain.health", reason, "stalled")]
    if run.health_since_s is not None:
        facts.append(Fact("explain.since", lens.since(run.health_since_s)))
    if rule := rule_text(run.health, thresholds, lens):
        facts.append(Fact("explain.rule", rule, "muted"))
    if run.last_activity_s is not None and not run.queue_reason:
        silent = lens.age(lens.now_s - run.last_activity_s)
        facts.append(Fact("explain.silent", f"{silent} · {run.activity}".removesuffix(" · ")))
    if run.tool_calls or run.open_tools:
        text = lens.words(
            "fact.tool_counts",
            calls=run.tool_calls,
            failures=run.tool_failures,
            open=run.open_tools,
        )
        facts.append(Fact("explain.tools", text))
    return facts


def rule_text(health: str, thresholds: Mapping[str, int], lens: Lens) -> str:
    """When the server sets this flag, by its own thresholds; empty where it did not say."""
    names = _RULES.get(health, ())
    if not names or any(name not in thresholds for name in names):
        return ""
    shown = {
        name: format_age(thresholds[name]) if name.endswith("_s") else thresholds[name]
        for name in names
    }
    return lens.words(f"rule.{health}", **shown)


_RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "looping": ("looping_calls", "looping_window"),
    "stalled": ("stalled_s",),
    "slow": ("slow_s",),
    "stuck_queued": ("stuck_queued_s",),
    "waiting_long": ("waiting_long_s",),
}


def _why_queued(run: RunRow, detail: WorkflowDetail | None, lens: Lens) -> list[Fact]:
    if not run.queue_reason:
        return []
    rows = detail.queue_detail if detail is not None else []
    nodes = [
        f"{clean(row.node_id, limit=128, fold=True)}: "
        f"{misfit_text(clean(row.text, limit=300, fold=True), lens.words)}"
        for row in rows
    ]
    facts = [Fact("explain.queued", queue_words(run, lens.words), "queued")]
    if run.created_s is not None:
        facts.append(Fact("explain.since", lens.since(run.created_s)))
    return [*facts, *(Fact("", text, "muted") for text in nodes)]


def _why_unknown(run: RunRow, lens: Lens) -> list[Fact]:
    if run.state != "unknown":
        return []
    why = lens.words("why.unknown", node=run.node or "?")
    facts = [Fact("explain.unknown", why, "unknown")]
    if run.lease_expires_s is not None:
        facts.append(Fact("explain.lease", lens.until(run.lease_expires_s)))
    return facts


def _why_ended(run: RunRow, lens: Lens) -> list[Fact]:
    if not run.ended:
        return []
    tone = "failed" if run.status in ("failed", "timeout") else "done"
    text = f"{run.status} · {ended_text(run, lens)}".removesuffix(" · ")
    facts = [Fact("explain.ended", text, tone)]
    if run.ended_s is not None:
        facts.append(Fact("explain.when", lens.since(run.ended_s)))
    if run.error_code:
        facts.append(Fact("explain.code", code_words(run.error_code, lens.words)))
    if run.exit_code is not None and run.exit_code > 128:
        facts.append(Fact("", lens.words("explain.signal", n=run.exit_code - 128)))
    return facts


def _source(run: RunRow, lens: Lens) -> Fact:
    note = f" · {run.source_note}" if run.source_note else ""
    said = lens.words(f"source.{run.source_kind}")
    tone = "unknown" if run.source_kind == "inferred" else "muted"
    return Fact("explain.source", f"{said} · {lens.since(run.source_s)}{note}", tone)


def evidence_text(piece: Evidence, lens: Lens) -> tuple[str, str, str]:
    """Why an event is shown, what it says, and its number."""
    line = piece.line
    said = f"{line.glyph} {line.label} {line.text}".strip()
    return lens.words(f"evidence.{piece.why}"), said, format_count(line.seq)
