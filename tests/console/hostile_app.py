"""A console before a server whose every text is hostile, for a real terminal: `python -m
tests.console.hostile_app`.

With the argument `benign` every text is harmless, so that what the terminal gets can be compared.
"""

import sys
from typing import Any

from runwatch_console.app import ConsoleApp
from runwatch_console.locale.words import Words
from runwatch_console.ports import Connected, Target
from runwatch_console.state import Preferences
from runwatch_shared.instances import InstanceList
from runwatch_shared.ledger import LedgerRow
from runwatch_shared.models import AgentOffer
from runwatch_shared.proxies import EnvConfig, ProxyList
from tests.console import hostile, machines, records
from tests.console.scripted import Script

LOGIN_FACTS = (
    "account_id", "user_code", "verify_url", "phase", "message", "method", "input_prompt",
    "operation_id",
)  # fmt: skip


def hostile_script(bad: str) -> Script:
    """A fleet, logs and details that say `bad` wherever outside text may stand."""
    script = Script()
    rows = [
        records.summary(
            f"run-{i:012x}",
            status,
            name=bad,
            activity_text=bad,
            node_id=bad,
            agent_type=bad,
            error=bad if status == "failed" else None,
            error_code=bad if status == "failed" else None,
            exit_code=1 if status == "failed" else None,
            queue_reason=bad if status == "queued" else None,
            queue_reason_code="full" if status == "queued" else None,
            health="looping" if status == "running" and i % 2 else "ok",
            health_reason=bad,
            waiting=records.waiting(bad) if i == 0 else None,
            labels={bad: bad},
            usage=records.usage(10, 0.1, model=bad),
        )
        for i, status in enumerate(["running", "running", "queued", "failed", "done", "running"])
    ]
    for row in rows:
        script.api.logs[row.id] = [
            records.event(1, "message", {"content": bad, "lane": bad}),
            records.event(2, "tool_use_start", {"tool": bad, "input": {bad: bad}}),
            records.event(3, "tool_result", {"success": False, "output": bad, "error": bad}),
            records.event(4, "command_output", {"stdout": bad}),
            records.event(5, "approval_request", {"prompt": bad}),
            records.event(6, "x_other", {bad: [bad, {bad: bad}]}),
        ]
        detail = records.detail(row)
        script.api.details[row.id] = type(detail)(
            **{name: getattr(detail, name) for name in detail.__struct_fields__}
            | {
                "tools": [type(tool)(**_of(tool) | {"tool": bad}) for tool in detail.tools],
                "lanes": [
                    type(lane)(**_of(lane) | {"lane": bad, "open_tool": bad})
                    for lane in detail.lanes
                ],
                "steps": [type(step)(**_of(step) | {"name": bad}) for step in detail.steps],
            }
        )  # fmt: skip
    node = records.node(
        "n1",
        "offline",
        display_name=bad,
        hostname=bad,
        version=bad,
        labels={bad: bad},
        agents=[AgentOffer(type=bad), AgentOffer(type=bad, ready=False, reason=bad)],
        runtimes=[bad],
    )
    rows.append(records.login(metadata=dict.fromkeys(LOGIN_FACTS, bad), node_id=bad))
    script.feed.say(
        Connected(hello=records.hello(version=bad)),
        records.snapshot(rows, [node], accounts=[records.account("claude-code_x", name=bad)]),
    )
    script.api.answers |= {
        ("GET", "/api/v1/instances"): InstanceList(
            instances=[machines.instance(name=bad, account_id=bad, error=bad)], count=1
        ),
        ("GET", "/api/v1/proxies"): ProxyList(
            proxies=[machines.proxy(name=bad, host=bad, username=bad, no_proxy=bad)], count=1
        ),
        ("GET", "/api/v1/nodes/n1/env-config"): EnvConfig(env_vars={bad: bad}),
    }
    line = LedgerRow(run_id=bad, class_="orphan", since=records.at(), reason=bad)
    script.api.ledgers["n1"] = machines.ledger("n1", rows=[line])
    return script


def _of(record: object) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}  # type: ignore[attr-defined]


def hostile_app(bad: str) -> ConsoleApp:
    """The console before that server; the target is hostile too."""
    return ConsoleApp(
        target=Target(context=bad, server_url=bad, credential=bad),
        connect=hostile_script(bad).connect,
        preferences=Preferences(words=Words("en")),
        environment={},
    )


if __name__ == "__main__":
    hostile_app("benign" if "benign" in sys.argv else hostile.ALL.replace("\udc80\udcff", "")).run()
