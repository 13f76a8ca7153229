"""What `/metrics` of a running server and a running node say once runs of every ending went by.

That the names are the documented ones is tested under tests/packaging; here the samples are there.
"""

import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import NodeProcess, ServerProcess, fleet, wait_until

PARTS = ("server", "node")
EVENTS = "executor_events_reported_total"
ENDINGS = {"done": 1, "failed": 2, "cancelled": 1}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The text of both, after runs that were done, failed, were cancelled and never began."""
    data_dir = tmp_path_factory.mktemp("metrics")
    with fleet(data_dir, "--stop-agents") as (server, node):
        quick = [
            server.make_run([sys.executable, "-c", "print('one\\ntwo')"], name="完成"),
            server.make_run(["sh", "-c", "exit 3"], name='a "quoted" \\ name'),
            server.make_run(["/nowhere/to/be/found"]),
        ]
        endless = server.make_run(["sleep", "60"])
        for run_id in quick:
            server.wait_for_run(run_id, "done", "failed")
        server.wait_for_run(endless, "running")
        server.post(f"/api/v1/runs/{endless}/cancel")
        server.wait_for_run(endless, "cancelled")
        assert server.request("GET", "/api/v1/runs/run-000000000000")[0] == 404
        # The node counts an ending when the server has answered it.
        wait_until(
            lambda: counted(of_node(node), "executor_tasks_total", "status") == ENDINGS,
            "the node's own count",
        )
        yield {"server": of_server(server), "node": of_node(node)}


def of_server(server: ServerProcess) -> str:
    request = urllib.request.Request(
        f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request, timeout=10, context=server.tls()) as answer:
        text: str = answer.read().decode()
    return text


def of_node(node: NodeProcess) -> str:
    url = f"http://127.0.0.1:{node.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.timeout(90)
@pytest.mark.parametrize("part", PARTS)
def test_promtool_has_nothing_to_say_after_runs_of_every_ending(
    exposed: dict[str, str], part: str
) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (make test installs it)")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposed[part],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.timeout(90)
def test_the_server_and_its_node_counted_the_same_runs_and_events(
    exposed: dict[str, str],
) -> None:
    server, node = exposed["server"], exposed["node"]
    created = counted(server, "runwatch_ingest_events_total", "result")

    assert counted(node, "executor_tasks_total", "status") == ENDINGS
    assert counted(server, "api_run_duration_seconds_count", "status") == ENDINGS
    assert created == {"created": sum(counted(node, EVENTS, "type").values())}
    assert counted(server, "runwatch_requests_rejected_total", "code")["not_found"] >= 1


def counted(text: str, name: str, label: str) -> dict[str, float]:
    """What a metric counted, summed by one of its labels; what is zero is left out."""
    sums: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                sums[sample.labels[label]] += int(sample.value)
    return {value: count for value, count in sums.items() if count}
