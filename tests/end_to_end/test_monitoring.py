"""Every query of every dashboard and rule, put to a real Prometheus.

It scraped a real server and a real node by TLS while runs went by; what is rightly empty then is
listed with the reason.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from websockets.sync.client import ClientConnection, connect

from tests.processes import ManagedProcess, NodeProcess, ServerProcess, free_port, wait_until

DEPLOYMENTS: Final = Path(__file__).resolve().parents[2] / "deployments"
DASHBOARDS: Final = sorted((DEPLOYMENTS / "grafana/dashboards").glob("*.json"))
PROGRAM: Final = shutil.which("prometheus")
OWN: Final = re.compile(r"(?<![\w:.\"])(?:runwatch[_:]|api_|http_|executor_|process_|up\b)[\w:]*")
SELECTOR: Final = re.compile(r"([a-z_][\w:]*)\{([^}]*)\}")
MATCHER: Final = re.compile(r'(\w+)=~?"([^"]*)"')
EMPTY: Final = {
    "histogram_quantile(0.95, sum by (driver, le)": "of agents that had no run",
    "histogram_quantile(0.95, sum by (operation, le)": "of operations that did not happen",
}
"""How an expression begins of which some series may be no number, and which those are."""
LIMIT_S: Final = 30.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed"),
]


class Prometheus(ManagedProcess):
    """One with the configuration that is in `deployments`, every second instead of every 15 s."""

    def __init__(self, folder: Path, server: ServerProcess, node: NodeProcess) -> None:
        configuration = folder / "configuration"
        shutil.copytree(DEPLOYMENTS / "prometheus", configuration)
        file = configuration / "prometheus.yml"
        quick = re.sub(r"(_interval|_timeout): 1[05]s", r"\1: 1s", file.read_text())
        assert quick.count(": 1s") == 3
        file.write_text(quick)
        shutil.copy(server.data_dir / "tls/ca.pem", configuration / "ca.pem")
        made = server.post("/api/v1/auth/tokens", {"name": "prometheus", "scope": "viewer"})
        (configuration / "token").write_text(made["token"])
        targets = {"servers": server.port, "nodes": node.metrics_port}
        (configuration / "targets").mkdir()
        for name, port in targets.items():
            (configuration / f"targets/{name}.json").write_text(
                json.dumps([{"targets": [f"127.0.0.1:{port}"]}])
            )
        self.port = free_port()
        command = [
            str(PROGRAM),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        super().__init__("prometheus", command, folder)

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expr: str) -> list[str]:
        """What an expression is now; a refused one fails the test with its text."""
        try:
            result = self.ask("query", query=expr)["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from None
        return [each["value"][1] for each in result]

    def scraped(self) -> bool:
        if not self.running:
            raise AssertionError(self.log())
        try:
            targets = self.ask("targets")["activeTargets"]
        except OSError:
            return False
        jobs = {each["labels"]["job"] for each in targets if each["health"] == "up"}
        return jobs == {"runwatch-server", "runwatch-node"}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("monitoring")
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(folder / "data", "--auth", "on"))
        node = NodeProcess(server, "--stop-agents")
        tls = server.data_dir / "tls"
        node.environment["RUNWATCH_METRICS_TLS_CERT"] = str(tls / "cert.pem")
        node.environment["RUNWATCH_METRICS_TLS_KEY"] = str(tls / "key.pem")
        stack.enter_context(node)
        folder.joinpath("prometheus").mkdir()
        watching = stack.enter_context(Prometheus(folder / "prometheus", server, node))
        wait_until(watching.scraped, "both to be scraped by TLS", LIMIT_S)
        load(server, stack, watching)
        yield watching


def load(server: ServerProcess, stack: ExitStack, watching: Prometheus) -> None:
    """Runs of several endings, agents that report usage, and readers, until rates can be told."""
    endless = server.make_run([sys.executable, "-uc", TALKING])
    server.wait_for_run(endless, "running")
    readers = [
        stack.enter_context(reading(server, "/ws/monitor?mode=delta")),
        stack.enter_context(reading(server, f"/ws/runs/{endless}/events?from_seq=1")),
    ]
    began = time.monotonic()
    rounds = 0
    while not (rounds > 3 and rates_are_told(watching)):
        assert time.monotonic() - began < LIMIT_S, "no rates"
        runs = [server.make_run([*words]) for words in (["true"], ["false"])]
        report_usage(server)
        for run_id in runs:
            server.wait_for_run(run_id, "done", "failed")
        rounds += 1
    for reader in readers:
        assert reader.recv(timeout=5)


TALKING: Final = "import time\nwhile True:\n    print('talking')\n    time.sleep(0.1)\n"


def rates_are_told(watching: Prometheus) -> bool:
    """Whether what comes last, rates of recorded things, is there."""
    wanted = ("runwatch:cost_usd_per_hour:rate1h", "executor_event_report_latency_seconds_sum")
    return all(watching.values(f"{name} > 0") for name in wanted)


def reading(server: ServerProcess, path: str, tries: int = 5) -> ClientConnection:
    try:
        return connect(
            f"wss://127.0.0.1:{server.port}{path}",
            ssl=server.tls(),
            additional_headers={"Authorization": f"Bearer {server.token}"},
            close_timeout=0.2,  # they read no more, and so would never see the answer
        )
    except TimeoutError:
        # This client reads and writes at once, which Python's TLS bears from 3.13 on only
        # (https://github.com/python/cpython/issues/124984): now and then it loses the answer.
        if tries == 1:
            raise
    return reading(server, path, tries - 1)


def report_usage(server: ServerProcess) -> None:
    """An agent elsewhere, whose events an administrator brings (contract 9.1)."""
    task = server.post(
        "/api/v1/tasks",
        {
            "name": "t",
            "prompt": "say hello",
            "agent": {"type": "claude-code"},
            "constraints": {"node_id": "elsewhere"},
        },
    )
    run = server.post(f"/api/v1/tasks/{task['id']}/runs")
    usage = {"input_tokens": 100, "output_tokens": 20, "cost_usd": 0.5}
    said = [
        ("run_started", {}),
        ("tool_use_start", {"id": "a", "tool": "Bash", "input": {}}),
        ("tool_result", {"id": "a", "success": True}),
        ("message", {"role": "assistant", "content": "hello", "usage": usage}),
        ("run_completed", {"status": "done"}),
    ]
    events = [
        {"seq": number, "type": kind, "timestamp": "2026-11-24T10:00:00Z", "payload": payload}
        for number, (kind, payload) in enumerate(said, start=1)
    ]
    server.post(f"/api/v1/runs/{run['id']}/events", {"events": events})


def panel_queries() -> dict[str, list[str]]:
    """Expressions by dashboard, with what Grafana puts in for its variables."""
    found: dict[str, list[str]] = {}
    for file in DASHBOARDS:
        panels = json.loads(file.read_text())["panels"]
        exprs = [target["expr"] for panel in panels for target in panel.get("targets", [])]
        found[file.stem] = [
            re.sub(r"\$(agent_type|node_id|instance)\b", ".*", expr).replace(
                "$__rate_interval", "1m"
            )
            for expr in exprs
        ]
    return found


def rules(kind: str) -> dict[str, str]:
    """Expressions of recording rules (``record``) or alerts (``alert``) by name."""
    found: dict[str, str] = {}
    for file in (DEPLOYMENTS / "prometheus/rules").glob("*.yml"):
        for group in yaml.safe_load(file.read_text())["groups"]:
            found |= {rule[kind]: rule["expr"] for rule in group["rules"] if kind in rule}
    return found


def misses(prometheus: Prometheus, exprs: list[str]) -> list[str]:
    """Those that say nothing, or something that is no number."""
    wrong = []
    for expr in exprs:
        values = prometheus.values(expr)
        partly = any(expr.startswith(start) for start in EMPTY)
        told = [value for value in values if value != "NaN"]
        if not told or (len(told) < len(values) and not partly):
            wrong.append(f"{expr}: {values[:5]}")
    return wrong


@pytest.mark.parametrize("dashboard", [file.stem for file in DASHBOARDS])
def test_every_panel_shows_something(prometheus: Prometheus, dashboard: str) -> None:
    exprs = panel_queries()[dashboard]
    assert len(exprs) > 10
    last: list[str] = []

    def complete() -> bool:
        last[:] = misses(prometheus, exprs)
        return not last

    try:
        wait_until(complete, "every panel", LIMIT_S)
    except AssertionError:
        raise AssertionError("\n".join(last)) from None


def test_every_recording_rule_says_something(prometheus: Prometheus) -> None:
    recorded = rules("record")
    assert len(recorded) >= 15
    wait_until(lambda: not misses(prometheus, list(recorded)), "the rules", LIMIT_S)


def test_every_rule_was_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def evaluated() -> list[Any]:
        groups = prometheus.ask("rules")["groups"]
        told = [rule for group in groups for rule in group["rules"]]
        return told if all(rule["health"] != "unknown" for rule in told) else []

    told = wait_until(evaluated, "the rules", LIMIT_S)
    assert {rule["name"] for rule in told} == {*rules("record"), *rules("alert")}
    assert [rule["lastError"] for rule in told if rule.get("lastError")] == []


def test_every_name_and_label_value_that_is_used_exists(prometheus: Prometheus) -> None:
    exprs = {
        *(expr for exprs in panel_queries().values() for expr in exprs),
        *rules("record").values(),
        *rules("alert").values(),
    }
    known = set(prometheus.ask("label/__name__/values"))
    used = {name for expr in exprs for name in OWN.findall(re.sub(r"\{[^}]*\}", "", expr))}
    assert len(used) > 70
    assert used - known == set()
    chosen = {
        f'{name}{{{label}="{value}"}}'
        for expr in exprs
        for name, inside in SELECTOR.findall(expr)
        for label, pattern in MATCHER.findall(inside)
        for value in pattern.split("|")
        if re.fullmatch(r"[\w-]+", value)
    }
    assert len(chosen) > 20
    assert [one for one in sorted(chosen) if not prometheus.values(one)] == []


def test_filters_of_the_dashboards_have_values(prometheus: Prometheus) -> None:
    for file in DASHBOARDS:
        for variable in json.loads(file.read_text())["templating"]["list"][1:]:
            series, label = re.fullmatch(
                r"label_values\((\w+), (\w+)\)", variable["definition"]
            ).groups()  # type: ignore[union-attr]
            assert prometheus.ask(f"label/{label}/values", **{"match[]": series}), file.stem


def test_promtool_takes_the_configuration(prometheus: Prometheus) -> None:
    file = prometheus.data_dir / "configuration/prometheus.yml"
    checked = subprocess.run(
        ["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
