"""What a real node counts and writes of its work: `/metrics` on its own port, and its log lines.

The server is killed in between, so that what fails is counted and told too. Sources: contract 4
(node manager) and 16 (tags of the node manager).
"""

import json
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import NodeProcess, ServerProcess, wait_until

LIMIT_S = 30.0
CAPACITY = 5
COUNTERS = {
    "heartbeat": (),
    "heartbeat_errors": (),
    "tasks": ("driver", "status"),
    "container_starts": ("image", "status"),
    "events_reported": ("type",),
    "event_report_errors": ("code",),
    "auth_tasks": ("status",),
    "claims": ("result",),
    "leases_lost": (),
    "events_truncated": (),
}
GAUGES = {
    "tasks_pending": (),
    "tasks_running": (),
    "containers_running": (),
    "auth_tasks_running": (),
    "capacity": (),
    "spool_events": (),
    "spool_bytes": (),
    "spool_limit_bytes": (),
    "spool_oldest_timestamp_seconds": (),
    "build_info": ("version",),
}
HEARTBEAT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
REPORT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
TASK_S = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
HISTOGRAMS = {
    "heartbeat_latency_seconds": ((), HEARTBEAT_S),
    "event_report_latency_seconds": ((), REPORT_S),
    "task_duration_seconds": (("driver", "status"), TASK_S),
    "event_report_batch_events": ((), None),
}
"""Labels, and buckets where the contract names them."""

# It talks until it is hushed, and goes on until the gate is there.
GATED = """
while [ ! -e '{gate}' ]; do
    [ -e '{hush}' ] || echo talking
    sleep 0.05
done
"""


class Seen(NamedTuple):
    """What a node told of runs of every kind, while one of them was still under way."""

    families: dict[str, Metric]
    lines: list[dict[str, Any]]
    runs: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    data_dir = tmp_path_factory.mktemp("node-metrics")
    gate = data_dir / "gate"
    flags = ["--stop-agents", "--capacity", str(CAPACITY)]
    flags += ["--log-format", "json", "--log-level", "debug"]
    try:
        with ServerProcess(data_dir) as server, NodeProcess(server, *flags) as node:
            yield observe(server, node, gate)
    finally:
        gate.touch()


def observe(server: ServerProcess, node: NodeProcess, gate: Path) -> Seen:
    done = server.make_run([sys.executable, "-c", "print('one\\ntwo')"])
    failed = server.make_run(["sh", "-c", "exit 3"])
    missing = server.make_run(["/nowhere/to/be/found"])
    late = server.make_run(["sleep", "60"], timeout_s=1)
    hush = gate.with_name("hush")
    talking = server.make_run(["sh", "-c", GATED.format(gate=gate, hush=hush)])
    server.wait_for_run(talking, "running", limit_s=LIMIT_S)
    for run_id in (done, failed, missing, late):
        server.wait_for_run(run_id, "done", "failed", "timeout", limit_s=LIMIT_S)
    cancelled = server.make_run(["sleep", "60"])
    server.wait_for_run(cancelled, "running", limit_s=LIMIT_S)
    server.post(f"/api/v1/runs/{cancelled}/cancel")
    server.wait_for_run(cancelled, "cancelled", limit_s=LIMIT_S)
    server.kill()
    wait_until(
        lambda: (
            total(families_of(node), "heartbeat_errors_total") >= 1
            and total(families_of(node), "event_report_errors_total") >= 1
        ),
        "both errors",
        LIMIT_S,
    )
    server.start()
    known = server.get(f"/api/v1/runs/{talking}")["last_seq"]
    wait_until(lambda: server.get(f"/api/v1/runs/{talking}")["last_seq"] > known, "more", LIMIT_S)
    hush.touch()
    names = {
        "done": done,
        "failed": failed,
        "missing": missing,
        "late": late,
        "cancelled": cancelled,
        "talking": talking,
    }

    def quiet() -> tuple[dict[str, Metric], dict[str, dict[str, Any]]] | None:
        """What both count, once the node has got every answer and there is nothing more to say."""
        runs = {name: server.get(f"/api/v1/runs/{run_id}") for name, run_id in names.items()}
        families = families_of(node)
        told = total(families, "events_reported_total")
        stored = sum(run["event_count"] for run in runs.values())
        ended = total(families, "tasks_total")
        return (families, runs) if (told, ended) == (stored, len(runs) - 1) else None

    families, runs = wait_until(quiet, "the node to count what the server has", LIMIT_S)
    lines = [json.loads(line) for line in node.log().splitlines() if line.startswith("{")]
    return Seen(families, lines, runs)


def families_of(node: NodeProcess) -> dict[str, Metric]:
    url = f"http://127.0.0.1:{node.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(families: dict[str, Metric], name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each sample of that name, `executor_` left out."""
    found = [sample for family in families.values() for sample in family.samples]
    return [(sample.labels, sample.value) for sample in found if sample.name == f"executor_{name}"]


def total(families: dict[str, Metric], name: str, **labels: str) -> float:
    return sum(
        value
        for told, value in samples(families, name)
        if all(told[label] == wanted for label, wanted in labels.items())
    )


@pytest.mark.timeout(180)
def test_every_name_of_the_contract_is_there_with_its_type_and_labels(seen: Seen) -> None:
    kinds = {
        **dict.fromkeys(COUNTERS, "counter"),
        **dict.fromkeys(GAUGES, "gauge"),
        **dict.fromkeys(HISTOGRAMS, "histogram"),
    }
    wanted = {**COUNTERS, **GAUGES, **{name: labels for name, (labels, _) in HISTOGRAMS.items()}}
    for name, kind in kinds.items():
        family = seen.families[f"executor_{name}"]
        assert family.type == kind, name
        for sample in family.samples:
            assert sample.labels["node_id"] == "n1", name
            assert set(sample.labels) - {"le", "node_id"} == set(wanted[name]), sample


@pytest.mark.timeout(180)
def test_histograms_have_the_buckets_of_the_contract(seen: Seen) -> None:
    for name, (_, wanted) in HISTOGRAMS.items():
        found = {float(told["le"]) for told, _ in samples(seen.families, f"{name}_bucket")}
        assert wanted is None or found == {*map(float, wanted), float("inf")}, name


@pytest.mark.timeout(180)
def test_the_numbers_are_those_of_what_happened(seen: Seen) -> None:
    families = seen.families

    def of(name: str, **labels: str) -> float:
        return total(families, name, **labels)

    assert of("capacity") == CAPACITY
    assert (of("tasks_running"), of("tasks_pending")) == (1, 0)
    ended = {"done": 1, "failed": 2, "cancelled": 1, "timeout": 1}
    for status, count in ended.items():
        assert of("tasks_total", driver="command", status=status) == count
        assert of("task_duration_seconds_count", driver="command", status=status) == count
    assert of("tasks_total") == of("task_duration_seconds_count") == sum(ended.values())
    assert of("task_duration_seconds_sum", status="timeout") > 0
    assert of("claims_total", result="claimed") == len(seen.runs)
    assert of("claims_total", result="refused") == of("leases_lost_total") == 0
    assert of("events_reported_total", type="run_started") == len(seen.runs) - 1
    assert of("events_reported_total") == sum(run["event_count"] for run in seen.runs.values())
    assert of("event_report_batch_events_sum") == of("events_reported_total")
    tries = of("event_report_latency_seconds_count")
    assert tries == of("event_report_batch_events_count") + of("event_report_errors_total")
    assert of("event_report_errors_total", code="unreachable") >= 1
    # One may be on its way.
    assert of("heartbeat_total") - of("heartbeat_latency_seconds_count") in {0, 1}
    assert of("heartbeat_total") > of("heartbeat_errors_total") >= 1
    assert of("spool_limit_bytes") > 0
    assert [value for _, value in samples(families, "build_info")] == [1]


@pytest.mark.timeout(180)
def test_series_of_closed_sets_begin_at_zero(seen: Seen) -> None:
    def values(name: str, label: str) -> set[str]:
        return {told[label] for told, _ in samples(seen.families, name)}

    assert values("tasks_total", "status") == {"done", "failed", "cancelled", "timeout"}
    assert values("claims_total", "result") == {"claimed", "adopted", "refused", "failed"}
    assert {"lease_lost", "overloaded", "seq_conflict"} <= values(
        "event_report_errors_total", "code"
    )
    assert {"claude-code", "command", "other"} <= values("tasks_total", "driver")
    assert {"message", "run_failed", "other"} <= values("events_reported_total", "type")


@pytest.mark.timeout(180)
def test_a_runs_way_through_the_node_is_in_its_lines(seen: Seen) -> None:
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in seen.lines:
        if line["tag"] != "event.report" and "run_id" in line:
            told[line["run_id"]].append(line)
    way = ["run.claim", "run.execute", "process.start", "process.stop", "run.end"]
    for name in ("done", "failed"):
        run = seen.runs[name]
        lines = told[run["id"]]
        assert [line["tag"] for line in lines] == way, name
        for line in lines:
            assert (line["epoch"], line["agent_type"]) == (1, "command")
        assert lines[-1]["status"] == run["status"]
        assert lines[-1]["exit_code"] == run["exit_code"]
        assert lines[-1]["duration_ms"] >= 0
        assert lines[2]["pid"] > 1
    assert [line["reason"] for line in told[seen.runs["cancelled"]["id"]] if "reason" in line] == [
        "user"
    ]
    assert [line["tag"] for line in told[seen.runs["late"]["id"]]].count("run.cancel") == 1
    (end,) = [line for line in told[seen.runs["missing"]["id"]] if line["tag"] == "run.end"]
    assert (end["level"], end["code"]) == ("info", "agent_missing")


@pytest.mark.timeout(180)
def test_each_report_of_events_is_told_with_its_answer(seen: Seen) -> None:
    reports = [line for line in seen.lines if line["tag"] == "event.report"]
    stored = [line for line in reports if line["level"] == "debug"]
    retried = [line for line in reports if line["level"] == "warning"]
    counted: Counter[str] = Counter()
    for line in stored:
        assert line["status"] in {200, 201}
        assert line["count"] == line["to_seq"] - line["from_seq"] + 1
        assert line["spool_events"] >= line["count"]
        counted[line["run_id"]] += line["count"]
    for name, run in seen.runs.items():
        if name != "talking":
            assert counted[run["id"]] == run["event_count"], name
    assert retried
    for line in retried:
        assert {"run_id", "count", "from_seq", "to_seq", "attempt", "spool_events"} <= set(line)
        assert line["code"] == "unreachable" or line["status"] >= 500
    assert retried[0]["attempt"] == 1


@pytest.mark.timeout(180)
def test_heartbeats_are_told_for_those_who_look_closely(seen: Seen) -> None:
    beats = [line for line in seen.lines if line["tag"] == "node.heartbeat"]
    quiet = [line for line in beats if line["level"] == "debug" and "lease_count" in line]
    assert quiet
    assert quiet[-1]["capacity"] == CAPACITY
    assert max(line["running"] for line in quiet) >= 1
    warned = [line for line in beats if line["level"] == "warning"]
    assert [line["code"] for line in warned][:1] == ["unreachable"]
