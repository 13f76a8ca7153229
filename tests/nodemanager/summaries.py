"""What a recorded session comes to, in counts and totals: small enough for a person to check.

Never its text: the recordings are others' work, and stay where they are.
"""

from collections import Counter
from typing import Any

from runwatch_nodemanager.agents.protocol import Draft
from tests.nodemanager.recordings import fold_usage

CALLS = {"tool_use_start", "command"}


def outcome_of(draft: Draft) -> str | None:
    """How an event says that a call ended, by contract 9.3; ``None`` for one that ends none."""
    if draft.type == "tool_result":
        good = draft.payload.get("success")
        return "not known" if good is None else "ok" if good else "failed"
    if draft.type == "command_output" and "exit_code" in draft.payload:
        return "failed" if draft.payload["exit_code"] else "ok"
    return None


def call_facts(drafts: list[Draft]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Tool by call id, outcome by call id, and ids of results that no call went before."""
    begun: dict[str, str] = {}
    ended: dict[str, str] = {}
    strays = []
    for draft in drafts:
        call_id = str(draft.payload.get("id"))
        if draft.type in CALLS:
            assert call_id not in begun, f"{call_id} names two calls"
            begun[call_id] = draft.payload.get("tool", "command")
        elif (outcome := outcome_of(draft)) is not None:
            if call_id not in begun or call_id in ended:
                strays.append(call_id)
                continue
            assert isinstance(draft.payload.get("duration_ms"), int)
            ended[call_id] = outcome
    return begun, ended, strays


def summary_of(lines: list[str], drafts: list[Draft], unknown_lines: int) -> dict[str, Any]:
    """``drafts`` are all events of the run, its terminal one last."""
    begun, ended, strays = call_facts(drafts)
    tools: dict[str, Counter[str]] = {}
    for call_id, tool in begun.items():
        tools.setdefault(tool, Counter())[ended.get(call_id, "open")] += 1
    events = Counter(draft.type for draft in drafts)
    plans = [draft.payload["items"] for draft in drafts if "items" in draft.payload]
    last = drafts[-1]
    kept = ("status", "error_code", "exit_code")
    return {
        "lines": len(lines),
        "unknown_lines": unknown_lines,
        "events": dict(sorted(events.items())),
        "tools": {tool: dict(sorted(counts.items())) for tool, counts in sorted(tools.items())},
        "results_without_call": len(strays),
        "lanes": sorted({str(d.payload["lane"]) for d in drafts if "lane" in d.payload}),
        "plan": [sum(item["done"] for item in plans[-1]), len(plans[-1])] if plans else None,
        "models": sorted({d.payload["model"] for d in drafts if d.payload.get("model")}),
        "usage": fold_usage(drafts) or None,
        "end": {"type": last.type} | {k: last.payload[k] for k in kept if k in last.payload},
    }
