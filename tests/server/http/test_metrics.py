"""The metrics have their documented names, types and labels (contract 4)."""

import asyncio
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.packaging.test_docs import documented_metrics
from tests.server.http.house import House, event

RUNTIME = ("process_", "python_")


def families(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and label names by metric, under the names samples have."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for family in text_string_to_metric_families(text):
        kind = "untyped" if family.type == "unknown" else family.type
        name = f"{family.name}_total" if kind == "counter" else family.name
        labels = frozenset(label for sample in family.samples for label in sample.labels)
        found[name] = (kind, labels - {"le"})
    return found


async def some_traffic(house: House) -> None:
    run_id, epoch = await house.held_run()
    usage = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.25}
    events = [
        event(1, "run_started"),
        event(2, "tool_use_start", id="a", tool="Bash", input={}),
        event(3, "tool_result", id="a", success=False),
        event(4, "message", role="assistant", content="hi", usage=usage),
        event(5, "run_completed", status="done"),
    ]
    body = {"epoch": epoch, "events": events}
    await house.make(f"/api/v1/runs/{run_id}/events", body, who="node")
    await house.send("GET", f"/api/v1/runs/{run_id}", who=None)
    await house.get("/api/v1/nodes/node-1/runs", who="node", wait=0)


async def test_every_documented_metric_is_there_with_its_type_and_labels(house: House) -> None:
    await some_traffic(house)
    found = families(await house.metrics())
    documented = documented_metrics("Server")
    own = {name: shape for name, shape in found.items() if not name.startswith(RUNTIME)}
    assert own == documented
    assert any(name.startswith("process_") for name in found)
    assert any(name.startswith("python_") for name in found)


async def test_series_of_enums_are_at_zero_from_the_start(house: House) -> None:
    text = await house.metrics()
    for series in (
        'api_runs_total{agent_type="claude-code",status="timeout"} 0.0',
        'api_tasks_total{status="pending"} 0.0',
        'runwatch_workflows{state="unknown",type="run"} 0.0',
        'runwatch_ingest_refused_total{code="seq_conflict"} 0.0',
        'runwatch_lease_expirations_total{outcome="kept"} 0.0',
        'runwatch_websocket_closes_total{channel="run",code="1013"} 0.0',
        'runwatch_tokens_total{agent_type="other",kind="cache_write"} 0.0',
        'runwatch_auth_total{kind="password",result="invalid_login"} 0.0',
        'runwatch_node_slots{kind="phantom"} 0.0',
    ):
        labels = re.escape(series)
        assert re.search(rf"^{labels}$", text, re.MULTILINE) or _any_order(series, text), series


def _any_order(series: str, text: str) -> bool:
    name, labels, value = re.fullmatch(r"(\w+){(.*)} (.*)", series).groups()  # type: ignore[union-attr]
    wanted = set(labels.split(","))
    return any(
        set(found.split(",")) == wanted
        for found in re.findall(rf"^{name}{{(.*)}} {re.escape(value)}$", text, re.MULTILINE)
    )


async def test_requests_are_counted_alike_under_both_names_by_template(house: House) -> None:
    await some_traffic(house)
    await house.send("GET", "/no/such/path")
    await house.send("BREW", "/health")
    text = await house.metrics()
    lines = [line for line in text.splitlines() if "_requests_total{" in line]
    old = {line for line in lines if line.startswith("http_")}
    new = {line.removeprefix("api_") for line in lines if line.startswith("api_http_")}
    assert old == new
    assert any('path="/api/v1/runs/{id}",status="401"' in line for line in old)
    assert any('path="unmatched",status="404"' in line for line in old)
    assert any('method="OTHER",path="/health",status="405"' in line for line in old)
    assert "run-" not in "".join(lines)
    assert re.search(r"^runwatch_long_poll_seconds_count 1.0$", text, re.MULTILINE)
    assert 'request_duration_seconds_count{method="GET",path="/api/v1/nodes/{id}/runs"}' not in text


async def test_what_runs_did_is_counted_by_a_known_agent_type(house: House) -> None:
    await some_traffic(house)
    text = await house.metrics()
    for series in (
        'runwatch_tokens_total{agent_type="command",kind="input"} 10.0',
        'runwatch_cost_usd_total{agent_type="command"} 0.25',
        'runwatch_tool_calls_total{agent_type="command",outcome="failure"} 1.0',
        'runwatch_tool_calls_total{agent_type="command",outcome="success"} 0.0',
        'runwatch_ingest_events_total{result="created"} 5.0',
        'runwatch_leases_active{kind="explicit"} 0.0',
        "runwatch_queue_wait_seconds_count 1.0",
        "api_nodes_online 1.0",
        "api_nodes_total 1.0",
    ):
        assert f"\n{series}\n" in text, series
    assert _any_order(
        'api_run_duration_seconds_count{agent_type="command",status="done"} 1.0', text
    )
    assert _any_order('api_runs_total{agent_type="command",status="done"} 1.0', text)


async def test_promtool_finds_nothing(house: House) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    await some_traffic(house)
    text = await house.metrics()
    command = [promtool, "check", "metrics"]
    checked = await asyncio.to_thread(
        subprocess.run, command, input=text, capture_output=True, check=False, text=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_openmetrics_is_given_where_it_is_asked(house: House) -> None:
    answer = await house.send(
        "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    plain = await house.send("GET", "/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_a_thousand_runs_make_no_more_series(house: House) -> None:
    async def some_runs(numbers: range) -> None:
        """Each with names, labels and an agent of its own."""
        for number in numbers:
            agent = {"type": f"agent-{number}", "parameters": {"argv": [f"{number}"]}}
            labels = {f"label-{number}": f"value-{number}"}
            await house.run(
                name=f"name-{number}", prompt=f"prompt-{number}", agent=agent, labels=labels
            )

    await some_traffic(house)
    await some_runs(range(1))
    await house.metrics()
    before = series(await house.metrics())
    for _ in range(3):
        await some_traffic(house)
    await some_runs(range(1, 1000))
    text = await house.metrics()
    assert series(text) == before
    assert not re.search(r"(agent|name|label|value|prompt)-\d|run-|task-", text)


def series(text: str) -> set[str]:
    """Names and labels, without what they count."""
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
